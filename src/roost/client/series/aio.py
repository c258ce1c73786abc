"""Time series for asyncio: see `roost.client.series`.

Points are gathered, and sent in one request that goes on for as long as the connection does; what
was sent and is not known to be durable is kept, and sent again to another member when one has
gone.  That does no harm: the same points are the same points.

Full?  PENDING_POINTS_MAX are kept; who has more waits until some are durable.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from roost.client.credentials import Credentials
from roost.client.errors import ClientError, OutcomeUnknown, Unreachable
from roost.client.series.asking import Question
from roost.client.series.errors import SeriesRefused
from roost.client.series.framed import points_of
from roost.client.series.members import Members, pause, refusal_of
from roost.client.series.points import Buffer, flush_frame, names_frames
from roost.client.series.requests import Requests
from roost.client.series.ways import Stream, Way

__all__ = ["Appender", "Connection", "Question", "connect"]

# So many points are sent together, and so many may be on their way.
BATCH_POINTS, PENDING_POINTS_MAX = 8192, 262_144
_AGAIN_S = 0.05
# What a member says of itself or of the moment, and not of the points.
_AGAIN = frozenset(("not_executed", "no_leader", "overloaded", "outcome_unknown", "staging_full"))


@dataclass(slots=True)
class _Pending:
    """What was sent and is not known to be durable; `flush` is the question behind it."""

    data: bytes
    point_count: int
    flush: int
    # Whether any of it went to a member, on whatever stream.
    was_sent: bool = False


class Connection(Requests):
    """Points to a cluster, and questions to it; for one event loop.  Use `connect`."""

    def __init__(self, way: Way, *, wait_for_server_flush: bool, timeout_s: float) -> None:
        """Nothing is sent."""
        self.waits = wait_for_server_flush
        super().__init__(way)
        self.buffer = Buffer()
        self._timeout_s = timeout_s
        self._pending: deque[_Pending] = deque()
        self._pending_points = 0
        # How many of `_pending` the stream has taken, and how many names.
        self._sent = self._named = 0
        self._stream: Stream | None = None
        self._flush = 0
        self._sending = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *_rest: object) -> None:
        if kind is None:
            await self.close()
        else:
            self.abandon()

    def series(self, name: str) -> "Appender":
        """What appends to one series."""
        return Appender(self, name)

    async def add(self, name: str, at: Any, value: float) -> None:
        """One point of a series.

        Raises:
            BadPoint: it is none.
            ClientError: as `flush`, of what was sent before.

        """
        if self.buffer.add(await self.number(name), at, value) >= BATCH_POINTS:
            await self.hand_over(self.buffer.take(), BATCH_POINTS)

    async def add_many(self, name: str, times: Any, values: Any) -> None:
        """Points of a series: lists, arrays or columns, as many times as values.

        Raises:
            BadPoint: they are none.
            ClientError: as `flush`, of what was sent before.

        """
        count = self.buffer.add_many(await self.number(name), times, values)
        if count >= BATCH_POINTS:
            await self.hand_over(self.buffer.take(), count)

    async def number(self, name: str) -> int:
        """The number of a series in `buffer`; when all are given, those before are sent first.

        Raises:
            ClientError: as `flush`.

        """
        while (number := self.buffer.number(name)) < 0:
            await self.flush()
            if not len(self.buffer) and not self._pending:
                self.abandon()  # what follows is another request, which has numbers of its own
                self.buffer.forget_names()
        return number

    async def add_frame(
        self, frame: Any, *, time: str = "time", series: str = "", prefix: str = ""
    ) -> None:
        """A frame of pandas, polars or Arrow: a column of times, each other one a series.

        Or, when the column `series` of it says of which each row is, one point a row, of the column
        `value`.  Where a frame has no value (null, and pandas' NaN) there is no point.

        Raises:
            BadPoint: it is none; nothing of it was sent.
            ClientError: as `flush`, of what was sent before.

        """
        for name, times, values in points_of(frame, time, series):
            await self.add_many(prefix + name, times, values)

    async def hand_over(self, frames: Sequence[bytes], count: int) -> None:
        """Send frames that hold so many points; wait only when too much is on its way.

        Raises:
            ClientError: as `flush`.

        """
        if not frames:
            return
        self._flush += 1
        data = b"".join((*frames, flush_frame(self._flush)))
        self._pending.append(_Pending(data, count, self._flush))
        self._pending_points += count
        async with self._sending:
            await self._until(lambda: self._pending_points <= PENDING_POINTS_MAX)

    async def flush(self) -> None:
        """Return when all points are durable on a majority.

        Raises:
            SeriesRefused: a member refused some; which is in the text.  Those behind it were not
                taken, and this connection takes no more: open another one.
            Unreachable: nobody could be reached in time, and none was sent.
            OutcomeUnknown: they were sent, and nobody said in time that they are there.

        """
        count = len(self.buffer)
        await self.hand_over(self.buffer.take(), count)
        async with self._sending:
            await self._until(lambda: not self._pending)

    async def close(self) -> None:
        """Flush, and end; errors of points that nobody has waited for come here.

        Raises:
            ClientError: as `flush`.

        """
        try:
            await self.flush()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End without waiting for anything."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def _until(self, is_done: Any) -> None:
        """Send, and hear what is durable, until enough is."""
        stop_s = time.monotonic() + self._timeout_s
        while True:
            try:
                await self._send_on()
                if is_done():
                    return
                await self._hear()
                stop_s = time.monotonic() + self._timeout_s
            except (OSError, TimeoutError, Unreachable) as error:
                self.abandon()
                self.way.leave()
                if time.monotonic() >= stop_s:
                    raise self._given_up(error) from error
                await pause(_AGAIN_S)

    def _given_up(self, error: OSError | Unreachable) -> ClientError:
        """What nobody has taken in time: whether some of it may be there."""
        said = error.text if isinstance(error, Unreachable) else str(error)
        reason = said or f"no answer within {self._timeout_s:g} s"
        if any(it.was_sent for it in self._pending):
            text = f"points that were sent may be there, or not: {reason}"
            return OutcomeUnknown("UNKNOWN", text)
        return Unreachable("UNAVAILABLE", f"no point was sent: {reason}")

    async def _send_on(self) -> None:
        """Send what the stream has not taken, and names before what has them."""
        if self._stream is None:
            if not self._pending:
                return
            self._stream = await self.way.stream()
            self._sent = self._named = 0
        while self._sent < len(self._pending):
            unsaid = self.buffer.names[self._named :]
            if unsaid:
                for frame in names_frames(unsaid):
                    await self._stream.send(frame)
                self._named += len(unsaid)
            self._pending[self._sent].was_sent = True
            await self._stream.send(self._pending[self._sent].data)
            self._sent += 1

    async def _hear(self) -> None:
        """Take the next line that is answered."""
        assert self._stream is not None, "something was sent"
        line = await self._stream.line()
        if self._stream.status != 200:
            raise _told(self._stream.status, line)
        said = msgspec.json.decode(line) if line else {}
        if "error" in said:
            if said["error"] in _AGAIN:
                raise ConnectionResetError(said.get("message", ""))
            raise SeriesRefused(400, said["error"], said.get("message", ""))
        if "flushed" not in said:
            raise ConnectionResetError("the member has ended the stream")
        while self._pending and self._pending[0].flush <= said["flushed"]:
            self._pending_points -= self._pending.popleft().point_count
            self._sent -= 1


def _told(status: int, line: bytes) -> ClientError | OSError:
    refusal = refusal_of(status, line)
    if status in (429, 503):
        return ConnectionResetError(str(refusal))
    return refusal


class Appender:
    """Points of one series; its block ends when they are handed over, or durable (`connect`)."""

    def __init__(self, connection: Connection, name: str) -> None:
        """Use `Connection.series`."""
        self._connection = connection
        self._name = name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *_rest: object) -> None:
        held = self._connection
        if kind is None and held.waits:
            await held.flush()
        elif kind is None:
            count = len(held.buffer)
            await held.hand_over(held.buffer.take(), count)

    async def add(self, at: Any, value: float) -> None:
        """One point; see `Connection.add`."""
        await self._connection.add(self._name, at, value)

    async def add_many(self, times: Any, values: Any) -> None:
        """Points; see `Connection.add_many`."""
        await self._connection.add_many(self._name, times, values)


def connect(
    endpoints: str | Sequence[str] = "127.0.0.1:2379",
    *,
    wait_for_server_flush: bool = False,
    credentials: Credentials | None = None,
    timeout_s: float = 30.0,
) -> Connection:
    """A connection, for an `async with` block.

    With `wait_for_server_flush` an appender's block ends when its points are durable on a majority;
    without it they go their way, and what became of them is told at `close`, at the latest.
    `timeout_s` is how long nothing may come.

    Raises:
        BadEndpoint: nobody can be reached so.

    """
    members = Members(endpoints, credentials=credentials or Credentials(), timeout_s=timeout_s)
    return Connection(members, wait_for_server_flush=wait_for_server_flush, timeout_s=timeout_s)
