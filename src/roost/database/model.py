"""The names on which data models stand: what operations see, and what a member is asked for.

A data model is a room above this package, such as `etcd`, whose operations work on bytes: trees by
their ids, keys and values as they are, one call of the member for each request.  What a program
sees is made of the same, and is safer: types, limits, and trees that are nobody else's
(`roost.database`); a data model without a reason stands there, as `objects` does.

docs/how-to/data-model.md says how to write one, `tests/database/votes.py` is one, and
`tests/test_data_models.py` holds all of them to these names.
"""

from roost.database.answers import RUN_OPERATION, encode_asked
from roost.database.changed import share_of
from roost.database.operations import LongOperation
from roost.database.parts import Form, Slice, check_size, pairs_of
from roost.database.replica import (
    Administration,
    Files,
    Frames,
    HeldViews,
    Operation,
    PeerTimes,
    Periodic,
    Replica,
    Space,
    Standing,
    Store,
)
from roost.member import Light, MemberRecord
from roost.store import (
    CONSTANT,
    COUNTER,
    DELETE,
    DELETE_FROM,
    DELETE_RANGE,
    ESCAPED_KEY,
    KEY,
    MEASURED_KEY,
    PUT,
    Changes,
    Column,
    Counted,
    HeldView,
    HeldViewLost,
    Layer,
    Long,
    LongChanges,
    Piece,
    Steps,
    Tree,
    TreeLayer,
    Txn,
    UnknownTree,
    View,
    Walk,
    Write,
)

__all__ = [
    "CONSTANT",
    "COUNTER",
    "DELETE",
    "DELETE_FROM",
    "DELETE_RANGE",
    "ESCAPED_KEY",
    "KEY",
    "MEASURED_KEY",
    "PUT",
    "RUN_OPERATION",
    "Administration",
    "Changes",
    "Column",
    "Counted",
    "Files",
    "Form",
    "Frames",
    "HeldView",
    "HeldViewLost",
    "HeldViews",
    "Layer",
    "Light",
    "Long",
    "LongChanges",
    "LongOperation",
    "MemberRecord",
    "Operation",
    "PeerTimes",
    "Periodic",
    "Piece",
    "Replica",
    "Slice",
    "Space",
    "Standing",
    "Steps",
    "Store",
    "Tree",
    "TreeLayer",
    "Txn",
    "UnknownTree",
    "View",
    "Walk",
    "Write",
    "check_size",
    "encode_asked",
    "pairs_of",
    "share_of",
]
