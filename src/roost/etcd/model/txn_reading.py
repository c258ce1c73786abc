"""A transaction that writes nothing, read in steps: the answers of its ranges, one in the other.

How long a field is stands before it, so all ranges are measured before the first byte is sent.
Its operations see the state before it, as all of it is one state.
"""

from collections.abc import Generator, Iterator

from roost.database.model import View
from roost.etcd.model.mvcc import Mvcc
from roost.etcd.model.plans import Plan, check_revisions, operations_of, plan_of
from roost.etcd.model.ranges import RangeReading, Room, single_body, units_of
from roost.etcd.model.wire import revision_header, varint
from roost.proto import rpc_pb2 as pb

# What the answer is made of, in order: bytes, and ranges that have been measured.
_Parts = list[bytes | RangeReading]


class TxnReading:
    """One transaction: `measure` to its end, then `pieces`, then `close`."""

    def __init__(self, mvcc: Mvcc, view: View, request: pb.TxnRequest, *, room: Room) -> None:
        """Read `view`."""
        mvcc.counts.transactions += 1
        self._mvcc, self._view, self._room = mvcc, view, room
        self._request = request
        self._current = mvcc.revision(view)
        self._header = revision_header(self._current)
        self._readings: list[RangeReading] = []
        self._parts: _Parts = []
        # Of what was read since the last step ended.
        self._cost = 1
        self.size = 0

    @property
    def is_kept(self) -> bool:
        """Whether all pieces are kept, so that the view is read no more."""
        return all(it.is_kept for it in self._readings)

    @property
    def last_cost(self) -> int:
        """What the last step of measuring has cost."""
        return self._cost

    def close(self) -> None:
        """Keep nothing any more."""
        for reading in self._readings:
            reading.close()
        self._parts.clear()

    def measure(self) -> Generator[int, None, None]:
        """Find out how long the answer is; yields what a step has cost.

        Raises:
            Refused: a range asks for a revision that is gone, or not there yet.

        """
        plan = yield from plan_of(self._mvcc, self._view, self._request)
        yield from check_revisions(self._mvcc, self._view, operations_of(plan))
        self._parts = yield from self._measured(plan)
        self.size = _size_of(self._parts)

    def _measured(self, plan: Plan) -> Generator[int, None, _Parts]:
        """The fields of a TxnResponse behind its header."""
        parts: _Parts = [b"\x10\x01"] if plan.succeeded else []
        for position, step in enumerate(plan.steps):
            if position:
                yield self._cost
            if isinstance(step, Plan):
                inner = yield from self._measured(step)
                response = _field(b"\x22", [b"\x0a\x00", *inner])
            else:
                response = yield from self._measured_range(step.request_range)
            parts += _field(b"\x1a", response)
        return parts

    def _measured_range(self, request: pb.RangeRequest) -> Generator[int, None, _Parts]:
        mvcc, view, current = self._mvcc, self._view, self._current
        self._cost = 1
        if not request.range_end:
            body = yield from single_body(mvcc, view, request, current)
            self._cost += units_of(body)
            return _field(b"\x0a", [self._header, body])
        reading = RangeReading(mvcc, view, request, current, room=self._room)
        self._readings.append(reading)
        yield from reading.measure()
        self._cost += reading.last_cost
        return _field(b"\x0a", [self._header, reading])

    def pieces(self) -> Iterator[bytes]:
        """The answer, of `size` bytes; a step each."""
        small: list[bytes] = []
        for part in self._parts:
            if isinstance(part, bytes):
                small.append(part)
                continue
            yield b"".join(small)
            small.clear()
            yield from part.pieces()
        yield b"".join(small)


def _size_of(parts: _Parts) -> int:
    return sum(len(it) if isinstance(it, bytes) else it.size for it in parts)


def _field(tag: bytes, parts: _Parts) -> _Parts:
    """A length-delimited field."""
    return [tag + varint(_size_of(parts)), *parts]
