"""What a database knows of its trees: how their keys and values are written, and what they are for.

    $metadata   "tree/" + name   ->   MessagePack map of `Declared`

The row is written with the first write to the tree, on every member alike.  A tree of the
catalogue without one belongs to somebody else (members, etcd's services) and is nobody's to open.
"""

from dataclasses import dataclass
from functools import lru_cache

import msgspec

from roost.database.errors import NotYourTree, OtherCodec
from roost.store import CATALOG_ID, METADATA_ID, View

PREFIX = b"tree/"
PURPOSE_CHARACTERS_MAX = 1000


class Declared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The row of one tree; limits in bytes, 0 = the database's."""

    key: str
    value: str
    purpose: str = ""
    key_bytes_max: int = 0
    value_bytes_max: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A tree of that name, as a view shows it; `id` None: it has never been written."""

    id: int | None
    declared: Declared | None


_decoder = msgspec.msgpack.Decoder(Declared)


def row_name(name: str) -> bytes:
    """The key of a tree's row in `$metadata`."""
    return PREFIX + name.encode("ascii")


def name_of_row(key: bytes) -> str:
    """The tree whose row a key of `$metadata` is; empty = none."""
    return key.removeprefix(PREFIX).decode("ascii") if key.startswith(PREFIX) else ""


@lru_cache(maxsize=256)
def decode(row: bytes) -> Declared:
    """What a row says; operations ask for the same few again and again."""
    return _decoder.decode(row)


def encode(declared: Declared) -> bytes:
    """A row's value."""
    return msgspec.msgpack.encode(declared)


def find(view: View, name: str) -> Found:
    """The tree of that name.

    Raises:
        NotYourTree: it belongs to somebody else.

    """
    held = view.get(CATALOG_ID, name.encode("ascii"))
    row = view.get(METADATA_ID, row_name(name))
    if held is None:
        # Described, or once dropped: what it holds is said before there is anything in it.
        return Found(None, None if row is None else decode(row))
    if row is None:
        raise NotYourTree(f"the tree {name!r} belongs to the database itself: choose another name")
    return Found(int.from_bytes(held, "big"), decode(row))


def check_codecs(name: str, declared: Declared | None, key: str, value: str) -> None:
    """Refuse to read a tree as what it is not.

    Raises:
        OtherCodec: it was written with other types.

    """
    if declared is None or (declared.key == key and declared.value == value):
        return
    for what, held, asked in (("keys", declared.key, key), ("values", declared.value, value)):
        if held not in ("", asked):
            raise OtherCodec(
                f"the tree {name!r} has {what} of type {held!r}, and was opened with {asked!r}: "
                "open it with the type it has, or use another tree"
            )
