"""A transaction: reads through everything proposed so far, writes into a layer of its own."""

from collections.abc import Sequence
from typing import Final

from roost.store.base_reader import BaseReader
from roost.store.catalog import CATALOG_ID, FIRST_TREE_ID, LAST_TREE_ID, Tree, check_name
from roost.store.columns import EXPANDED_BYTES_MAX, Column, Rows, cost_of, encode, make_rows
from roost.store.errors import TooManyTrees
from roost.store.key_order import KeyValues
from roost.store.layer import DROPPED_COUNT, ENTRY_BYTES, Layer
from roost.store.puts import repeats
from roost.store.rows import Puts
from roost.store.view import View
from roost.store.write_set import (
    ANNOTATION,
    DELETE_FROM,
    DELETE_RANGE,
    END_OF_ANNOTATED,
    HEAD,
    HEAD_BYTES,
    ROWS,
    encode_rows,
)

# What stands in `put_latest`: trees, keys and values; plain, because this module is compiled.
_Latest = tuple[tuple[int, bytes, bytes], ...]
# And how many rows and records were written before.
Mark = tuple[int, _Latest]
# More than a row takes in a write set besides its bytes: a size for each of both.
_ROW_HEAD_BYTES: Final = 2 * 5
# And the same for all rows of a tree, and for a record, or rows that stand as one.
_ROWS_HEAD_BYTES: Final = 16
_SET_HEAD_BYTES: Final = 2 * HEAD_BYTES
# Writes that are kept when others are undone: each takes two microseconds, a row counts for four.
_KEPT_A_ROW: Final = 2
# What one write adds to a write set at most, beside its key and its value.
WRITE_BYTES_MAX: Final = _ROWS_HEAD_BYTES + _SET_HEAD_BYTES + _ROW_HEAD_BYTES


class _Written(Puts):
    """Rows written to one tree since the last record; they stand in the layer as well."""

    __slots__ = ("held",)

    def __init__(self, tree_id: int, held: KeyValues) -> None:
        super().__init__(tree_id, [], [])
        self.held = held


class Txn(View):
    """Reads and writes of operations that run one after another.

    The writes become one write set, in order.  Whoever writes the same few trees again and again,
    and has nobody who asks in which order different trees were written, says so (`gather`): then
    the rows of a tree travel together.  `rollback(savepoint())` undoes what a refused operation
    wrote, at the cost of carrying out the rest of the write set again.
    """

    __slots__ = (
        "_expanded_bytes",
        "_has_shared",
        "_head_bytes",
        "_is_gathering",
        "_latest",
        "_order",
        "_parts",
        "_rows",
        "cost",
        "layer",
        "size_bytes",
    )

    def __init__(self, below: Sequence[Layer], base: BaseReader) -> None:
        """Begin over `below`, newest first."""
        self.layer = Layer()
        # Records, and between them rows of trees.
        self._parts: list[bytes | list[_Written]] = []
        # Where rows of a tree are added: the last that were begun, and while some are gathered
        # others before them.
        self._rows: dict[int, _Written] = {}
        self._is_gathering = False
        # Where each row stands, as they were written; None is a record.
        self._order: list[_Written | None] = []
        self._latest: _Latest = ()
        # What is said of rows and records, beside themselves.
        self._head_bytes = _SET_HEAD_BYTES
        self._has_shared = False
        # What is carried as columns stands for so much at most.
        self._expanded_bytes = 0
        self.size_bytes = 0
        # What was read by what runs in it, in rows, as far as that is much; for whoever runs it.
        self.cost = 0
        super().__init__([self.layer, *below], base)

    def look_through(self, below: Sequence[Layer]) -> None:
        """Have other layers below its own, which come to the same: see `Store.renew`."""
        self._layers = [self.layer, *below]

    def put(self, tree_id: int, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        rows = self._rows.get(tree_id) or self._begin_rows(tree_id)
        rows.keys.append(key)
        rows.values.append(value)
        rows.held[key] = value
        self._order.append(rows)
        size = len(key) + len(value)
        self.size_bytes += size
        self.layer.size_bytes += size + ENTRY_BYTES

    def put_all(self, tree_id: int, keys: list[bytes], values: list[bytes]) -> None:
        """Set the values of many keys, each with that in its place."""
        if not keys:
            return
        rows = self._rows.get(tree_id) or self._begin_rows(tree_id)
        rows.keys += keys
        rows.values += values
        rows.held.update(zip(keys, values, strict=True))
        self._order += [rows] * len(keys)
        size = sum(map(len, keys)) + sum(map(len, values))
        self.size_bytes += size
        self.layer.size_bytes += size + ENTRY_BYTES * len(keys)

    def put_same(self, tree_id: int, key: bytes, value: bytes) -> None:
        """Set a key to the value that was put last, in another tree.

        It is carried once when all rows of a write set are written like that.
        """
        rows = self._rows.get(tree_id) or self._begin_rows(tree_id)
        rows.is_shared = self._has_shared = True
        rows.keys.append(key)
        rows.values.append(value)
        rows.held[key] = value
        self._order.append(rows)
        size = len(key)
        self.size_bytes += size
        # In the file it will stand as often as it was put.
        self.layer.size_bytes += size + len(value) + ENTRY_BYTES

    def put_latest(self, tree_id: int, key: bytes, value: bytes) -> None:
        """Set a key that every operation of a write set rewrites: only its last value is carried.

        It is written after everything else, so such a key must never be deleted.
        """
        latest, row = self._latest, (tree_id, key, value)
        if len(latest) == 1 and latest[0][:2] == (tree_id, key):
            self.size_bytes += len(value) - len(latest[0][2])
            self._latest = (row,)
        else:
            others = [it for it in latest if it[:2] != (tree_id, key)]
            self._latest = (*others, row)
            self.size_bytes += _bytes_of(self._latest) - _bytes_of(latest)
        self.layer.put(tree_id, key, value)

    def delete(self, tree_id: int, key: bytes) -> None:
        """Remove a key, if it is there."""
        rows = self._rows.get(tree_id) or self._begin_rows(tree_id)
        rows.keys.append(key)
        rows.values.append(None)
        rows.held[key] = None
        self._order.append(rows)
        size = len(key)
        self.size_bytes += size
        self.layer.size_bytes += size + ENTRY_BYTES

    def gather(self) -> None:
        """From here on rows need only be in order with those of the same tree."""
        self._is_gathering = True

    def keep_order(self) -> None:
        """What is written from here on is in order, behind all that was written before."""
        if self._is_gathering:
            self._is_gathering = False
            self._rows = {}

    def _begin_rows(self, tree_id: int) -> _Written:
        """Where rows of a tree are written."""
        rows = _Written(tree_id, self.layer.tree(tree_id).values)
        if self._is_gathering:
            self._rows[tree_id] = rows
        else:
            self._rows = {tree_id: rows}
        last = self._parts[-1] if self._parts else b""
        if isinstance(last, bytes):
            self._parts.append([rows])
        else:
            last.append(rows)
        self._head_bytes += _ROWS_HEAD_BYTES
        return rows

    def _add(self, record: bytes) -> None:
        """Write a record; rows that follow are written after it."""
        self._parts.append(record)
        self._order.append(None)
        self._rows = {}
        self._head_bytes += _SET_HEAD_BYTES

    def delete_range(self, tree_id: int, first: bytes, stop: bytes | None = None) -> None:
        """Remove all keys from `first` to before `stop`, or to the end."""
        if stop is None:
            self._add(HEAD.pack(DELETE_FROM, tree_id, len(first), 0) + first)
        else:
            self._add(HEAD.pack(DELETE_RANGE, tree_id, len(first), len(stop)) + first + stop)
        self.size_bytes += len(first) + len(stop or b"")
        self.layer.delete_range(tree_id, first, stop)

    def forget(self, tree_id: int, first: bytes, stop: bytes | None) -> int:
        """Some of what was written to a range that is about to be deleted goes; how much.

        Whoever may have written very much calls it until that is 0, and reads nothing meanwhile.
        """
        return self.layer.forget(tree_id, first, stop, DROPPED_COUNT)

    def write_rows(self, columns: Sequence[Column], keys: list[bytes]) -> None:
        """Write the rows that follow from `keys`, which are carried once; see `columns`.

        What is more than columns may stand for is carried as rows, and counts as these.
        """
        all_rows = make_rows(columns, keys)
        cost = cost_of(columns, len(keys), sum(map(len, keys)))
        if self._expanded_bytes + cost > EXPANDED_BYTES_MAX:
            for rows in all_rows:
                self._write_plainly(rows)
            return
        self._expanded_bytes += cost
        said, carried = encode(columns, keys)
        self._add(b"".join((HEAD.pack(ROWS, 0, len(said), len(carried)), said, carried)))
        self.size_bytes += len(said) + len(carried)
        for rows in all_rows:
            self.layer.put_rows(rows.tree_id, rows.names, rows.values)

    def _write_plainly(self, rows: Rows) -> None:
        if rows.values is not None:
            self.put_all(rows.tree_id, rows.names, rows.values)
            return
        for name in rows.names:
            self.delete(rows.tree_id, name)

    def annotate(self, kind: int, data: bytes) -> None:
        """Tell observers on every member something that is not in a tree."""
        self._add(HEAD.pack(ANNOTATION, kind, 0, len(data)) + data)
        self.size_bytes += len(data)

    def tell_of_all(self, said: Sequence[tuple[int, bytes]]) -> None:
        """Annotate everything that a long operation writes, in all of its parts."""
        for kind, data in said:
            self.annotate(kind, data)
        self.layer.said += said

    def tell(self, mark: Mark, said: Sequence[tuple[int, bytes]]) -> None:
        """Annotate what was written since `mark`, and nothing else: (kind, data) of each.

        Order was kept since (`keep_order`).  Marks that were made since must not be come back to.
        """
        assert not self._is_gathering, "what is gathered has no place in an order"
        place = self._split(mark[0])
        records: list[bytes | list[_Written]] = [
            HEAD.pack(ANNOTATION, kind, 0, len(data)) + data for kind, data in said
        ]
        self._parts[place:place] = records
        self._order[mark[0] : mark[0]] = [None] * len(records)
        self._head_bytes += _SET_HEAD_BYTES * len(records)
        self.size_bytes += sum(len(data) for _, data in said)
        self._add(HEAD.pack(ANNOTATION, END_OF_ANNOTATED, 0, 0))

    def _split(self, count: int) -> int:
        """The place among the parts that has so many rows and records before it, and no more."""
        left = self._order[count:]
        place = len(self._parts)
        records = left.count(None)
        while records:
            place -= 1
            records -= isinstance(self._parts[place], bytes)
        first = next(iter(left), None)
        if first is None:
            return place
        if count and self._order[count - 1] is first:
            first = self._part(first, count)
        while True:
            part = self._parts[place - 1]
            assert isinstance(part, list), "rows lie between records"
            if first in part:
                break
            place -= 1
        position = part.index(first)
        if not position:
            return place - 1
        self._parts[place - 1 : place] = [part[:position], part[position:]]
        return place

    def _part(self, rows: _Written, count: int) -> _Written:
        """Have those rows of a tree that were written behind so many stand apart from the others.

        Order was kept since, so they are the next ones, and the last of theirs.
        """
        apart = _Written(rows.tree_id, rows.held)
        apart.is_shared = rows.is_shared
        kept = len(rows.keys) - self._order[count:].count(rows)
        apart.keys, apart.values = rows.keys[kept:], rows.values[kept:]
        del rows.keys[kept:], rows.values[kept:]
        self._order[count:] = [apart if it is rows else it for it in self._order[count:]]
        part = next(it for it in reversed(self._parts) if isinstance(it, list) and rows in it)
        part.insert(part.index(rows) + 1, apart)
        if self._rows.get(rows.tree_id) is rows:
            self._rows[rows.tree_id] = apart
        self._head_bytes += _ROWS_HEAD_BYTES
        return apart

    def tree(self, name: str) -> Tree:
        """The tree of that name; made, on every member, when it is not there.

        Raises:
            BadTreeName: the name breaks the rules.
            TooManyTrees: there are as many as there can be.

        """
        check_name(name)
        held = self.get(CATALOG_ID, name.encode())
        if held is not None:
            return Tree(int.from_bytes(held, "big"), name)
        ids = [int.from_bytes(value, "big") for _, value in self.iterate(CATALOG_ID)]
        tree_id = max([FIRST_TREE_ID - 1, *ids]) + 1
        if tree_id > LAST_TREE_ID:
            raise TooManyTrees(
                f"{name!r} would be one more tree than the {LAST_TREE_ID} that a database has in "
                "its life: put what is alike into one, behind keys of several parts"
            )
        self.put(CATALOG_ID, name.encode(), tree_id.to_bytes(2, "big"))
        return Tree(tree_id, name)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written."""
        return not self._order and not self._latest

    @property
    def encoded_bytes(self) -> int:
        """At least the size of the write set."""
        rows = len(self._order) + 2 * len(self._latest)
        size = self.size_bytes + self._head_bytes + _ROW_HEAD_BYTES * rows
        return size + (self._repeated_bytes() if self._has_shared else 0)

    def _repeated_bytes(self) -> int:
        """What is carried twice, because rows were not written like those before."""
        repeated, before = 0, Puts(0, [], [])
        for part in self._parts:
            for rows in () if isinstance(part, bytes) else part:
                if rows.is_shared and not repeats(rows, before):
                    repeated += _bytes_of_values(rows)
                before = rows
        return repeated

    def savepoint(self) -> Mark:
        """A mark to come back to."""
        return len(self._order), self._latest

    def rollback(self, mark: Mark) -> None:
        """Undo every write since `mark`; it costs what is written anew, which is what is kept."""
        if self.savepoint() == mark:
            return
        count, self._latest = mark
        for rows in reversed(self._order[count:]):
            if rows is None:
                while not isinstance(self._parts.pop(), bytes):
                    pass  # its rows are gone already
            else:
                rows.keys.pop()
                rows.values.pop()
        del self._order[count:]
        self.cost += count // _KEPT_A_ROW
        if self._parts and not isinstance(last := self._parts[-1], bytes):
            kept = [rows for rows in last if rows.keys]
            self._parts[-1:] = [kept] if kept else []
        self._rows = {}
        self._head_bytes = _SET_HEAD_BYTES + sum(map(_head_bytes_of, self._parts))
        self.size_bytes = sum(map(_bytes_of_part, self._parts)) + _bytes_of(self._latest)
        self.layer.trees.clear()
        self.layer.size_bytes = 0
        self.layer.carry_out(self.encode())

    def take_part(self, *, is_last: bool) -> bytes:
        """Hand over what was written since the last call, as a write set; the layer stays.

        What is written by `put_latest` is in the last part alone.  There is no way back then.
        """
        parts, self._parts = self._parts, []
        self._rows = {}
        self._order = []
        self._expanded_bytes = 0
        self._head_bytes = _SET_HEAD_BYTES
        if is_last:
            return _encode(parts, self._latest)
        self.size_bytes = _bytes_of(self._latest)
        return _encode(parts, ())

    def encode(self) -> bytes:
        """The write set."""
        return _encode(self._parts, self._latest)


def _encode(parts: Sequence[bytes | list[_Written]], latest: _Latest) -> bytes:
    """Records where they stand, and rows as one between two of them; the latest behind all else."""
    encoded: list[bytes] = []
    rows: list[Puts] = []
    for part in parts:
        if isinstance(part, bytes):
            if rows:
                encoded.append(encode_rows(rows))
                rows = []
            encoded.append(part)
        else:
            rows += part
    rows += [Puts(tree_id, [key], [value]) for tree_id, key, value in latest]
    if rows:
        encoded.append(encode_rows(rows))
    return b"".join(encoded)


def _head_bytes_of(part: bytes | list[_Written]) -> int:
    return _SET_HEAD_BYTES if isinstance(part, bytes) else len(part) * _ROWS_HEAD_BYTES


def _bytes_of_part(part: bytes | list[_Written]) -> int:
    """What counts of it as written."""
    if isinstance(part, bytes):
        return len(part)
    return sum(
        sum(map(len, rows.keys)) + (0 if rows.is_shared else _bytes_of_values(rows))
        for rows in part
    )


def _bytes_of_values(rows: Puts) -> int:
    return sum(len(it) for it in rows.values if it is not None)


def _bytes_of(latest: _Latest) -> int:
    return sum(len(key) + len(value) for _, key, value in latest)
