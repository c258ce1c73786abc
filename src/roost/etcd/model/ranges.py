"""Ranges: what is answered to a read of keys (etcd api: RangeRequest, RangeResponse).

A range is read in two passes, each in parts that take about a millisecond (D14).  The first one
measures: it counts, sorts where an order is asked for, and says at last how long the answer is.
The second one makes it, in pieces.  What the first one has seen it keeps while there is `Room`, so
nearly all answers are made of one pass; a longer one is read again and sent as it is made.

An answer is the join of the values as they are stored, but for what asks for more than that: an
order, revisions within bounds, or keys alone.
"""

from collections.abc import Generator, Iterator

from roost.database.model import Txn, View
from roost.errors import Overloaded
from roost.etcd import errors
from roost.etcd.model.costs import BYTES_A_ROW_LOG2, Costs
from roost.etcd.model.mvcc import Mvcc, range_stop
from roost.etcd.model.page_counts import Rest
from roost.etcd.model.rows import BYTES_MAX, ROWS_MAX, CurrentRows, OldRows, Row, Rows
from roost.etcd.model.sorting import Found, Sorting
from roost.etcd.model.wire import (
    decode_key_value,
    field,
    number_field,
    varint,
    without_value,
)
from roost.proto import kv_pb2
from roost.proto import rpc_pb2 as pb

Steps = Generator[int, None, None]


class Room:
    """What answers in the making may keep in memory, all together."""

    def __init__(self, bytes_max: int) -> None:
        """Nothing is kept."""
        self._bytes_max = bytes_max
        self.bytes = 0

    def take(self, count: int) -> bool:
        """Keep so many bytes more, if there is room."""
        if self.bytes + count > self._bytes_max:
            return False
        self.bytes += count
        return True

    def give_back(self, count: int) -> None:
        """Keep so many less."""
        self.bytes -= count


UNBOUNDED = Room(1 << 60)


def one_key_body(mvcc: Mvcc, view: View, key: bytes) -> bytes:
    """What `range_pieces` says to a request that names a key and nothing else."""
    mvcc.counts.ranges += 1
    encoded = view.get(mvcc.kv, key)
    return b"" if encoded is None else field(b"\x12", encoded) + b"\x20\x01"


def range_pieces(
    mvcc: Mvcc, view: View, request: pb.RangeRequest, current: int, room: Room
) -> Costs[list[bytes]]:
    """The RangeResponse without its header, in pieces (etcd: applierV3backend.Range).

    Yields what a step has cost.

    Raises:
        Refused: the revision asked for is gone, or not there yet; there is no room for the answer.

    """
    if not request.range_end:
        body = yield from single_body(mvcc, view, request, current)
        take_room(room, len(body))
        return [body]
    reading = RangeReading(mvcc, view, request, current, room=room)
    try:
        yield from reading.measure()
    except Overloaded as error:
        raise errors.answer_too_large() from error  # it is sorted by more than there is room for
    yield reading.last_cost
    if reading.is_kept:
        return list(reading.pieces())
    take_room(room, reading.size)
    pieces = []
    for piece in reading.pieces():
        pieces.append(piece)
        yield 1 + (len(piece) >> BYTES_A_ROW_LOG2)
    reading.close()
    return pieces


def units_of(body: bytes) -> int:
    """What it costs to read so much at once, and to hand it on."""
    return len(body) >> BYTES_A_ROW_LOG2


def take_room(room: Room, count: int) -> None:
    """Keep so many bytes more of an answer that has to be whole.

    Raises:
        Refused: there is no room for them.

    """
    if not room.take(count):
        raise errors.answer_too_large()


def single_body(mvcc: Mvcc, view: View, request: pb.RangeRequest, current: int) -> Costs[bytes]:
    """What is answered to a request for one key, however it is asked; of now it takes no step."""
    mvcc.counts.ranges += 1
    revision = request.revision
    if revision > 0:
        mvcc.check_revision(view, revision, current)
    is_current = revision <= 0 or revision == current
    key = request.key
    if is_current:
        encoded = view.get(mvcc.kv, key)
    else:
        encoded = yield from mvcc.at(view, key, revision)
    if encoded is None:
        return b""
    if request.count_only or (_is_filtered(request) and not _passes(request, encoded)):
        return b"\x20\x01"
    return field(b"\x12", without_value(encoded) if request.keys_only else encoded) + b"\x20\x01"


class RangeReading:
    """One range: `measure` to its end, then `pieces`, then `close`."""

    def __init__(
        self,
        mvcc: Mvcc,
        view: View,
        request: pb.RangeRequest,
        current: int,
        *,
        room: Room = UNBOUNDED,
    ) -> None:
        """Read `view`, whose revision is `current`.

        Raises:
            Refused: the revision asked for is gone, or not there yet.

        """
        if request.revision > 0:
            mvcc.check_revision(view, request.revision, current)
        self._mvcc, self._view, self._request = mvcc, view, request
        self._is_current = request.revision <= 0 or request.revision == current
        self._revision = current if self._is_current else request.revision
        # A transaction sees what it has written, and may write more, at the revision it will have.
        self._is_final = not isinstance(view, Txn)
        self._first, self._stop = request.key, range_stop(request.key, request.range_end)
        self._is_filtered = _is_filtered(request)
        is_by_key = request.sort_target == pb.RangeRequest.KEY
        self._is_reverse = is_by_key and request.sort_order == pb.RangeRequest.DESCEND
        self._sorting = None
        if not is_by_key and not request.count_only:
            self._sorting = Sorting(request, room, self._field_size)
        # A row that is decoded costs twice as much as one that is not.
        is_decoded = self._is_filtered or self._sorting is not None
        self._step_rows = ROWS_MAX // 2 if is_decoded else ROWS_MAX
        self._room = room
        self._kept: list[bytes] | None = []
        self._kept_bytes = 0
        self._has_more = False
        self._last_found = b""
        self._tail = b""
        # Of the whole answer, once it is measured; and what the last step of that has cost.
        self.size = 0
        self.last_cost = 1

    @property
    def is_kept(self) -> bool:
        """Whether all pieces are kept, so that the view is read no more."""
        return self._kept is not None

    def close(self) -> None:
        """Keep nothing any more."""
        self._forget()
        sorting, self._sorting = self._sorting, None  # it knows us
        if sorting is not None:
            sorting.close()

    def _forget(self) -> None:
        self._room.give_back(self._kept_bytes)
        self._kept, self._kept_bytes = None, 0

    def measure(self) -> Steps:
        """Find out how long the answer is; yields what a step has cost."""
        self._mvcc.counts.ranges += 1
        if self._request.count_only:
            count = yield from self._count()
        elif self._sorting is not None:
            count = yield from self._sort(self._sorting)
        else:
            count = yield from self._pass_over()
        self.last_cost = 1 + min(count, ROWS_MAX)
        self._tail = (b"\x18\x01" if self._has_more else b"") + number_field(b"\x20", count)
        self.size += len(self._tail)

    def pieces(self) -> Iterator[bytes]:
        """The answer, of `size` bytes; a step each, which may bring nothing."""
        if self._kept is not None:
            yield from self._kept
        elif self._sorting is not None:
            yield from self._sorted_pieces(self._sorting)
        else:
            yield from self._plain_pieces(self._rows())
        yield self._tail

    def _rows(self) -> Rows:
        mvcc, view, reverse = self._mvcc, self._view, self._is_reverse
        if self._is_current:
            return CurrentRows(mvcc, view, self._first, self._stop, reverse=reverse)
        revision = self._request.revision
        return OldRows(mvcc, view, self._first, self._stop, revision, reverse=reverse)

    def _known_count(self) -> int | None:
        """How many keys the range has, where that is known without looking."""
        if self._is_current and self._mvcc.is_newest(self._view):
            return self._mvcc.known_count(self._first, self._stop)
        if not self._is_final:
            return None
        return self._mvcc.page_counts.find(Rest(self._revision, self._first, self._stop))

    def _note_rest(self, count: int) -> None:
        """Remember what follows this page, for who goes on behind its last key."""
        is_in_order = not self._is_reverse and not self._is_filtered
        if self._has_more and is_in_order and self._is_final:
            after = decode_key_value(self._last_found).key + b"\x00"
            rest = Rest(self._revision, after, self._stop)
            self._mvcc.page_counts.note(rest, count - self._request.limit)

    def _count(self) -> Costs[int]:
        known = self._known_count()
        return known if known is not None else (yield from self._count_rest(self._rows()))

    def _count_rest(self, rows: Rows) -> Costs[int]:
        """Count what was taken, and all that follows."""
        rows.skip_values()
        while True:
            rows.take()
            if rows.is_done:
                return rows.taken_count
            yield ROWS_MAX

    def _pass_over(self) -> Costs[int]:
        """Measure what comes in the order of keys, and keep it while there is room."""
        rows = self._rows()
        known: int | None = None
        is_first = True
        for piece in self._plain_pieces(rows):
            self._keep(piece)
            if is_first and self._request.limit > 0 and not rows.is_done:
                known = self._known_count()  # of this turn; later it is another state's
            is_first = False
            if rows.is_done or self._has_more:
                break
            yield ROWS_MAX + (len(piece) >> BYTES_A_ROW_LOG2)
        if rows.is_done:
            count = rows.taken_count
        else:
            count = known if known is not None else (yield from self._count_rest(rows))
        self._note_rest(count)
        return count

    def _keep(self, piece: bytes) -> None:
        self.size += len(piece)
        if self._kept is None:
            return
        if self._room.take(len(piece)):
            self._kept.append(piece)
            self._kept_bytes += len(piece)
        else:
            self._forget()

    def _plain_pieces(self, rows: Rows) -> Iterator[bytes]:
        """The fields of what is found, in the order in which it is."""
        limit = self._request.limit
        left = limit
        while not rows.is_done:
            found = rows.take(self._step_rows if self._is_filtered or limit <= 0 else left + 1)
            passing = self._passing(found)
            if limit > 0 and left < len(passing):
                self._has_more = True
                if left:  # else the step before had all that are wanted, and the last of them
                    self._last_found = passing[left - 1]
                yield self._fields(passing[:left])
                return
            if passing:
                self._last_found = passing[-1]
            left -= len(passing)
            yield self._fields(passing)

    def _passing(self, rows: list[Row]) -> list[bytes]:
        if self._is_filtered:
            return [it for _, it in rows if _passes(self._request, it)]
        return [it for _, it in rows]

    def _fields(self, found: list[bytes]) -> bytes:
        if self._request.keys_only:
            found = [without_value(it) for it in found]
        return b"".join([part for it in found for part in (b"\x12", varint(len(it)), it)])

    def _field_size(self, encoded: bytes) -> int:
        size = len(without_value(encoded) if self._request.keys_only else encoded)
        return 1 + len(varint(size)) + size

    def _sort(self, sorting: Sorting) -> Costs[int]:
        """Bring what is found into an order, by what is needed of it for that."""
        request, rows = self._request, self._rows()
        self._forget()
        # As etcd: who names no order gets the first keys, and only these are sorted.
        is_cut = request.sort_order == pb.RangeRequest.NONE and not self._is_filtered
        wanted = request.limit + 1 if is_cut and request.limit > 0 else 0
        known: int | None = None
        is_first = True
        while not rows.is_done and (not wanted or rows.taken_count < wanted):
            if not is_first:
                yield ROWS_MAX
            left = wanted - rows.taken_count if wanted else self._step_rows
            sorting.add(
                [
                    Found(kv_pb2.KeyValue.FromString(encoded), name, encoded)
                    for name, encoded in rows.take(min(left, self._step_rows))
                    if not self._is_filtered or _passes(request, encoded)
                ]
            )
            if is_first and wanted:
                known = self._known_count()  # of this turn; later it is another state's
            is_first = False
        yield from sorting.finish()
        self._has_more = 0 < request.limit < sorting.count
        self.size = sorting.size
        if rows.is_done:
            return rows.taken_count
        return known if known is not None else (yield from self._count_rest(rows))

    def _sorted_pieces(self, sorting: Sorting) -> Iterator[bytes]:
        rows = self._rows()
        found: list[bytes] = []
        size = 0
        for name in sorting.names:
            encoded = rows.find(name)
            found.append(encoded)
            size += len(encoded)
            if len(found) >= ROWS_MAX or size >= BYTES_MAX:
                yield self._fields(found)
                found, size = [], 0
        yield self._fields(found)


def _is_filtered(request: pb.RangeRequest) -> bool:
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _passes(request: pb.RangeRequest, encoded: bytes) -> bool:
    kv = kv_pb2.KeyValue.FromString(encoded)
    return not (
        (request.min_mod_revision and kv.mod_revision < request.min_mod_revision)
        or (request.max_mod_revision and kv.mod_revision > request.max_mod_revision)
        or (request.min_create_revision and kv.create_revision < request.min_create_revision)
        or (request.max_create_revision and kv.create_revision > request.max_create_revision)
    )
