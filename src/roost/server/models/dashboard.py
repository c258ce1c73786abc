"""The dashboard on a member: pages at /dashboard/, and what the member says of itself there."""

import asyncio
from collections.abc import Callable, Iterable
from importlib.metadata import version

from roost.call import Caller
from roost.compiled import description
from roost.dashboard import (
    Facts,
    Gathering,
    Happenings,
    Hub,
    Interface,
    Latency,
    Log,
    Raised,
    Sending,
    StorePages,
)
from roost.dashboard.built import read_built
from roost.dashboard.configured import rows_of
from roost.dashboard.endpoints import BUILT, ENDPOINTS, TREE_ROWS_FROM, said
from roost.dashboard.interface import BODY_BYTES_MAX
from roost.errors import RoostError
from roost.etcd.access.judge import Judge, somebody
from roost.etcd.border import Border
from roost.exchange import Answer, Request
from roost.figures import Family
from roost.histogram import Histogram
from roost.member import Member
from roost.server.models.backups import BackupDesk
from roost.server.models.model import Attached, DataModel, Ground, Page
from roost.server.models.storage import MemberStorage
from roost.server.options import quota_within

PATHS = ("/dashboard", "/dashboard/{rest:path}", "/mod/dashboard", "/mod/dashboard/")
# What graphs are drawn of; a histogram gives its sum and how many are in it.
GRAPHED = frozenset(
    {
        "etcd_mvcc_put_total",
        "etcd_mvcc_delete_total",
        "etcd_mvcc_range_total",
        "etcd_mvcc_txn_total",
        "etcd_debugging_mvcc_events_total",
        "etcd_debugging_mvcc_watcher_total",
        "etcd_disk_wal_fsync_duration_seconds",
        "etcd_server_leader_changes_seen_total",
        "roost_client_connections",
        "roost_loop_turn_seconds",
        "roost_memory_is_short",
        "roost_operations_total",
    }
)


class BorderRights:
    """Whoever may ask a member for its status may look (etcd: Maintenance.Status); root all."""

    def __init__(self, border: Border) -> None:
        """Ask etcd's users."""
        self._border = border

    def admit(
        self,
        caller: Caller,
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
        *,
        is_root: bool = False,
    ) -> None:
        """Call `allowed` when the caller may, else `refused`."""
        check = Judge.need_root if is_root else somebody
        self._border.admit(caller, check, allowed, refused, is_local=True)


def graphed(families: Iterable[Family]) -> dict[str, float]:
    """The numbers of GRAPHED, each the sum of all its labels."""
    found: dict[str, float] = {}
    for family in families:
        if family.name not in GRAPHED:
            continue
        for sample in family.samples:
            if isinstance(sample.value, Histogram):
                _add(found, f"{family.name}_sum", sample.value.sum_s)
                _add(found, f"{family.name}_count", sample.value.count)
            else:
                _add(found, family.name, sample.value)
    return found


def _add(found: dict[str, float], name: str, value: float) -> None:
    found[name] = found.get(name, 0) + value


def latencies(member: Member) -> tuple[Latency, ...]:
    """How long each peer takes to answer; what a member knows that leads, or has led."""
    transport, spreads = member.transport, member.links.round_trips.spreads
    found = []
    for peer in transport.peers():
        spread = spreads.get(peer)
        failed_count = transport.dropped_counts.get(peer, 0)
        said = Latency(
            member=f"{peer:x}", is_open=transport.is_open_to(peer), failed_count=failed_count
        )
        if spread is not None:
            said = Latency(
                member=said.member,
                is_open=said.is_open,
                answered_count=spread.count,
                failed_count=failed_count,
                last_ms=1000 * spread.last_s,
                mean_ms=1000 * spread.mean_s,
                deviation_ms=1000 * spread.deviation_s,
                least_ms=1000 * spread.least_s,
                most_ms=1000 * spread.most_s,
            )
        found.append(said)
    return tuple(found)


def sendings(member: Member) -> tuple[Sending, ...]:
    """Which members get a copy of the store from this one, and how far that is."""
    return tuple(
        Sending(
            member=f"{it.member_id:x}",
            is_joining=it.is_joining,
            sent_bytes=it.sent_bytes,
            total_bytes=it.total_bytes,
            seconds=it.seconds,
        )
        for it in member.snapshots.sendings
    )


def _attach(ground: Ground) -> Attached:
    member, border = ground.member, ground.gate.border
    assert border is not None, "etcd's users are there before those who ask for them"
    began_s, build = ground.clock_s(), f"{version('roost')}, {description()}"
    quota_bytes = quota_within(ground.serving.quota_bytes, ground.memory.address_bytes)

    def facts() -> Facts:
        status = member.status()
        return Facts(
            role=status.role.value,
            leader=f"{status.leader_id:x}" if status.leader_id else "",
            term=status.term,
            first_index=member.first_index,
            last_index=status.last_index,
            commit_index=status.commit_index,
            applied_index=status.applied_index,
            durable_index=status.durable_index,
            journal_bytes=member.journal_bytes,
            db_bytes=status.db_bytes,
            db_in_use_bytes=status.db_in_use_bytes,
            quota_bytes=quota_bytes,
            disk_free_bytes=member.space().disk_free_bytes,
            version=build,
            uptime_s=ground.clock_s() - began_s,
            is_fenced=status.is_fenced,
            figures=graphed(ground.shown.figures()),
            latencies=latencies(member),
            sendings=sendings(member),
        )

    happenings = Happenings(ground.wall_s)
    member.news.hear(happenings.note, wants_commits=False)
    hub = Hub(
        member,
        Gathering(member, facts, ground.clock_s),
        happenings,
        alarms=lambda: [Raised(*it) for it in ground.shown.alarms()],
        wall_s=ground.wall_s,
    )
    log = Log()

    async def start() -> None:
        log.start()

    def stop() -> None:
        hub.close()
        log.stop()
        desk.stop()

    settings = rows_of(ground.serving.settings, ground.serving.origins)
    desk = BackupDesk(member.files, member.config.name, ground.shelved, ground.clock_s)
    pages = StorePages(MemberStorage(ground.embedded, ground.shown.removal), desk)
    stored = {**pages.answers, BUILT: _built}
    rights = BorderRights(border)
    interface = Interface(hub, rights, log, settings, stored, cors=ground.serving.cors)
    return Attached(
        start=start,
        stop=stop,
        close=desk.close,
        pages=_pages(interface, ground.serving.port.message_bytes_max),
        endpoints=ENDPOINTS,
    )


def _pages(interface: Interface, message_bytes_max: int) -> list[Page]:
    """Where requests come in, and how large they may be."""
    # A key of a tree that a request has written can be asked for.
    rows_bytes_max = BODY_BYTES_MAX + 2 * message_bytes_max
    return [
        Page(path=TREE_ROWS_FROM.path, answer=interface.answer, body_bytes_max=rows_bytes_max),
        *(Page(path=it, answer=interface.answer, body_bytes_max=BODY_BYTES_MAX) for it in PATHS),
    ]


async def _built(_request: Request) -> Answer:
    """What this process is made of: files are read for it."""
    return said(await asyncio.get_running_loop().run_in_executor(None, read_built))


DASHBOARD = DataModel(name="dashboard", attach=_attach)
