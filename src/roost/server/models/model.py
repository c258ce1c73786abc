"""What a data model offers a member that is served: before there is one, and attached to one.

A data model is registered once, as a `DataModel` in the list of `registry`; the file that makes it
is the one place of this package that knows it.  Its operations, observers, periodic work and
frames it registers itself, where it is attached (`roost.database.model`); what the port needs of it
is a field here: gRPC methods, their paths as JSON, pages, figures, alarms.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import FileDescriptor

from roost.call import Caller, Route
from roost.database.aio import Database
from roost.database.embedded import Embedded
from roost.endpoint import Endpoint
from roost.etcd import Removal
from roost.etcd.border import Border
from roost.exchange import Answerer, Beginner, FlowAnswerer
from roost.figures import Family, Figure
from roost.member import Member
from roost.memory import Memory
from roost.server.models.backups import Shelved
from roost.server.options import Serving
from roost.store import Txn


async def _everybody(_caller: Caller, _first: bytes, _stop: bytes, _writes: bool) -> None:  # noqa: FBT001 - as it is called
    """Nobody asks who it is."""


@dataclass(slots=True)
class Gate:
    """Who may do what, for data models that have no users of their own.

    `admit(caller, first, stop, writes)` returns when a caller may read, or write, a range of keys,
    and raises a `RoostError` when he may not.  Whoever has users puts his own there (`etcd`).
    """

    admit: Callable[[Caller, bytes, bytes, bool], Awaitable[None]] = _everybody
    # Whom to ask where this member has to answer by itself, without waiting for the others.
    border: Border | None = None


@dataclass(slots=True)
class Shown:
    """What a data model that shows others may read of them, once all of them are attached."""

    # All figures, as /metrics has them.
    figures: Callable[[], Iterable[Family]] = tuple
    # Ids of members, 0 = of none, and names of the alarms that are raised for them.
    alarms: Callable[[], Sequence[tuple[int, str]]] = tuple
    # How far what was compacted is removed.
    removal: Callable[[], Removal | None] = lambda: None


@dataclass(frozen=True, slots=True)
class Ground:
    """What data models are attached to: a member that has not started, and its settings."""

    embedded: Embedded
    serving: Serving
    gate: Gate = field(default_factory=Gate)
    shown: Shown = field(default_factory=Shown)
    # Who saves its backups; None = nobody.
    shelved: Shelved | None = None

    @property
    def member(self) -> Member:
        """What `roost.database.model` has names for."""
        return self.embedded.member

    @property
    def memory(self) -> Memory:
        """What the process has left, for all data models together."""
        return self.embedded.member.memory

    def clock_s(self) -> float:
        """Seconds of a clock that never goes back; the simulator has another one."""
        return self.embedded.world.clock_s()

    def wall_s(self) -> float:
        """The date, in seconds since 1970."""
        return self.embedded.world.wall_s()

    def database(self) -> Database:
        """The face for programs, for a data model that stands on it (`roost.series`)."""
        return Database(self.embedded, self.embedded.limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Requests over HTTP/1.1 that a data model answers: all of a path."""

    # As Starlette writes it: "/series/{rest:path}".
    path: str
    answer: Answerer
    body_bytes_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPage:
    """As a `Page`, where bodies are streams that are answered while they come."""

    path: str
    answer: FlowAnswerer


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectPage:
    """All paths that begin so, answered without a task: where a request must cost little."""

    prefix: bytes
    begin: Beginner
    body_bytes_max: int


async def _nothing() -> None:
    """There is nothing to begin, or to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """One data model on one member; by default it has nothing of any kind."""

    # Awaited when the member runs, and no port is open.
    start: Callable[[], Awaitable[None]] = _nothing
    # Called before leadership is handed over, whether `start` was called or not: no more work by
    # itself.  Calls are still answered.
    stop: Callable[[], None] = lambda: None
    # Awaited when no call can come any more, before the member stops.
    close: Callable[[], Awaitable[None]] = _nothing
    # gRPC methods, by their paths.
    routes: Mapping[bytes, Route] = field(default_factory=dict)
    pages: Sequence[Page] = ()
    # They are looked for before pages.
    streams: Sequence[StreamPage] = ()
    # And these before all others.
    direct: Sequence[DirectPage] = ()
    # What all of these answer, as rows.
    endpoints: Sequence[Endpoint] = ()
    # All figures of `DataModel.figures`, as of now.
    collect: Callable[[], Sequence[Family]] = tuple
    # What a program in this process asks (`roost.program`), which knows of which class it is.
    inside: object | None = None
    # Names of alarms that stop something.
    alarms: Callable[[], Sequence[str]] = tuple


def _no_trees(_txn: Txn) -> None:
    """Trees are made when they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataModel:
    """A data model that every member has; `attach` gives it to one that has not started."""

    name: str
    attach: Callable[[Ground], Attached]
    # Makes the trees of an empty store, the same on every member.
    bootstrap: Callable[[Txn], None] = _no_trees
    # Names of trees whose rows are a cluster's own, and no data: a cluster that is made of a backup
    # begins with none of them.
    cluster_trees: Sequence[str] = ()
    # Of its gRPC methods: for reflection, the gateway, and the names of metrics.
    schemas: Sequence[FileDescriptor] = ()
    # Path behind the version -> service and method, for the JSON gateway.
    json_paths: Mapping[str, str] = field(default_factory=dict)
    # What each of these methods does, in a sentence.
    json_texts: Mapping[str, str] = field(default_factory=dict)
    # Paths of methods and pages that are answered while memory is short.
    light: frozenset[bytes] = frozenset()
    figures: Sequence[Figure[Any]] = ()  # Any: what they are read from is the data model's own
