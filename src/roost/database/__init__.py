"""Replicated ordered trees inside a program: the face on which applications stand."""

from roost.database import events
from roost.database.changes import UNKNOWN, Annotation, Change, Overrun, Unknown
from roost.database.codecs import KeyCodec, ValueCodec, key_codec, value_codec
from roost.database.derivations import Derivation, derived
from roost.database.derived_status import DerivedStatus
from roost.database.embedded import Builder
from roost.database.errors import (
    BadArgument,
    BadDeclaration,
    BadKey,
    BadOpening,
    BadValue,
    Conflict,
    DerivedDropped,
    DerivedFailed,
    DerivedLost,
    KeyTooLarge,
    KeyUndecodable,
    MemberEnded,
    MemberLost,
    NotYourTree,
    OnceTaken,
    OperationFailed,
    OtherCodec,
    OtherResult,
    Rebuilding,
    Refused,
    TransactionOver,
    UnknownOperation,
    ValueTooLarge,
    ValueUndecodable,
    ViewClosed,
    WriteSetTooLarge,
    WrongLoop,
)
from roost.database.host import Host, Origin
from roost.database.limits import DEFAULT_LIMITS, Limits
from roost.database.moments import Moment
from roost.database.opening import open_as
from roost.database.operations import Operation, Operations
from roost.database.place import Urls
from roost.database.status import MemberInfo, Status
from roost.database.transaction import Transaction, WritableTree
from roost.peer import Network
from roost.store import BadTreeName

__all__ = [
    "DEFAULT_LIMITS",
    "UNKNOWN",
    "Annotation",
    "BadArgument",
    "BadDeclaration",
    "BadKey",
    "BadOpening",
    "BadTreeName",
    "BadValue",
    "Builder",
    "Change",
    "Conflict",
    "Derivation",
    "DerivedDropped",
    "DerivedFailed",
    "DerivedLost",
    "DerivedStatus",
    "Host",
    "KeyCodec",
    "KeyTooLarge",
    "KeyUndecodable",
    "Limits",
    "MemberEnded",
    "MemberInfo",
    "MemberLost",
    "Moment",
    "Network",
    "NotYourTree",
    "OnceTaken",
    "Operation",
    "OperationFailed",
    "Operations",
    "Origin",
    "OtherCodec",
    "OtherResult",
    "Overrun",
    "Rebuilding",
    "Refused",
    "Status",
    "Transaction",
    "TransactionOver",
    "Unknown",
    "UnknownOperation",
    "Urls",
    "ValueCodec",
    "ValueTooLarge",
    "ValueUndecodable",
    "ViewClosed",
    "WritableTree",
    "WriteSetTooLarge",
    "WrongLoop",
    "derived",
    "events",
    "key_codec",
    "open_as",
    "value_codec",
]
