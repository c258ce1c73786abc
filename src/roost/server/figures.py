"""The figures of one member: what `/metrics` and `/debug/vars` show (etcd: metrics of 3.5).

FIGURES is the table of all of them.  The member and the data models export their rows; here are
the port's own.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from roost import descriptors, etcd
from roost.call import Code
from roost.errors import NoLeader, RoostError
from roost.figures import Family, Figure, Labels, Sample, read_all
from roost.member import Member
from roost.member.figures import FIGURES as MEMBER_FIGURES
from roost.member.figures import MemberNow
from roost.server.loop_watch import LoopWatch
from roost.server.methods import MethodFigures
from roost.server.models import MODELS, Attached
from roost.server.pools import FIGURES as POOL_FIGURES
from roost.server.pools import Pools
from roost.server.port import ClientPort


def _method_types() -> dict[str, str]:
    """Path of every method of the schemas -> what Go's gRPC metrics call its type."""
    found: dict[str, str] = {}
    for schema in (schema for it in MODELS for schema in it.schemas):
        for service in schema.services_by_name.values():
            for method in service.methods:
                kind = ("unary", "server_stream", "client_stream", "bidi_stream")[
                    method.server_streaming + 2 * method.client_streaming
                ]
                found[f"/{service.full_name}/{method.name}"] = kind
    return found


_TYPES = _method_types()


@dataclass(slots=True)
class HealthCounts:
    """How often somebody asked whether this member serves, and what was said."""

    successes: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Now:
    """What our own rows are read from."""

    port: ClientPort
    quota_bytes: int
    health: HealthCounts
    watch: LoopWatch


class Figures:
    """Reads them where they are; keeps none but of health."""

    def __init__(
        self, member: Member, models: Sequence[Attached], *, quota_bytes: int, watch: LoopWatch
    ) -> None:
        """The port comes by `show_port`."""
        self._watch = watch
        self._quota_bytes = quota_bytes
        self._member = member
        self._models = models
        self._health = HealthCounts()
        self._port: ClientPort

    def show_port(self, port: ClientPort) -> None:
        """Show the figures of the client port too."""
        self._port = port

    def collect(self) -> Iterator[Family]:
        """All figures as of now; each table is read when its first row is asked for."""
        member = self._member
        yield from read_all(MEMBER_FIGURES, MemberNow(member, member.status()))
        for model in self._models:
            yield from model.collect()
        now = Now(self._port, self._quota_bytes, self._health, self._watch)
        yield from read_all(PORT_FIGURES, now)
        yield from read_all(POOL_FIGURES, Pools(member, self._port))

    def alarms(self) -> Sequence[str]:
        """Names of the alarms that stop something."""
        return [name for it in self._models for name in it.alarms()]

    def note_health(self, *, is_good: bool) -> None:
        """Somebody was told whether this member serves."""
        self._health.successes += is_good
        self._health.failures += not is_good

    async def check_health(self, *, is_serializable: bool) -> None:
        """A member is healthy when it can confirm a read; by itself it only has to run.

        Without a leader nobody is kept waiting; the words are etcd's (etcdhttp/health.go).
        """
        if is_serializable:
            return
        if not self._member.leader_id:
            raise NoLeader("RAFT NO LEADER")
        try:
            await self._member.read_barrier()
        except RoostError as error:
            raise NoLeader(f"RANGE ERROR:{error}") from error


def _method_samples(now: Now) -> Iterator[tuple[Labels, MethodFigures]]:
    """The labels and the figures of every gRPC method."""
    for path, figures in sorted(now.port.grpc.methods.figures.items()):
        name = path.decode()
        service, _, method = name[1:].partition("/")
        kind = _TYPES.get(name, "bidi_stream")
        labels = (("grpc_type", kind), ("grpc_service", service), ("grpc_method", method))
        yield labels, figures


def _started(now: Now) -> Iterator[Sample]:
    return (Sample(figures.started_count, labels) for labels, figures in _method_samples(now))


def _handled(now: Now) -> Iterator[Sample]:
    for labels, figures in _method_samples(now):
        for code, count in sorted(figures.ended.items()):
            yield Sample(count, (*labels, ("grpc_code", Code(code).go_name)))


def _handling(now: Now) -> Iterator[Sample]:
    """Of methods that were called: there are many, and buckets of each."""
    for labels, figures in _method_samples(now):
        if figures.started_count:
            yield Sample(figures.handling, labels)


def _used_descriptors(_now: Now) -> int:
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return 0


PORT_FIGURES: tuple[Figure[Now], ...] = (
    Figure(
        "etcd_server_version",
        "gauge",
        "1, with the version of etcd whose interface this is.",
        lambda _: [Sample(1, (("server_version", etcd.SERVER_VERSION),))],
    ),
    Figure(
        "etcd_cluster_version",
        "gauge",
        "1, with the version of etcd that all members speak.",
        lambda _: [Sample(1, (("cluster_version", etcd.SERVER_VERSION.rpartition(".")[0]),))],
    ),
    Figure(
        "etcd_server_health_success",
        "counter",
        "Checks of health that found this member well.",
        lambda it: it.health.successes,
    ),
    Figure(
        "etcd_server_health_failures",
        "counter",
        "Checks of health that did not.",
        lambda it: it.health.failures,
    ),
    Figure(
        "etcd_server_quota_backend_bytes",
        "gauge",
        "Size of the store at which writes stop; 0 = never.",
        lambda it: it.quota_bytes,
    ),
    Figure("grpc_server_started_total", "counter", "gRPC calls begun, by method.", _started),
    Figure(
        "grpc_server_handled_total",
        "counter",
        "gRPC calls ended, by method and status.",
        _handled,
    ),
    Figure(
        "grpc_server_handling_seconds",
        "histogram",
        "How long gRPC calls took, by method.",
        _handling,
    ),
    Figure(
        "etcd_network_client_grpc_received_bytes_total",
        "counter",
        "Bytes received from gRPC clients.",
        lambda it: it.port.grpc.received_bytes,
    ),
    Figure(
        "etcd_network_client_grpc_sent_bytes_total",
        "counter",
        "Bytes sent to gRPC clients.",
        lambda it: it.port.grpc.sent_bytes,
    ),
    Figure(
        "roost_client_connections",
        "gauge",
        "Open client connections.",
        lambda it: it.port.connection_count,
    ),
    Figure(
        "roost_client_connections_in_line",
        "gauge",
        "Client connections that have sent more than their share of a turn.",
        lambda it: it.port.grpc.intake.waiting_count,
    ),
    Figure(
        "roost_loop_turn_seconds",
        "histogram",
        "How late a timer of the loop comes: what others' turns take meanwhile.",
        lambda it: it.watch.turns,
    ),
    Figure(
        "roost_loop_held_total",
        "counter",
        "Times the loop was held for more than 50 ms; the log says by whom.",
        lambda it: it.watch.held_count,
    ),
    Figure("os_fd_used", "gauge", "File descriptors in use.", _used_descriptors),
    Figure(
        "os_fd_limit",
        "gauge",
        "File descriptors there may be.",
        lambda _: descriptors.limit(),
    ),
)
_OF_MODELS = (row for it in MODELS for row in it.figures)
FIGURES = (*MEMBER_FIGURES, *_OF_MODELS, *PORT_FIGURES, *POOL_FIGURES)
