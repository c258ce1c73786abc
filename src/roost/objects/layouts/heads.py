r"""The first row of every object: what it is, how its keys and values are written, how many.

    tree "objects/" + name     b"\x00"       MessagePack array of a `Head`, or of one derived of it
                               b"\x01"...    its rows, and
                               b"\x02"...    others, as the layout of its kind says

An operation is told what the caller takes the object for (`Shape`).  An object that was never
written is empty, and becomes what its first write says.  The head is written with each change of
how many there are, in the same write set.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import msgspec

from roost.database import BadTreeName, OtherCodec, Transaction, WritableTree

HEAD, ITEM, OTHER, END = b"\0", b"\1", b"\2", b"\3"
PREFIX = "objects/"


class Shape(msgspec.Struct, frozen=True, array_like=True):
    """An object as somebody opens it: its tree, its kind, how its keys and values are written."""

    tree: str
    kind: str
    key: str
    value: str


class Head(msgspec.Struct, frozen=True, array_like=True):
    """An object as it is."""

    kind: str
    key: str
    value: str
    count: int = 0


H = TypeVar("H", bound=Head)
_told = msgspec.msgpack.Decoder(Head)
_decoders: dict[type[Head], msgspec.msgpack.Decoder[Any]] = {}


@dataclass(slots=True)
class Opened(Generic[H]):
    """An object in a transaction."""

    tree: WritableTree[bytes, bytes]
    shape: Shape
    head: H
    is_new: bool
    txn: Transaction

    def save(self, head: H) -> None:
        """Write what has become of it."""
        if self.is_new:
            self.txn.describe(self.shape.tree, described(self.shape))
            self.is_new = False
        self.head = head
        self.tree[HEAD] = msgspec.msgpack.encode(head)


def tree_of(name: str) -> str:
    """The tree of an object.

    Raises:
        BadTreeName: the name is none; what else a name may not be, the tree says.

    """
    if not isinstance(name, str) or not name:
        raise BadTreeName(f"{name!r} is no name of an object: give some text")
    return PREFIX + name


def described(shape: Shape) -> str:
    """What an object is, for people."""
    parts = [it.removeprefix("msgpack ") for it in (shape.key, shape.value) if it]
    return f"{shape.kind} of {' to '.join(parts)}" if parts else shape.kind


def decode_head(row: bytes | None, shape: Shape, kind: type[H]) -> H:
    """The head in a row, held against what the caller takes the object for.

    Raises:
        OtherCodec: it is something else.

    """
    if row is None:
        return kind(shape.kind, shape.key, shape.value)
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        head = cast("H", decoder.decode(row))
    except msgspec.ValidationError:
        _check_told(_told.decode(row), shape)
        raise
    _check_told(head, shape)
    return head


def _check_told(told: Head, shape: Shape) -> None:
    if told.kind == shape.kind and told.key == shape.key and told.value == shape.value:
        return
    held = Shape(shape.tree, told.kind, told.key, told.value)
    raise OtherCodec(
        f"the object {shape.tree.removeprefix(PREFIX)!r} is a {described(held)}, and was opened as "
        f"a {described(shape)}: open it as what it is, or use another name"
    )


def open_object(txn: Transaction, shape: Shape, kind: type[H]) -> Opened[H]:
    """An object, to be read and changed.

    Raises:
        OtherCodec: it is something else.

    """
    tree = txn.tree(shape.tree)
    row = tree.get(HEAD)
    return Opened(tree, shape, decode_head(row, shape, kind), row is None, txn)


def drop(txn: Transaction, tree: str) -> None:
    """Remove an object, whatever it is: the name is free again."""
    txn.tree(tree).clear()
