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
from typing import Any, NamedTuple

import msgspec

from roost.database.derivations import Derivation
from roost.store import METADATA_ID, Txn, View, Walk

FORMAT = 1
OWNER_KEY = b"owner"
REGISTERED, DROPPED = b"derived/", b"dropped/"
_ZERO, _ESCAPED, _END, _AFTER = b"\0", b"\0\xff", b"\0\0", b"\0\1"
_PAGE_ROWS = 256
# What a part from the end may cost (`Walk.cost`): each of its rows is looked for by itself.
_COST_MAX = 400
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


def rows_from(view: View, rows_id: int) -> Iterator[tuple[bytes, bytes]]:
    """All keys with their values."""
    parts = Parts(view, rows_id, b"", None)
    while not parts.is_done:
        yield from parts.take(_PAGE_ROWS)


class _Shown(NamedTuple):
    """A key that was found from the end, its last row's value, and the way to its first row."""

    key: bytes
    value: bytes
    before: Walk


class Parts:
    """Keys of a range with their values, each once, in parts; see `database.source.Parts`.

    Behind a key that has a second row all of its rows are skipped by a seek.  From the end a key's
    last row is found first, and its first is what is shown: it is looked for, in parts as well.
    """

    def __init__(
        self,
        view: View,
        rows_id: int,
        first: bytes,
        stop: bytes | None,
        *,
        reverse: bool = False,
        keys_only: bool = False,
    ) -> None:
        """Begin at `first`, or with `reverse` before `stop`."""
        self._view, self._rows_id = view, rows_id
        self._begin, self._end = escaped(first), None if stop is None else escaped(stop)
        self._reverse, self._keys_only = reverse, keys_only
        self._walk = self._walk_over(self._begin, self._end)
        self._last: bytes | None = None
        self._shown: _Shown | None = None

    def _walk_over(self, begin: bytes, end: bytes | None) -> Walk:
        return Walk(
            self._view,
            self._rows_id,
            begin,
            end,
            reverse=self._reverse,
            keys_only=self._keys_only,
        )

    @property
    def is_done(self) -> bool:
        """Whether the end has been seen."""
        return self._walk.is_done and self._shown is None

    def take(self, count_max: int) -> list[tuple[bytes, bytes]]:
        """The next keys, `count_max` at most; there may be none, though more follow."""
        return self._take_back(count_max) if self._reverse else self._take(count_max)

    def _take(self, count_max: int) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        is_again = False
        for name, value in self._walk.take(count_max):
            key = name[: name.index(_END)]
            is_again = key == self._last
            if not is_again:
                self._last = key
                found.append((key.replace(_ESCAPED, _ZERO), value))
        if is_again and not self._walk.is_done:
            assert self._last is not None, "it is the last one"
            self._walk = self._walk_over(self._last + _AFTER, self._end)
        return found

    def _take_back(self, count_max: int) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        left = _COST_MAX
        while len(found) < count_max and left > 0:
            if self._shown is None:
                rows = [] if self._walk.is_done else self._walk.take(1)
                left -= self._walk.cost
                if not rows:
                    break
                name, value = rows[0]
                key = name[: name.index(_END)]
                before = Walk(
                    self._view, self._rows_id, key + _END, name, keys_only=self._keys_only
                )
                self._shown = _Shown(key, value, before)
                # All of its rows are behind us.
                self._walk = self._walk_over(self._begin, key + _END)
            key, value, before = self._shown
            rows = before.take(1)
            left -= before.cost
            if not rows and not before.is_done:
                break
            self._shown = None
            shown = rows[0][1] if rows else value
            found.append((key.replace(_ESCAPED, _ZERO), shown))
        return found
