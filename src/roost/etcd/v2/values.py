"""Values of v2: nodes, events, and changes with what came of them, which travel as msgpack.

They stand by themselves because the modules that work with them may be compiled
(`roost/compiled.py`), and a Struct may not be there.
"""

from enum import IntEnum

import msgspec

from roost.etcd.v2.faults import Reason


class Node(msgspec.Struct, frozen=True, gc=False):
    """A directory, or a key with its value."""

    is_dir: bool
    created: int
    modified: int
    # Nanoseconds since 1970; 0 = never.
    expires_ns: int
    value: bytes


class Action(IntEnum):
    """What was done; clients know the names."""

    CREATE = 1
    SET = 2
    UPDATE = 3
    SWAP = 4
    DELETE = 5
    COMPARE_DELETE = 6
    EXPIRE = 7


class Flags(IntEnum):
    """What watches have to know of an event."""

    NONE = 0
    # Only the time to live is another: nobody is told.
    REFRESH = 1
    # A directory is gone, with all that was below.
    DIRECTORY_GONE = 2


class Event(msgspec.Struct, frozen=True, gc=False):
    """One change."""

    index: int
    action: Action
    flags: Flags
    path: bytes
    # What was, by whose clock times to live are told.
    now_ns: int
    node: Node
    # What was there before.
    old: Node | None = None


class Now(msgspec.Struct, frozen=True, gc=False):
    """Where the history stands; an empty one begins behind its end."""

    index: int = 0
    first: int = 1
    events_bytes: int = 0


class Kind(IntEnum):
    """What is asked for."""

    SET = 1
    CREATE = 2
    # A child whose name is the index.
    POST = 3
    UPDATE = 4
    SWAP = 5
    DELETE = 6
    COMPARE_DELETE = 7
    # The same as POST, unless a child has the value: then that is named as the one that exists.
    JOIN = 8


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A change as it travels to the leader.

    `prev_value` empty and `prev_index` 0 are no condition; `ttl_s` None is for ever.
    """

    kind: Kind
    path: bytes
    value: bytes = b""
    is_dir: bool = False
    ttl_s: int | None = None
    is_refresh: bool = False
    prev_value: bytes = b""
    prev_index: int = 0
    is_recursive: bool = False
    # The answer says nothing of the node (etcd: noValueOnSuccess).
    is_silent: bool = False


class Done(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """It was done; the row is that of its event, which has this index."""

    index: int
    row: bytes
    is_new: bool


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """It was not, and why; `index` is the store's then."""

    index: int
    reason: Reason
    cause: bytes


class Signature(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How an operation says who asks for it (`gate`)."""

    operation: str
    user: str
    password: bytes
    is_slashed: bool


_ENCODER = msgspec.msgpack.Encoder()
_CHANGES = msgspec.msgpack.Decoder(Change)
_OUTCOMES: msgspec.msgpack.Decoder[Done | Failed] = msgspec.msgpack.Decoder(Done | Failed)
_SIGNATURES = msgspec.msgpack.Decoder(Signature)
# The same functions, without a step of Python between.
encode, decode, decode_outcome = _ENCODER.encode, _CHANGES.decode, _OUTCOMES.decode
decode_signature = _SIGNATURES.decode
