"""Which trees a store has, and what is in them, for people: whosever they are.

A key or value is shown as what its tree is declared to hold; what is not declared, or is something
else, as text when all of it is printable ASCII, and else in hexadecimal digits behind 0x.

Trees that a member derives lie in a file of their own (`derived_rows`), and are shown like others.

Of a member that serves, what is shown comes in pages (`names_from`, `page_from`): each is one step,
bounded by its rows, by what is passed because it is gone, and by bytes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from roost.database import declared
from roost.database import derived_rows as layout
from roost.database.declared import Declared
from roost.database.derived_rows import Registered
from roost.database.errors import KeyUndecodable, NotYourTree
from roost.database.ordered import decode_parts
from roost.errors import UNDECODABLE
from roost.store import CATALOG_ID, METADATA_ID, Cut, Pages, UnknownTree, View

# One page: so many names; rows that are there, and that are gone; bytes of keys and values.
NAMES_MAX, ROWS_MAX, GONE_MAX, PAGE_BYTES_MAX = 200, 100, 1000, 256 << 10
# Of a key or a value; what is longer is shown up to there.
SHOWN_BYTES_MAX = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFacts:
    """One tree; `content_bytes` are those of its keys and values, without what keeps them.

    `page_count` are pages of the file, as many as its rows fill when they come in order.
    """

    name: str
    key_count: int
    content_bytes: int
    page_count: int
    keys: str
    values: str
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNamed:
    """What a tree is said to hold; without types it is the database's own, or etcd's."""

    name: str
    keys: str
    values: str
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowShown:
    """A row for people; `key_bytes` and `value_bytes` are how long it is, whatever is shown."""

    key: str
    value: str
    key_bytes: int
    value_bytes: int


@dataclass(frozen=True, slots=True)
class RowPage:
    """Some rows, and the key from which on there may be more; None = these were the last."""

    rows: list[RowShown]
    rest: bytes | None


def names_from(view: View, after: str, limit: int) -> list[TreeNamed]:
    """Trees by name, those behind `after`; NAMES_MAX at most."""
    first = after.encode(errors="replace") + b"\0" if after else b""
    found = []
    for name, _ in view.scan(CATALOG_ID, first, limit=min(limit, NAMES_MAX)):
        text = name.decode()
        row = _declared(view, text)
        found.append(
            TreeNamed(name=text, keys=row.key, values=row.value, purpose=printable(row.purpose))
        )
    return found


def page_from(view: View, name: str, first: bytes, limit: int) -> RowPage:
    """A page of the rows of a tree, from a key on.

    Raises:
        UnknownTree: there is none of that name.

    """
    tree_id, declared_as = _known(view, name)
    rows: list[RowShown] = []
    gone = size = 0
    for key, value in view.walk(tree_id, first):
        if len(rows) >= min(limit, ROWS_MAX) or gone >= GONE_MAX or size >= PAGE_BYTES_MAX:
            return RowPage(rows, key)
        size += len(key)
        if value is None or isinstance(value, Cut):
            # From one cut to the next it may be far.
            gone += 1 if value is None else GONE_MAX // 4
            continue
        size += len(value)
        rows.append(
            RowShown(
                key=_shown_up_to(key, declared_as.key, _shown_key),
                value=_shown_up_to(value, declared_as.value, _shown_value),
                key_bytes=len(key),
                value_bytes=len(value),
            )
        )
    return RowPage(rows, None)


def _shown_up_to(content: bytes, codec: str, show: Callable[[bytes, str], str]) -> str:
    """As its tree says; the beginning of what is long, as bytes."""
    if len(content) <= SHOWN_BYTES_MAX:
        return show(content, codec)
    return shown(content[:SHOWN_BYTES_MAX])


def trees_of(view: View) -> Iterator[TreeFacts]:
    """All trees, by name; each is walked over."""
    for name, tree_id in view.scan(CATALOG_ID):
        text = name.decode()
        row = _declared(view, text)
        rows = view.iterate(int.from_bytes(tree_id, "big"))
        yield _facts(text, rows, keys=row.key, values=row.value, purpose=row.purpose)


def _facts(
    name: str, rows: Iterable[tuple[bytes, bytes]], *, keys: str, values: str, purpose: str
) -> TreeFacts:
    """What is counted of a tree, and what is said of it."""
    count = content_bytes = 0
    pages = Pages()
    for key, value in rows:
        count, content_bytes = count + 1, content_bytes + len(key) + len(value)
        pages.add(len(key), len(value))
    return TreeFacts(
        name=name,
        key_count=count,
        content_bytes=content_bytes,
        page_count=pages.count,
        keys=keys,
        values=values,
        purpose=purpose,
    )


def rows_of(view: View, name: str) -> Iterator[tuple[str, str]]:
    """Keys and values of a tree, in order, as text.

    Raises:
        UnknownTree: there is none of that name.

    """
    tree_id, row = _known(view, name)
    for key, value in view.iterate(tree_id):
        yield _shown_key(key, row.key), _shown_value(value, row.value)


def _known(view: View, name: str) -> tuple[int, Declared]:
    """The id of a tree that somebody has typed, and what it is said to hold.

    Raises:
        UnknownTree: there is none of that name.

    """
    held = view.get(CATALOG_ID, name.encode(errors="replace"))
    if held is None:
        raise UnknownTree(f"there is no tree {name!r}")
    return int.from_bytes(held, "big"), _declared(view, name)


def has_derived(view: View, name: str) -> bool:
    """Whether a second environment has a derived tree of that name."""
    return view.get(METADATA_ID, _registered_name(name)) is not None


def derived_of(view: View) -> Iterator[TreeFacts]:
    """All derived trees of a second environment, by name; each is walked over."""
    found = view.scan(METADATA_ID, layout.REGISTERED, layout.REGISTERED + b"\xff")
    for key, _ in found:
        name = key.removeprefix(layout.REGISTERED).decode()
        kept = _derived(view, name)
        state = "" if kept.is_built else ", not complete"
        yield _facts(
            name,
            _derived_rows(view, kept),
            keys=kept.made_by.keys,
            values=kept.made_by.values,
            purpose=f"derived from {kept.made_by.source}, version {kept.made_by.version}{state}",
        )


def derived_rows_of(view: View, name: str) -> Iterator[tuple[str, str]]:
    """Keys and values of a derived tree, in order, as text.

    Raises:
        UnknownTree: there is none of that name.

    """
    kept = _derived(view, name)
    for key, value in _derived_rows(view, kept):
        yield _shown_key(key, kept.made_by.keys), _shown_value(value, kept.made_by.values)


def _registered_name(name: str) -> bytes:
    """The row of a name that somebody has typed."""
    return layout.REGISTERED + name.encode(errors="replace")


def _derived(view: View, name: str) -> Registered:
    held = view.get(METADATA_ID, _registered_name(name))
    kept = None if held is None else layout.registered_of(held)
    if kept is None:
        raise UnknownTree(f"there is no tree {name!r}")
    return kept


def _derived_rows(view: View, kept: Registered) -> Iterator[tuple[bytes, bytes]]:
    tree_id = view.get(CATALOG_ID, layout.rows_tree(kept.pair).encode())
    if tree_id is not None:
        yield from layout.rows_from(view, int.from_bytes(tree_id, "big"))


def _declared(view: View, name: str) -> Declared:
    """What a tree is said to be; nothing of one that is not a program's."""
    try:
        found = declared.find(view, name)
    except NotYourTree:
        return Declared(key="", value="")
    return found.declared or Declared(key="", value="")


def _shown_key(key: bytes, codec: str) -> str:
    if codec == "str":
        return printable(key.decode(errors="backslashreplace"))
    if codec in ("int", "datetime") or codec.startswith(("tuple[", "multi[")):
        try:
            return printable(" ".join(map(str, decode_parts(key))))
        except KeyUndecodable:
            return shown(key)
    return shown(key)


def printable(text: str) -> str:
    """Text of one line, which does nothing to a terminal."""
    if text.isprintable():
        return text
    return "".join(it if it.isprintable() else it.encode("unicode_escape").decode() for it in text)


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
