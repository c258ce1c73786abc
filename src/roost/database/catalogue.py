"""Which trees a store has, and what is in them, for people: whosever they are.

A key or value is shown as what its tree is declared to hold; what is not declared, or is something
else, as text when all of it is printable ASCII, and else in hexadecimal digits behind 0x.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from roost.database import declared
from roost.database.declared import Declared
from roost.database.errors import KeyUndecodable, NotYourTree
from roost.database.ordered import decode_parts
from roost.errors import UNDECODABLE
from roost.store import CATALOG_ID, UnknownTree, View


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFacts:
    """One tree; `content_bytes` are those of its keys and values, without what keeps them."""

    name: str
    key_count: int
    content_bytes: int
    keys: str
    values: str
    purpose: str


def trees_of(view: View) -> Iterator[TreeFacts]:
    """All trees, by name; each is walked over."""
    for name, tree_id in view.scan(CATALOG_ID):
        text = name.decode()
        row = _declared(view, text)
        count = content_bytes = 0
        for key, value in view.iterate(int.from_bytes(tree_id, "big")):
            count, content_bytes = count + 1, content_bytes + len(key) + len(value)
        yield TreeFacts(
            name=text,
            key_count=count,
            content_bytes=content_bytes,
            keys=row.key,
            values=row.value,
            purpose=row.purpose,
        )


def rows_of(view: View, name: str) -> Iterator[tuple[str, str]]:
    """Keys and values of a tree, in order, as text.

    Raises:
        UnknownTree: there is none of that name.

    """
    held = view.get(CATALOG_ID, name.encode(errors="replace"))
    if held is None:
        raise UnknownTree(f"there is no tree {name!r}")
    row = _declared(view, name)
    for key, value in view.iterate(int.from_bytes(held, "big")):
        yield _shown_key(key, row.key), _shown_value(value, row.value)


def _declared(view: View, name: str) -> Declared:
    """What a tree is said to be; nothing of one that is not a program's."""
    try:
        found = declared.find(view, name)
    except NotYourTree:
        return Declared(key="", value="")
    return found.declared or Declared(key="", value="")


def _shown_key(key: bytes, codec: str) -> str:
    if codec == "str":
        return key.decode(errors="backslashreplace")
    if codec in ("int", "datetime") or codec.startswith(("tuple[", "multi[")):
        try:
            return " ".join(map(str, decode_parts(key)))
        except KeyUndecodable:
            return shown(key)
    return shown(key)


def _shown_value(value: bytes, codec: str) -> str:
    if codec.startswith("msgpack "):
        try:
            return msgspec.json.encode(msgspec.msgpack.decode(value)).decode()
        except (*UNDECODABLE, TypeError):
            return shown(value)
    return shown(value)


def shown(content: bytes) -> str:
    """Bytes, for people."""
    if all(0x20 <= it < 0x7F for it in content) and not content.startswith(b"0x"):
        return content.decode()
    return f"0x{content.hex()}"
