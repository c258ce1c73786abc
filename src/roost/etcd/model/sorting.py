"""Sorts what a range finds by something else than its keys, without a step that is long.

Of each row it keeps what it is sorted by and the name by which the row is found again.  They are
sorted in runs, and the runs merged; when few are wanted, only the best of each part are looked at,
and a row that is no better than the worst of those that are kept is only counted.  Those that are
equal stay in the order of their keys.

Full?  What it keeps is counted against the room of all answers in the making; a range that there
is no room to sort is refused.
"""

from collections.abc import Callable, Iterator, Sequence
from heapq import merge, nlargest, nsmallest
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, Protocol

import msgspec

from roost.errors import Overloaded
from roost.etcd.model.wire import KeyValue
from roost.proto import kv_pb2
from roost.proto import rpc_pb2 as pb

# The library's own is the quicker one where of a long value only a field is asked for.
Sortable = KeyValue | kv_pb2.KeyValue

SORT_KEYS: dict[int, Callable[[Sortable], Any]] = {
    pb.RangeRequest.KEY: lambda kv: kv.key,
    pb.RangeRequest.VERSION: lambda kv: kv.version,
    pb.RangeRequest.CREATE: lambda kv: kv.create_revision,
    pb.RangeRequest.MOD: lambda kv: kv.mod_revision,
    pb.RangeRequest.VALUE: lambda kv: kv.value,
}
RUN_COUNT_MAX = 2048
# With a limit as low as that only the best are kept.
BEST_COUNT_MAX = 1024
# What Python keeps of a row, besides its bytes.
_ROW_BYTES = 200
_MERGED_PER_STEP = 512


class Memory(Protocol):
    """What may be kept."""

    def take(self, count: int) -> bool: ...
    def give_back(self, count: int) -> None: ...


class Found(NamedTuple):
    """A row: what it is sorted by, by which name it is found again, and how it is encoded."""

    kv: Sortable
    name: bytes
    encoded: bytes


class _Sorted(msgspec.Struct, gc=False, frozen=True):
    """A row; the collector need not look at a million of them."""

    by: Any  # a number or bytes, all of one sorting alike
    name: bytes
    size: int

    @property
    def kept_bytes(self) -> int:
        """What it takes in memory."""
        return _ROW_BYTES + len(self.name) + (len(self.by) if isinstance(self.by, bytes) else 0)


_BY, _FIRST = attrgetter("by"), itemgetter(0)


class Sorting:
    """One sorting: `add` all, part by part, `finish`, then `names` has them in order."""

    def __init__(
        self, request: pb.RangeRequest, room: Memory, size_of: Callable[[bytes], int]
    ) -> None:
        """Sort as `request` says; `size_of` is how much an encoded row takes in the answer."""
        self._by = SORT_KEYS[request.sort_target]
        self._is_descending = request.sort_order == pb.RangeRequest.DESCEND
        self._limit = max(0, request.limit)
        self._size_of = size_of
        self._room = room
        self._room_bytes = 0
        # By what the worst of the best is sorted, once there are as many as are wanted.
        self._worst: Any = None
        self._runs: list[list[_Sorted]] = []
        self._run: list[_Sorted] = []
        # How many were added; and of those that are wanted, their names and the sum of their sizes.
        self.count = 0
        self.names: list[bytes] = []
        self.size = 0

    def add(self, rows: Sequence[Found]) -> None:
        """Sort a part in.

        Raises:
            Overloaded: there is no room for it.

        """
        self.count += len(rows)
        by_of, worst = self._by, self._worst
        part = [(by_of(kv), name, encoded) for kv, name, encoded in rows]
        # Whoever is no better than the worst would stand behind it, as its key does.
        if worst is not None and self._is_descending:
            part = [it for it in part if it[0] > worst]
        elif worst is not None:
            part = [it for it in part if it[0] < worst]
        if 0 < self._limit < len(part):
            choose = nlargest if self._is_descending else nsmallest
            part = choose(self._limit, part, key=_FIRST)
        for by, name, encoded in part:
            self._keep(_Sorted(by, name, self._size_of(encoded)))

    def _keep(self, row: _Sorted) -> None:
        if not self._room.take(row.kept_bytes):
            raise Overloaded("there is no room to sort so large a range")
        self._room_bytes += row.kept_bytes
        self._run.append(row)
        if len(self._run) >= RUN_COUNT_MAX:
            self._end_run()

    def _end_run(self) -> None:
        """Sort what was added last; of little that is wanted keep no more than that."""
        run, self._run = self._run, []
        if 0 < self._limit <= BEST_COUNT_MAX:
            best = self._runs.pop() if self._runs else []
            run = best + run
            run.sort(key=_BY, reverse=self._is_descending)
            for it in run[self._limit :]:
                self._release(it)
            del run[self._limit :]
            if len(run) == self._limit:
                self._worst = run[-1].by
        else:
            run.sort(key=_BY, reverse=self._is_descending)
        self._runs.append(run)

    def _release(self, row: _Sorted) -> None:
        self._room.give_back(row.kept_bytes)
        self._room_bytes -= row.kept_bytes

    def finish(self) -> Iterator[int]:
        """All were added: bring them into order; yields what a step has cost."""
        self._end_run()
        merged = merge(*self._runs, key=_BY, reverse=self._is_descending)
        wanted = islice(merged, self._limit or None)
        while True:
            part = list(islice(wanted, _MERGED_PER_STEP))
            self.names += [it.name for it in part]
            self.size += sum(it.size for it in part)
            if len(part) < _MERGED_PER_STEP:
                break
            yield _MERGED_PER_STEP // 2
        self._runs.clear()

    def close(self) -> None:
        """Keep nothing any more."""
        self._room.give_back(self._room_bytes)
        self._room_bytes = 0
        self._runs, self._run, self.names = [], [], []
