"""Series over several clusters, by their names, as if it were one.

    with series.sharded.connect({"a": "10.0.0.1:2379", "b": "10.0.1.1:2379"}) as con:
        con.add("sensor1.heat", datetime.now(UTC), 21.5)
        con.query().by_tag("temp:C").group_by("room").window("1d").aggregate("mean").fetch()

A series is in one cluster (`merging.home_of`); questions go to all of them at once, and what comes
is one answer.  The names of the clusters say where a series is, and not their addresses or their
order: keep them.  With another cluster more, a part of all series is looked for there from then on,
and whoever adds one moves these first: questions still find what is elsewhere, for all are asked,
but deletions of single series do not.

An answer is of one state in each cluster, and of several in all.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self, TypeVar

from roost.client.credentials import Credentials
from roost.client.series.answers import Answer
from roost.client.series.blocking import Connection
from roost.client.series.blocking import connect as connect_one
from roost.client.series.errors import BadPoint
from roost.client.series.framed import points_of
from roost.client.series.merging import home_of, merged, needed
from roost.client.series.questions import Asked, Building, changed

R = TypeVar("R")
CLUSTERS_MAX = 256
# Names whose cluster is kept, some 200 bytes each; then anew.
HOMES_MAX = 1 << 17


class Sharded:
    """Points to several clusters, and questions to them; use `connect`.  Safe from any thread."""

    def __init__(self, clusters: Mapping[str, Connection]) -> None:
        """Stand on connections, by the names of their clusters; they end with this."""
        self._clusters = dict(clusters)
        self._threads = ThreadPoolExecutor(len(clusters), "roost-shards")
        self._homes: dict[str, Connection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        try:
            with ExitStack() as stack:  # each is closed, whatever comes of the others
                for it in self._clusters.values():
                    stack.push(it.__exit__ if kind is not None else _closing(it))
        finally:
            self._threads.shutdown()

    def close(self) -> None:
        """Flush, and end; as `Connection.close` of each."""
        self.__exit__(None)

    def home(self, name: str) -> Connection:
        """The connection to the cluster that a series is in."""
        found = self._homes.get(name)
        if found is None:
            if len(self._homes) >= HOMES_MAX:
                self._homes.clear()
            found = self._homes[name] = self._clusters[home_of(name, self._clusters)]
        return found

    def add(self, name: str, at: Any, value: float) -> None:
        """One point of a series; see `Connection.add`."""
        self.home(name).add(name, at, value)

    def add_many(self, name: str, times: Any, values: Any) -> None:
        """Points of a series; see `Connection.add_many`."""
        self.home(name).add_many(name, times, values)

    def add_frame(
        self, frame: Any, *, time: str = "time", series: str = "", prefix: str = ""
    ) -> None:
        """A frame of pandas, polars or Arrow; see `Connection.add_frame`."""
        for name, times, values in points_of(frame, time, series):
            self.add_many(prefix + name, times, values)

    def flush(self) -> None:
        """Return when all points are durable, each on a majority of its cluster."""
        self._all(Connection.flush)

    def query(self, *names: str) -> "Question":
        """Ask for series, by their names; `by_tag` adds tags."""
        return Question(self, Asked(names=names))

    def fetch(self, asked: Asked) -> Answer:
        """The answer to a question, its series by their names.

        Raises:
            BadPoint: it cannot be merged; the text says what can.
            ClientError: a cluster has no answer.

        """
        question = needed(asked)
        return merged(asked, self._all(lambda it: it.fetch(question)))

    def listed(
        self, *, tag: str = "", prefix: str = "", counts: bool = False
    ) -> list[dict[str, Any]]:
        """All series, by their names; see `Connection.listed`."""
        found = self._all(lambda it: it.listed(tag=tag, prefix=prefix, counts=counts))
        return sorted((row for rows in found for row in rows), key=lambda row: str(row["name"]))

    def last(self, *names: str, tag: str = "") -> dict[str, tuple[int, float | None]]:
        """The last points of series: by name, time in nanoseconds and value."""
        found: dict[str, tuple[int, float | None]] = {}
        for it in self._all(lambda it: it.last(*names, tag=tag)):
            for name, row in it.items():
                found[name] = max(found.get(name, row), row, key=lambda row: row[0])
        return found

    def tag(
        self, name: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> dict[str, str]:
        """Put tags on a series and take them away; what it has then."""
        return self.home(name).tag(name, add=add, remove=remove)

    def dedup(self, name: str, which: str) -> None:
        """Say which of two points of one time counts, `max` or `last`; as `aio.Connection`."""
        self.home(name).dedup(name, which)

    def delete(self, name: str, start: Any, stop: Any, *, dry_run: bool = False) -> int:
        """Delete a range of a series, or of all of a name; how many points that is."""
        return sum(self._all(lambda it: it.delete(name, start, stop, dry_run=dry_run)))

    def delete_series(self, name: str) -> None:
        """Delete a series with all that it has."""
        self.home(name).delete_series(name)

    def retain(self, keep: str | None, *, series: str = "", tag: str = "", sums: str = "") -> None:
        """Keep points for so long, in all clusters; see `aio.Connection.retain`."""
        self._all(lambda it: it.retain(keep, series=series, tag=tag, sums=sums))

    def _all(self, ask: Callable[[Connection], R]) -> list[R]:
        """What each cluster says, in the order of their names; all are waited for."""
        begun = [self._threads.submit(ask, self._clusters[name]) for name in sorted(self._clusters)]
        errors = [it.exception() for it in begun]
        for error in errors:
            if error is not None:
                raise error
        return [it.result() for it in begun]


class Question(Building):
    """A question on its way: each step makes another one, `fetch` and its like send it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Sharded, asked: Asked) -> None:
        """Use `Sharded.query`."""
        self._connection = connection
        self.asked = asked

    def _with(self, **given: Any) -> Self:
        return type(self)(self._connection, changed(self.asked, given))

    def fetch(self) -> Answer:
        """The answer; see `Sharded.fetch`."""
        return self._connection.fetch(self.asked)

    def to_arrow(self) -> Any:
        """The answer as a table of Arrow; see `Answer.to_arrow`."""
        return self.fetch().to_arrow()

    def to_pandas(self) -> Any:
        """The answer as a frame of pandas."""
        return self.fetch().to_pandas()

    def to_polars(self) -> Any:
        """The answer as a frame of polars."""
        return self.fetch().to_polars()


def _closing(connection: Connection) -> Callable[..., None]:
    def close(*_error: object) -> None:
        connection.close()

    return close


def connect(
    clusters: Mapping[str, str | Sequence[str]],
    *,
    wait_for_server_flush: bool = False,
    credentials: Credentials | None = None,
    timeout_s: float = 30.0,
) -> Sharded:
    """A connection to clusters, by their names; each has endpoints as `series.connect` takes them.

    Raises:
        BadPoint: there are no clusters, or too many.
        BadEndpoint: nobody can be reached so.

    """
    if not 1 <= len(clusters) <= CLUSTERS_MAX:
        raise BadPoint(f"{len(clusters)} clusters: from 1 to {CLUSTERS_MAX}")
    found: dict[str, Connection] = {}
    try:
        for name, endpoints in clusters.items():
            found[name] = connect_one(
                endpoints,
                wait_for_server_flush=wait_for_server_flush,
                credentials=credentials,
                timeout_s=timeout_s,
            )
    except BaseException:
        for it in found.values():
            it.close()
        raise
    return Sharded(found)
