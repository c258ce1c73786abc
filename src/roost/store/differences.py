"""What write sets change, key by key, with what was there before.

Records are taken in their order: each put, each key that a delete or a deleted range takes away,
with the value just before that record, which may be of the same write set.  A delete of what was
not there changes nothing.  A long write has no such order: what came of each key counts, once.

`Differences` begins with a view of the state before a write set, and keeps what it has gone
through in a layer of its own above it: so one view, held, is enough for any number of write sets,
one after the other, part by part.

Annotations are about what lies between them and their end (`Txn.tell`), or the end of the write
set.  Where nothing does, of the trees that are asked for, there is a difference without a tree.

Full?  A page of a range is PAGE_ROWS.  Between two differences there may be any number of records
that change nothing, or are of other trees: so there is a pause, which is None, after each
PAUSE_RECORDS, and whoever goes through has to end its turn there.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from roost.store.layer import MISSING, Layer
from roost.store.long_write import LongChanges
from roost.store.view import View
from roost.store.write_set import (
    ANNOTATION,
    DELETE,
    DELETE_FROM,
    DELETE_RANGE,
    END_OF_ANNOTATED,
    PUT,
    Changes,
    Write,
)

PAGE_ROWS = 256
# Records between two pauses: half a millisecond of looking at what concerns nobody.
PAUSE_RECORDS = 1000
# Keys of a long write that are listed in one step.
LISTED_MAX = 4000
Said = tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One key, before and after; None = it is not there.  No tree: annotations alone."""

    tree_id: int | None
    key: bytes
    before: bytes | None
    value: bytes | None
    annotations: Said


class Keeper(Protocol):
    """Who can have a layer stay as it is: `LayerStack`."""

    def keep(self, layer: Layer) -> None:
        """From now on."""

    def let_go(self, layer: Layer) -> None:
        """It need not any more."""


class Records:
    """What a write set has of some trees, as long as it is needed; whoever has it closes it."""

    __slots__ = ("_changes", "_keeper", "_kept", "_trees", "_writes", "size_bytes")

    def __init__(
        self, changes: Changes, trees: Collection[int], keeper: Keeper | None = None
    ) -> None:
        """Keep it: of a long write what concerns `trees`, since its layer goes on to change.

        One of many keys is not listed if `keeper` can have its layer stay; it must not be applied
        so far.
        """
        self._changes = changes
        self._trees = frozenset(trees)
        self._writes: list[Write] | None = None
        self._keeper = keeper
        self._kept: Layer | None = None
        self.size_bytes = len(changes.payload)
        if isinstance(changes, LongChanges):
            layer = changes.layer
            self.size_bytes = layer.size_bytes
            if keeper is None or layer.row_count <= LISTED_MAX:
                self._writes = list(_rows_of(layer, self._trees))
            else:
                keeper.keep(layer)
                self._kept = layer

    @property
    def writes(self) -> Iterable[Write]:
        """In order; to be gone through before it is closed."""
        if self._kept is not None:
            return _rows_of(self._kept, self._trees)
        return self._changes.writes if self._writes is None else self._writes

    def close(self) -> None:
        """It is needed no more; done again it does nothing."""
        kept, self._kept = self._kept, None
        if kept is not None and self._keeper is not None:
            self._keeper.let_go(kept)


def _rows_of(layer: Layer, trees: frozenset[int]) -> Iterator[Write]:
    """The records of a long write: what it says, its ranges, and then what came of each key."""
    for kind, data in layer.said:
        yield ANNOTATION, kind, b"", data
    for tree_id in sorted(layer.trees):
        if tree_id in trees:
            tree = layer.trees[tree_id]
            for first, stop in tree.ranges:
                yield DELETE_FROM if stop is None else DELETE_RANGE, tree_id, first, stop
            for key, value in tree.values.items():
                yield DELETE if value is None else PUT, tree_id, key, value


class Differences:
    """See the module; one owner, one thread."""

    def __init__(self, below: View | None) -> None:
        """`below` is the state before the first write set; None = nobody knows that any more.

        Then each delete counts, `before` says nothing, and of a range nothing is told.
        """
        self._below = below
        self._layer = Layer()

    def of(self, records: Records, trees: Collection[int]) -> Iterator[Difference | None]:
        """What the next write set changes in `trees`; to be taken to its end before another one.

        None is a pause.

        Raises:
            HeldViewLost: the view is gone.

        """
        notes = _Notes()
        for count, (kind, tree_id, key, value) in enumerate(records.writes, 1):
            if not count % PAUSE_RECORDS:
                self._layer.put_in_order()
                yield None
            if kind == ANNOTATION:
                if tree_id != END_OF_ANNOTATED:
                    notes.add(tree_id, value or b"")
                    continue
                if notes.is_untold:
                    yield Difference(None, b"", None, None, notes.take())
                notes = _Notes()
            elif tree_id in trees:
                if kind in (PUT, DELETE):
                    before = self._replace(tree_id, key, value)
                    if kind == PUT or before is not None or self._below is None:
                        yield Difference(tree_id, key, before, value, notes.take())
                else:
                    for row in self._take_range(tree_id, key, value):
                        if row is None:
                            yield None
                        else:
                            yield Difference(tree_id, row[0], row[1], None, notes.take())
        if notes.is_untold:
            yield Difference(None, b"", None, None, notes.take())

    def _replace(self, tree_id: int, key: bytes, value: bytes | None) -> bytes | None:
        """Set a key; what it was."""
        tree = self._layer.tree(tree_id)
        before = tree.get(key)
        tree.values[key] = value
        if before is not MISSING:
            return before
        return None if self._below is None else self._below.get(tree_id, key)

    def _take_range(
        self, tree_id: int, first: bytes, stop: bytes | None
    ) -> Iterator[tuple[bytes, bytes] | None]:
        """The rows of a range, which then goes away; None is a pause."""
        place = first
        while self._below is not None and (stop is None or place < stop):
            # The stack below may have been lined up anew since the last page.
            page = self._below.under(self._layer).scan(tree_id, place, stop, limit=PAGE_ROWS)
            yield from page
            if len(page) < PAGE_ROWS:
                break
            place = page[-1][0] + b"\0"
        tree = self._layer.tree(tree_id)
        while tree.drop(first, stop, PAUSE_RECORDS) == PAUSE_RECORDS:
            yield None
        tree.hide(first, stop)


class _Notes:
    """Annotations of what follows them."""

    __slots__ = ("_said", "_taken", "is_untold")

    def __init__(self) -> None:
        self._said: list[tuple[int, bytes]] = []
        self._taken: Said | None = ()
        self.is_untold = False

    def add(self, kind: int, data: bytes) -> None:
        self._said.append((kind, data))
        self._taken, self.is_untold = None, True

    def take(self) -> Said:
        """All of them, for a difference."""
        self.is_untold = False
        if self._taken is None:
            self._taken = tuple(self._said)
        return self._taken
