"""How a derived tree lies in the second environment of a member, and how it is read there.

The second environment is a store of its own in the member's directory (`environment`).  A derived
tree is a pair of trees in it, by the number of the pair:

    rows.N    escaped key, 0x00 0x00, key of the source      ->   value
    back.N    key of the source   ->   MessagePack list of the keys that were made of that row

In the escaped key 0x00 is 0x00 0xff, so rows sort as their keys do, and rows of one key as those
of the source that made them: what is shown is the first.  `back` says what goes away with a row of
the source, so nobody has to know what that row was before: record 0014.

    $metadata   "derived/" + name       ->   MessagePack map of `Registered`
                "dropped/" + number     ->   nothing: what is in the pair is being removed
                "owner"                 ->   cluster id, u64; format, u64

A `Registered` is written with the rows that it speaks of, in one write set.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from roost.database.derivations import Derivation
from roost.database.source import Counted
from roost.store import METADATA_ID, Txn, View

FORMAT = 1
OWNER_KEY = b"owner"
REGISTERED, DROPPED = b"derived/", b"dropped/"
_ZERO, _ESCAPED, _END, _AFTER = b"\0", b"\0\xff", b"\0\0", b"\0\1"
_keys_decoder = msgspec.msgpack.Decoder(list[bytes])


class MadeBy(msgspec.Struct, frozen=True, kw_only=True):
    """What a derived tree was made by: when any of it is another one, the tree is made anew."""

    version: int
    source: str
    source_keys: str
    source_values: str
    keys: str
    values: str
    first: bytes
    stop: bytes | None


class Rest(msgspec.Struct, frozen=True, array_like=True):
    """A range of the source that has still to be looked at."""

    first: bytes
    stop: bytes | None


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """One derived tree, and how far it has come.

    Of each row of the source that is not in `rest` there is what was made of it at some log
    position from `done_index` to `seen_index`; the entry there is of `seen_term`.  `is_built` says
    whether all of it was looked at once.  `source_id` is the source's tree; 0 = there was none.
    """

    pair: int
    made_by: MadeBy
    source_id: int
    is_built: bool
    done_index: int
    seen_index: int
    seen_term: int
    rest: tuple[Rest, ...]


def made_by(derivation: Derivation[Any, Any]) -> MadeBy:
    """What makes a tree what it is."""
    source, shape = derivation.source, derivation.shape
    return MadeBy(
        version=derivation.version,
        source=source.name,
        source_keys=source.keys.name,
        source_values=source.values.name,
        keys=shape.keys.name,
        values=shape.values.name,
        first=derivation.range.first,
        stop=derivation.range.stop,
    )


def registered_name(name: str) -> bytes:
    """The key of a derived tree's row in `$metadata`."""
    return REGISTERED + name.encode("ascii")


def dropped_name(pair: int) -> bytes:
    """The key of a pair that is being emptied."""
    return DROPPED + str(pair).encode("ascii")


def rows_tree(pair: int) -> str:
    """The tree with the rows of a pair."""
    return f"rows.{pair}"


def back_tree(pair: int) -> str:
    """The tree that says what was made of which row."""
    return f"back.{pair}"


def owner_of(cluster_id: int) -> bytes:
    """Whose environment it is."""
    return cluster_id.to_bytes(8, "big") + FORMAT.to_bytes(8, "big")


def decode_registered(row: bytes) -> Registered:
    """What a row says.

    Raises:
        msgspec.MsgspecError: another version of Roost wrote it.

    """
    return msgspec.msgpack.decode(row, type=Registered)


def registered_of(row: bytes) -> Registered | None:
    """What a row says; what another version wrote says nothing."""
    try:
        return decode_registered(row)
    except msgspec.MsgspecError:
        return None


def drop_from(txn: Txn, name: str) -> int:
    """Have a tree no more, and its pair emptied later; the number of that, 0 = there is none."""
    key = registered_name(name)
    held = txn.get(METADATA_ID, key)
    if held is None:
        return 0
    txn.delete(METADATA_ID, key)
    found = registered_of(held)
    if found is None:
        return 0
    txn.put(METADATA_ID, dropped_name(found.pair), b"")
    return found.pair


def encode_keys(keys: list[bytes]) -> bytes:
    """Keys that were made of one row."""
    return msgspec.msgpack.encode(keys)


def decode_keys(held: bytes) -> list[bytes]:
    """Keys that were made of one row."""
    return _keys_decoder.decode(held)


def escaped(key: bytes) -> bytes:
    """Where the rows of all keys from `key` on begin."""
    return key.replace(_ZERO, _ESCAPED)


def row_name(key: bytes, source_key: bytes) -> bytes:
    """The name of a row."""
    return key.replace(_ZERO, _ESCAPED) + _END + source_key


def key_of(name: bytes) -> bytes:
    """The key of a row."""
    end = name.index(_END)
    return name[:end].replace(_ESCAPED, _ZERO)


@dataclass(slots=True)
class NewRows:
    """What was made of rows of which nothing was made before, to be put at once.

    No row of it takes another's place, since each has its source's key in its name.
    """

    names: list[bytes] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    backs: list[bytes] = field(default_factory=list)

    def add(self, key: bytes, made: dict[bytes, bytes]) -> None:
        """What was made of a row."""
        self.names += [row_name(it, key) for it in made]
        self.contents += made.values()
        self.keys.append(key)
        self.backs.append(encode_keys([*made]))

    def put(self, txn: Txn, rows_id: int, back_id: int) -> None:
        """Put all of it."""
        txn.put_all(rows_id, self.names, self.contents)
        txn.put_all(back_id, self.keys, self.backs)


def get(view: View, rows_id: int, key: bytes) -> bytes | None:
    """The value of a key: that of its first row."""
    begin = escaped(key)
    found = view.scan(rows_id, begin + _END, begin + _AFTER, limit=1)
    return found[0][1] if found else None


def scan(
    view: View, rows_id: int, first: bytes, stop: bytes | None, *, reverse: bool, limit: int
) -> list[tuple[bytes, bytes]]:
    """Keys of a range with their values, `limit` at most."""
    begin, end = escaped(first), None if stop is None else escaped(stop)
    found: list[tuple[bytes, bytes]] = []
    rows = _from_the_end if reverse else _from_the_start
    if limit > 0:
        for key, value in rows(view, rows_id, begin, end):
            found.append((key, value))
            if len(found) == limit:
                break
    return found


def rows_from(view: View, rows_id: int) -> Iterator[tuple[bytes, bytes]]:
    """All keys with their values."""
    return _from_the_start(view, rows_id, b"", None)


def count(view: View, rows_id: int, first: bytes, stop: bytes | None, limit: int) -> Counted:
    """How many keys a range has, up to `limit`, and the last of them."""
    begin, end = escaped(first), None if stop is None else escaped(stop)
    total, last = 0, first
    for key, _ in _from_the_start(view, rows_id, begin, end, keys_only=True):
        total, last = total + 1, key
        if total == limit:
            break
    return Counted(total, last)


def _from_the_start(
    view: View, rows_id: int, begin: bytes, end: bytes | None, *, keys_only: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """Each key once.  Behind one that has a second row all of its rows are skipped by a seek."""
    place: bytes | None = begin
    last: bytes | None = None
    while place is not None:
        rows = view.iterate(rows_id, place, end, keys_only=keys_only)
        place = None
        for name, value in rows:
            key = name[: name.index(_END)]
            if key == last:
                place = key + _AFTER
                break
            last = key
            yield key.replace(_ESCAPED, _ZERO), value


def _from_the_end(
    view: View, rows_id: int, begin: bytes, end: bytes | None
) -> Iterator[tuple[bytes, bytes]]:
    """Each key once, the last first: its last row is found first, and its first is shown."""
    while True:
        found = view.scan(rows_id, begin, end, reverse=True, limit=1)
        if not found:
            return
        name, value = found[0]
        key = name[: name.index(_END)]
        shown = view.scan(rows_id, key + _END, name, limit=1)
        yield key.replace(_ESCAPED, _ZERO), shown[0][1] if shown else value
        end = key + _END
