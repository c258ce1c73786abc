"""What an operation reads and writes with: trees like dicts that are in order.

A transaction sees everything that was decided before it, and its own writes.  All of it happens, or
nothing.  It is good until its operation returns, and not afterwards.

Iteration goes on in pages of PAGE_ROWS rows: what is written to a tree meanwhile is seen when it
lies ahead, and never breaks the iteration.
"""

from collections.abc import Callable, Iterator, MutableMapping
from types import TracebackType
from typing import Any, Generic, TypeVar, overload

from roost.database.bounds import (
    PAGE_ROWS,
    Range,
    Shape,
    check_limit,
    check_users_name,
    shape_of,
)
from roost.database.conventions import WritableMultiTree, WritableQueue, multi_shape
from roost.database.errors import BadKey, TransactionOver
from roost.database.limits import TreeLimits
from roost.database.moments import Moment, no_moment
from roost.database.rows import Rows

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class Transaction:
    """One transaction; see the module."""

    def __init__(self, rows: Rows, moment: Callable[[], Moment] = no_moment) -> None:
        """Begin on `rows`; `moment` tells the time where it runs."""
        self._rows: Rows | None = rows
        self._moment = moment
        # The savepoints that can be come back to, by number, and the next number.
        self._places: list[int] = []
        self._place_count = 0

    def rows(self) -> Rows:
        """What it stands on.

        Raises:
            TransactionOver: it is over.

        """
        if self._rows is None:
            raise TransactionOver(
                "this transaction is over: return what you need from its function, or read it anew"
            )
        return self._rows

    def end(self) -> None:
        """It is over: whoever keeps it cannot use it any more."""
        self._rows = None

    @overload
    def tree(self, name: str) -> "WritableTree[bytes, bytes]": ...
    @overload
    def tree(self, name: str, *, key: type[K]) -> "WritableTree[K, bytes]": ...
    @overload
    def tree(self, name: str, *, value: type[V]) -> "WritableTree[bytes, V]": ...
    @overload
    def tree(self, name: str, *, key: type[K], value: type[V]) -> "WritableTree[K, V]": ...
    def tree(
        self, name: str, *, key: type[Any] = bytes, value: type[Any] = bytes
    ) -> "WritableTree[Any, Any]":
        """The tree of that name; its first write makes it, and says what is in it.

        Raises:
            BadTreeName, NotYourTree: no tree of yours can have that name.
            BadKey, BadValue: keys or values cannot be of these types.
            OtherCodec: the tree was made with other types.

        """
        shape = shape_of(name, key, value)
        self.rows().open(name, shape.keys.name, shape.values.name)
        return WritableTree(shape, self.rows)

    def multi_tree(self, name: str, *, key: type[K], value: type[V]) -> WritableMultiTree[K, V]:
        """The tree of that name, which begins with `@`: many values under a key, in order.

        Raises:
            BadTreeName, NotYourTree, BadKey, OtherCodec: as `tree`.

        """
        shape = multi_shape(name, key, value)
        self.rows().open(name, shape.keys.name, shape.values.name)
        return WritableMultiTree(shape, self.rows)

    @overload
    def queue(self, name: str) -> WritableQueue[bytes]: ...
    @overload
    def queue(self, name: str, *, value: type[V]) -> WritableQueue[V]: ...
    def queue(self, name: str, *, value: type[Any] = bytes) -> WritableQueue[Any]:
        """The queue of that name: append at the end, take from the start.

        Raises:
            BadTreeName, NotYourTree, BadValue, OtherCodec: as `tree`.

        """
        return WritableQueue(name, value, self.rows)

    def delete_range(self, tree: str, first: bytes = b"", stop: bytes | None = None) -> None:
        """Remove all keys of a tree from `first` to before `stop`, as bytes; None = the end.

        It costs one row, whatever it removes.

        Raises:
            BadTreeName, NotYourTree: it is no tree of yours.
            BadKey: the bounds are not bytes.

        """
        check_users_name(tree)
        if not isinstance(first, bytes) or not isinstance(stop, bytes | None):
            raise BadKey(f"{first!r} to {stop!r}: the bounds are bytes, and None is the end")
        self.rows().delete_range(tree, first, stop)

    def describe(
        self, tree: str, purpose: str, *, key_bytes_max: int = 0, value_bytes_max: int = 0
    ) -> None:
        """Say what a tree is for, and how large its keys and values may be; 0 = as the database.

        `roost trees` shows it.

        Raises:
            BadTreeName, NotYourTree: it is no tree of yours.
            BadValue: the purpose is no text, or too long; or no key or value can be so large.

        """
        check_users_name(tree)
        self.rows().describe(tree, purpose, TreeLimits(key_bytes_max, value_bytes_max))

    def annotate(self, kind: int, data: bytes) -> None:
        """Have observers on every member told `data`, with what this transaction writes.

        `kind` is a number of yours from 256 to 65535.

        Raises:
            BadKey, BadValue: they are not.

        """
        self.rows().annotate(kind, data)

    def moment(self) -> Moment:
        """Now, by the clock of the member where it runs, which never goes back.

        Two moments can be compared when their clocks are the same: another member has another one,
        and so has the same member when it was started again.
        """
        return self._moment()

    def savepoint(self) -> "Savepoint":
        """A place to come back to.

        As a context manager it undoes what was written in its block when that raises, and lets the
        error go on.  Undoing carries out the rest of the batch again, which is not for free.
        """
        self._place_count += 1
        made = Savepoint(self.rows, self._places, self._place_count)
        self._places.append(self._place_count)
        return made


class Savepoint:
    """A place in a transaction."""

    def __init__(self, rows: Callable[[], Rows], places: list[int], number: int) -> None:
        """Here, behind the other `places` of the transaction."""
        self._rows = rows
        self._places = places
        self._depth, self._number = len(places), number
        self._mark = rows().savepoint()

    def rollback(self) -> None:
        """Undo what was written since, savepoints among it; it may be come back to again.

        Raises:
            TransactionOver: one before it was come back to, so this one never was.

        """
        rows, places = self._rows(), self._places
        if self._depth >= len(places) or places[self._depth] != self._number:
            raise TransactionOver(
                "this savepoint was undone with one before it: what was written since is not known "
                "any more; make another"
            )
        rows.rollback(self._mark)
        del places[self._depth + 1 :]

    def __enter__(self) -> "Savepoint":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.rollback()


class WritableTree(MutableMapping[K, V], Generic[K, V]):
    """One tree in a transaction: a mapping in the order of its keys.

    Keys and values of another type are refused with BadKey and BadValue, too large ones with
    KeyTooLarge and ValueTooLarge.
    """

    def __init__(self, shape: Shape[K, V], rows: Callable[[], Rows]) -> None:
        """Read and write `rows()`, as long as there are any."""
        self._shape = shape
        self._rows = rows
        self._encode_key, self._decode_key = shape.keys.encode, shape.keys.decode

    @property
    def name(self) -> str:
        """The tree's name."""
        return self._shape.name

    def __getitem__(self, key: K) -> V:
        held = self._rows().get(self._shape.name, self._encode_key(key))
        if held is None:
            raise KeyError(key)
        return self._shape.values.decode(held)

    def __contains__(self, key: object) -> bool:
        encoded = self._encode_key(key)  # type: ignore[arg-type]  # it refuses what is no key
        return self._rows().get(self._shape.name, encoded) is not None

    def __setitem__(self, key: K, value: V) -> None:
        content = self._shape.values.encode(value)
        self._rows().put(self._shape.name, self._encode_key(key), content)

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        self._rows().delete(self._shape.name, self._encode_key(key))

    def __iter__(self) -> Iterator[K]:
        return self.keys()

    def __len__(self) -> int:
        """How many keys there are; it walks over them."""
        return self.count()

    def discard(self, key: K) -> None:
        """Remove a key, if it is there; unlike `del`, it reads nothing."""
        self._rows().delete(self._shape.name, self._encode_key(key))

    def delete_range(
        self, *, first: K | None = None, stop: K | None = None, prefix: Any = None
    ) -> None:
        """Remove all keys of a range; it costs one row, whatever it removes."""
        found = self._shape.range(first, stop, prefix)
        self._rows().delete_range(self._shape.name, found.first, found.stop)

    def clear(self) -> None:
        """Remove all keys; it costs one row."""
        self.delete_range()

    def _raw(
        self, found: Range, limit: int | None, *, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        check_limit(limit)
        left = limit
        while left is None or left > 0:
            count = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
            page = self._rows().scan(
                self._shape.name, found.first, found.stop, reverse=reverse, limit=count
            )
            yield from page
            if len(page) < count:
                return
            found = found.behind(page[-1][0], reverse=reverse)
            left = None if left is None else left - count

    def items(  # type: ignore[override]  # bounds, and an iterator: a view would promise a set
        self,
        *,
        first: K | None = None,
        stop: K | None = None,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[tuple[K, V]]:
        """Keys and values of a range in order, from the end with `reverse`."""
        found, row = self._shape.range(first, stop, prefix), self._shape.row
        return (row(*it) for it in self._raw(found, limit, reverse=reverse))

    def keys(  # type: ignore[override]  # as `items`
        self,
        *,
        first: K | None = None,
        stop: K | None = None,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[K]:
        """Keys of a range in order, from the end with `reverse`."""
        found, decode = self._shape.range(first, stop, prefix), self._decode_key
        return (decode(key) for key, _ in self._raw(found, limit, reverse=reverse))

    def values(  # type: ignore[override]  # as `items`
        self,
        *,
        first: K | None = None,
        stop: K | None = None,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[V]:
        """Values of a range in the order of their keys, from the end with `reverse`."""
        found, decode = self._shape.range(first, stop, prefix), self._shape.values.decode
        return (decode(value) for _, value in self._raw(found, limit, reverse=reverse))

    def first(self) -> tuple[K, V] | None:
        """The first row, or None."""
        return next(self.items(limit=1), None)

    def last(self) -> tuple[K, V] | None:
        """The last row, or None."""
        return next(self.items(limit=1, reverse=True), None)

    def count(self, *, first: K | None = None, stop: K | None = None, prefix: Any = None) -> int:
        """How many keys are in a range; it walks over them."""
        found = self._shape.range(first, stop, prefix)
        return sum(1 for _ in self._raw(found, None, reverse=False))
