"""Time series for programs without asyncio: see `roost.client.series`.  Safe from any thread.

What is sent is sent by the asyncio face, on a thread of its own.  Points are gathered in the thread
that has them: one costs a lock and no visit to another thread.
"""

import threading
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from roost.client.credentials import Credentials
from roost.client.series import aio
from roost.client.series.answers import Answer, Live
from roost.client.series.asking import Question as Asking
from roost.client.series.framed import points_of
from roost.client.series.questions import Asked, Building, changed
from roost.faces import LoopThread

R = TypeVar("R")


class Connection:
    """Points to a cluster, and questions to it; use `connect`."""

    def __init__(self, inner: aio.Connection, loop: LoopThread, *, owns_loop: bool) -> None:
        """Have `inner` send from `loop`, which ends with this connection if it is its own."""
        self._inner = inner
        self._loop = loop
        self._owns_loop = owns_loop
        self._lock = threading.Lock()
        self._is_over = False

    @classmethod
    def _of(cls, inner: aio.Connection, loop: LoopThread) -> Self:
        """As `roost.faces.Face` has it: on a loop that is somebody else's."""
        return cls(inner, loop, owns_loop=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self._end()

    def call(self, work: Coroutine[Any, Any, R]) -> R:
        """Have the asyncio face do something."""
        return self._loop.call(work)

    def series(self, name: str) -> "Appender":
        """What appends to one series."""
        return Appender(self, name)

    def add(self, name: str, at: Any, value: float) -> None:
        """One point of a series; see `aio.Connection.add`."""
        buffer = self._inner.buffer
        with self._lock:
            count = buffer.add(self._number(name), at, value)
        if count >= aio.BATCH_POINTS:
            self.hand_over()

    def add_many(self, name: str, times: Any, values: Any) -> None:
        """Points of a series; see `aio.Connection.add_many`."""
        buffer = self._inner.buffer
        with self._lock:
            count = buffer.add_many(self._number(name), times, values)
        if count >= aio.BATCH_POINTS:
            self.hand_over()

    def _number(self, name: str) -> int:
        """The number of a series; within the lock."""
        number = self._inner.buffer.number(name)
        return self.call(self._inner.number(name)) if number < 0 else number

    def add_frame(
        self, frame: Any, *, time: str = "time", series: str = "", prefix: str = ""
    ) -> None:
        """A frame of pandas, polars or Arrow; see `aio.Connection.add_frame`."""
        for name, times, values in points_of(frame, time, series):
            self.add_many(prefix + name, times, values)

    def hand_over(self) -> None:
        """Send what was gathered; waits only when too much is on its way."""
        with self._lock:
            count = len(self._inner.buffer)
            frames = self._inner.buffer.take()
            # Within the lock: two threads must not send in another order than they have taken.
            self.call(self._inner.hand_over(frames, count))

    def flush(self) -> None:
        """Return when all points are durable on a majority; see `aio.Connection.flush`."""
        self.hand_over()
        with self._lock:
            self.call(self._inner.flush())

    @property
    def waits(self) -> bool:
        """Whether appenders wait until their points are durable."""
        return self._inner.waits

    def close(self) -> None:
        """Flush, and end; errors of points that nobody has waited for come here."""
        if self._is_over:
            return
        try:
            self.flush()
        finally:
            self._end()

    def _end(self) -> None:
        if self._is_over or self._loop.is_over:
            return

        async def abandon() -> None:
            self._inner.abandon()

        self._is_over = True
        self.call(abandon())
        if self._owns_loop:
            self._loop.close()

    def query(self, *names: str) -> "Question":
        """Ask for series, by their names; `by_tag` adds tags."""
        return Question(self, Asked(names=names))

    def listed(
        self, *, tag: str = "", prefix: str = "", counts: bool = False
    ) -> list[dict[str, Any]]:
        """All series; see `aio.Connection.listed`."""
        return self.call(self._inner.listed(tag=tag, prefix=prefix, counts=counts))

    def last(self, *names: str, tag: str = "") -> dict[str, tuple[int, float | None]]:
        """The last points of series: by name, time in nanoseconds and value."""
        return self.call(self._inner.last(*names, tag=tag))

    def tail(self, *names: str, tag: str = "") -> Iterator[Live]:
        """Points of series as they come, from now on; see `aio.Connection.tail`."""
        return self._loop.iterate(self._inner.tail(*names, tag=tag))

    def tag(
        self, name: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> dict[str, str]:
        """Put tags on a series and take them away; what it has then."""
        return self.call(self._inner.tag(name, add=add, remove=remove))

    def dedup(self, name: str, which: str) -> None:
        """Say which of two points of one time counts, `max` or `last`; as `aio.Connection`."""
        self.call(self._inner.dedup(name, which))

    def delete(
        self, name: str, start: Any, stop: Any, *, tag: str = "", dry_run: bool = False
    ) -> int:
        """Delete a range of a series, or of all with a tag; see `aio.Connection.delete`."""
        return self.call(self._inner.delete(name, start, stop, tag=tag, dry_run=dry_run))

    def begin_delete(self, name: str, start: Any, stop: Any, *, tag: str = "") -> dict[str, Any]:
        """Delete a range, and do not wait for it; see `aio.Connection.begin_delete`."""
        return self.call(self._inner.begin_delete(name, start, stop, tag=tag))

    def jobs(self) -> list[dict[str, Any]]:
        """Deletions of many series; see `aio.Connection.jobs`."""
        return self.call(self._inner.jobs())

    def job(self, number: int) -> dict[str, Any]:
        """One of them."""
        return self.call(self._inner.job(number))

    def cancel_job(self, number: int) -> dict[str, Any]:
        """Delete no more by a job; what is gone stays gone.  What it is then."""
        return self.call(self._inner.cancel_job(number))

    def delete_series(self, name: str) -> None:
        """Delete a series with all that it has."""
        self.call(self._inner.delete_series(name))

    def note(self, text: str | None, *, series: str = "", tag: str = "") -> None:
        """Note something of a series, or of all with a tag; see `aio.Connection.note`."""
        self.call(self._inner.note(text, series=series, tag=tag))

    def notes(self) -> list[dict[str, str]]:
        """All notes; see `aio.Connection.notes`."""
        return self.call(self._inner.notes())

    def retain(self, keep: str | None, *, series: str = "", tag: str = "", sums: str = "") -> None:
        """Keep points for so long, `30d`, and their sums longer; see `aio.Connection.retain`."""
        self.call(self._inner.retain(keep, series=series, tag=tag, sums=sums))

    def rules(self) -> list[dict[str, Any]]:
        """What is kept for some time only; see `aio.Connection.rules`."""
        return self.call(self._inner.rules())

    def statistics(self) -> dict[str, Any]:
        """How far staging and sealing are."""
        return self.call(self._inner.statistics())

    def fetch(self, asked: Asked) -> Answer:
        """The answer to a question."""
        return self.call(Asking(self._inner.way, asked).fetch())

    def csv(self, asked: Asked) -> bytes:
        """The same as CSV."""
        return self.call(Asking(self._inner.way, asked).to_csv())

    def arrow(self, asked: Asked) -> Any:
        """The same as a table of Arrow; see `aio.Question.to_arrow`."""
        return self.call(Asking(self._inner.way, asked).to_arrow())

    def batches(self, asked: Asked) -> Generator[Any, None, None]:
        """The same as record batches of Arrow as they come; see `aio.Question.batches`."""
        return self._loop.iterate(Asking(self._inner.way, asked).batches())


class Appender:
    """Points of one series; its block ends when they are handed over, or durable (`connect`)."""

    def __init__(self, connection: Connection, name: str) -> None:
        """Use `Connection.series`."""
        self._connection = connection
        self._name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        if kind is None:
            (self._connection.flush if self._connection.waits else self._connection.hand_over)()

    def add(self, at: Any, value: float) -> None:
        """One point; see `Connection.add`."""
        self._connection.add(self._name, at, value)

    def add_many(self, times: Any, values: Any) -> None:
        """Points; see `Connection.add_many`."""
        self._connection.add_many(self._name, times, values)


class Question(Building):
    """A question on its way: each step makes another one, `fetch` and its like send it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection | str | Sequence[str], asked: Asked) -> None:
        """Use `Connection.query`, or `query`."""
        self._connection = connection
        self.asked = asked

    @classmethod
    def _of(cls, inner: Asking, loop: LoopThread) -> Self:
        """As `roost.faces.Face` has it."""
        way = aio.Connection(inner.way, wait_for_server_flush=False, timeout_s=0.0)
        return cls(Connection(way, loop, owns_loop=False), inner.asked)

    def _with(self, **given: Any) -> Self:
        return type(self)(self._connection, changed(self.asked, given))

    def _ask(self, ask: Callable[[Connection, Asked], R]) -> R:
        if isinstance(self._connection, Connection):
            return ask(self._connection, self.asked)
        with connect(self._connection) as connection:
            return ask(connection, self.asked)

    def fetch(self) -> Answer:
        """The answer.

        Raises:
            ClientError: nobody answered, or a member said no.

        """
        return self._ask(Connection.fetch)

    def to_csv(self, path: str | Path | None = None) -> bytes:
        """The answer as CSV, which is also written to a file when one is named.

        Raises:
            ClientError: as `fetch`.
            OSError: the file cannot be written.

        """
        found = self._ask(Connection.csv)
        if path is not None:
            Path(path).write_bytes(found)
        return found

    def to_arrow(self) -> Any:
        """The answer as a table of Arrow: `series`, `time` in nanoseconds of UTC, numbers.

        Raises:
            PackageMissing: pyarrow is not installed.
            ClientError: as `fetch`.

        """
        return self._ask(Connection.arrow)

    def to_pandas(self) -> Any:
        """The answer as a frame of pandas.

        Raises:
            PackageMissing: pyarrow or pandas is not installed.
            ClientError: as `fetch`.

        """
        table = self.to_arrow()
        from roost.client.series.arrow import pandas_of

        return pandas_of(table)

    def to_polars(self) -> Any:
        """The answer as a frame of polars.

        Raises:
            PackageMissing: pyarrow or polars is not installed.
            ClientError: as `fetch`.

        """
        table = self.to_arrow()
        from roost.client.series.arrow import polars_of

        return polars_of(table)

    def to_numpy(self) -> dict[str, dict[str, Any]]:
        """By series: `time` as datetime64[ns], and each column as float64, NaN for no number.

        Raises:
            ClientError: as `fetch`.

        """
        return {it.name: it.to_numpy() for it in self.fetch().tables}

    def to_parquet(self, path: str | Path) -> None:
        """The answer as a file of Parquet, which is there as a whole or not at all.

        Raises:
            PackageMissing: pyarrow is not installed.
            ClientError: as `fetch`.
            OSError: the file cannot be written.

        """
        table = self.to_arrow()
        from roost.client.series.arrow import parquet_of

        parquet_of(table, path)


def connect(
    endpoints: str | Sequence[str] = "127.0.0.1:2379",
    *,
    wait_for_server_flush: bool = False,
    credentials: Credentials | None = None,
    timeout_s: float = 30.0,
) -> Connection:
    """A connection, for a `with` block; see `aio.connect`.

    Raises:
        BadEndpoint: nobody can be reached so.

    """
    loop = LoopThread("roost-series")

    async def make() -> aio.Connection:
        return aio.connect(
            endpoints,
            wait_for_server_flush=wait_for_server_flush,
            credentials=credentials,
            timeout_s=timeout_s,
        )

    try:
        return Connection(loop.call(make()), loop, owns_loop=True)
    except BaseException:
        loop.close()
        raise


def query(*names: str, endpoints: str | Sequence[str] = "127.0.0.1:2379") -> Question:
    """Ask without a connection: nothing but the address is needed, and nothing is left open."""
    return Question(endpoints, Asked(names=names))
