"""`roost serve`: one member, started by etcd's flags."""

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click
import uvloop

from roost import etcd
from roost.cli.logs import configure_logs
from roost.cli.settings import (
    FLAGS,
    LOG_LEVELS,
    REFUSED,
    BadSetting,
    Flag,
    Settings,
    from_environment,
    load_settings,
    parse_duration,
    parse_initial_cluster,
)
from roost.errors import DeviceFault, RoostError
from roost.journal import DirectoryLocked
from roost.member import (
    BackupSchedule,
    Member,
    MemberConfig,
    MemberStatus,
    StoreDamaged,
    World,
    address_of,
    found_new_cluster,
    join_cluster,
    mark_damaged,
    rebuild_store,
)
from roost.member.world import SEGMENT_BYTES_MIN
from roost.raft import Role
from roost.server import ClientPort, ServerConfig, make_app

logger = logging.getLogger("roost")
EXIT_FAILED, EXIT_USAGE, EXIT_LOCKED, EXIT_DEVICE, EXIT_BUG = 1, 2, 73, 74, 70
CLOSE_GRACE_S = 2.0
# Nothing we make is ever in a cycle on the hot path: the collector may come rarely.
_GC_THRESHOLDS = (50_000, 20, 100)


def _options() -> list[click.Parameter]:
    """One option a flag, in etcd's spellings."""
    return [_option(flag) for flag in FLAGS.values()]


def _option(flag: Flag) -> click.Option:
    names = [f"--{flag.name}", f"-{flag.name}", flag.name.replace("-", "_")]
    text = flag.help or f"Refused: {flag.refusal}."
    is_hidden = flag in REFUSED
    if flag.kind is bool:
        # A boolean's value may be left out; Go's flag package means "true" then.
        return click.Option(
            names, is_flag=False, flag_value="true", metavar="BOOL", help=text, hidden=is_hidden
        )
    return click.Option(names, metavar=flag.kind.__name__.upper(), help=text, hidden=is_hidden)


def _run(**given: str | None) -> None:
    r"""Start one member of a cluster, and serve clients.

    What starts etcd can start Roost: the same flags, the same ETCD_* variables (or ROOST_*),
    the same YAML file.

    \b
    Example:
        roost serve --name default --data-dir data
    """
    flags = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
    if not __debug__:
        raise click.ClickException("Roost does not run with -O: its assertions guard your data")
    try:
        settings = load_settings(flags, from_environment())
        config = member_config(settings)
        told = chores(settings)
        clients = [address_of(url) for url in _urls(settings, "listen-client-urls")]
    except RoostError as error:
        click.echo(f"roost: {error}", err=True)
        sys.exit(EXIT_USAGE)
    configure_logs(settings["log-level"], settings["log-format"])
    gc.set_threshold(*_GC_THRESHOLDS)
    server = MemberServer(
        config,
        clients,
        chores=told,
        request_bytes_max=settings["max-request-bytes"],
        joins=settings["initial-cluster-state"] == "existing",
        is_forced=settings["force-new-cluster"],
    )
    sys.exit(uvloop.run(server.run()))


serve = click.Command("serve", callback=_run, params=_options(), help=_run.__doc__)


def _urls(settings: Settings, name: str) -> tuple[str, ...]:
    return tuple(url.strip() for url in settings[name].split(",") if url.strip())


def member_config(settings: Settings) -> MemberConfig:
    """Turn settings into a member's configuration.

    Raises:
        RoostError: a setting cannot be used; the text names it.

    """
    if settings["log-level"] not in LOG_LEVELS:
        raise BadSetting(f"--log-level={settings['log-level']}: one of {', '.join(LOG_LEVELS)}")
    if settings["log-format"] not in ("json", "console"):
        raise BadSetting(f"--log-format={settings['log-format']}: json or console")
    if settings["initial-cluster-state"] not in ("new", "existing"):
        raise BadSetting("--initial-cluster-state must be new or existing")
    name = settings["name"]
    if not name:
        raise BadSetting("--name must not be empty")
    advertised = _urls(settings, "initial-advertise-peer-urls")
    cluster = settings["initial-cluster"] or ",".join(f"{name}={url}" for url in advertised)
    data_dir = Path(settings["data-dir"] or f"{name}.roost")
    return MemberConfig(
        name=name,
        data_dir=data_dir,
        initial_cluster=parse_initial_cluster(cluster),
        advertise_peer_urls=advertised,
        listen_peer_urls=_urls(settings, "listen-peer-urls"),
        advertise_client_urls=_urls(settings, "advertise-client-urls"),
        initial_cluster_token=settings["initial-cluster-token"],
        heartbeat_ms=settings["heartbeat-interval"],
        election_ms=settings["election-timeout"],
        trailing_entries=settings["snapshot-count"],
        lease_reads=settings["lease-reads"],
        scrub_interval_s=parse_duration("scrub-interval", settings["scrub-interval"]),
    )


def chores(settings: Settings) -> "Chores":
    """What a member is told to do besides serving.

    Raises:
        BadSetting: a value makes no sense.

    """
    quota = settings["quota-backend-bytes"]
    segment_bytes = settings["segment-bytes"]
    interval_s = parse_duration("backup-interval", settings["backup-interval"])
    if segment_bytes < SEGMENT_BYTES_MIN:
        raise BadSetting(f"--segment-bytes={segment_bytes}: at least {SEGMENT_BYTES_MIN}")
    if settings["backup-dir"] and (interval_s <= 0 or settings["backup-keep"] <= 0):
        raise BadSetting("--backup-interval and --backup-keep must be positive")
    return Chores(
        # As with etcd: 0 is the default, less than that is no quota.
        quota_bytes=max(0, quota) if quota else etcd.QUOTA_BYTES,
        segment_bytes=segment_bytes,
        backup_dir=settings["backup-dir"],
        backup_interval_s=interval_s,
        backup_keep=settings["backup-keep"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chores:
    """Settings that are not the member's own; sizes in bytes, times in seconds."""

    quota_bytes: int
    segment_bytes: int
    backup_dir: str
    backup_interval_s: float
    backup_keep: int


class MemberServer:
    """A member, its services and its client port, from start to exit code."""

    def __init__(
        self,
        config: MemberConfig,
        clients: list[tuple[str, int]],
        *,
        chores: Chores,
        request_bytes_max: int,
        joins: bool,
        is_forced: bool = False,
    ) -> None:
        """Nothing is opened before `run`.

        With `joins` a new directory is filled by the cluster; with `is_forced` an old one goes on
        alone, as a new cluster.
        """
        self._config = config
        self._clients = clients
        self._request_bytes_max = request_bytes_max
        self._chores = chores
        self._world = World(segment_bytes=chores.segment_bytes)
        self._joins = joins
        self._is_forced = is_forced
        self._stop = asyncio.Event()
        self._was_removed = False
        self._started = time.time()

    async def run(self) -> int:
        """Serve until a signal; return the exit code."""
        try:
            self.member = await self._open_member()
        except DirectoryLocked as error:
            click.echo(f"roost: {error}", err=True)
            return EXIT_LOCKED
        except DeviceFault as error:
            click.echo(f"roost: {error}", err=True)
            return EXIT_DEVICE
        except (RoostError, OSError) as error:
            click.echo(f"roost: {error}", err=True)
            return EXIT_FAILED
        self.member.on_removed = self._on_removed
        services = etcd.Services(
            self.member,
            self.member.store,
            limits=etcd.Limits(request_bytes_max=self._request_bytes_max),
        )
        self._services = services
        app = make_app(self, server_version=etcd.SERVER_VERSION)
        limits = ServerConfig(message_bytes_max=self._request_bytes_max + (512 << 10))
        self.port = ClientPort(routes=services.routes(), app=app, config=limits)
        try:
            await self.member.start()
            await self.port.start(self._clients)
        except OSError as error:
            click.echo(f"roost: cannot listen: {error.strerror or error}", err=True)
            await self.member.stop()
            return EXIT_FAILED
        guard = etcd.Guard(self.member, services.alarms, quota_bytes=self._chores.quota_bytes)
        guard.start()
        services.start()
        backups = self._start_backups()
        self._say_hello()
        gc.collect()
        gc.freeze()
        await self._wait_for_signal()
        logger.info("stopping")
        guard.stop()
        services.stop()
        if backups is not None:
            backups.cancel()
        await self.port.close(CLOSE_GRACE_S)
        await self.member.stop()
        if self._was_removed:
            click.echo("roost: this member was removed from the cluster for good", err=True)
        return 0

    def _start_backups(self) -> asyncio.Task[None] | None:
        chores = self._chores
        if not chores.backup_dir:
            return None
        schedule = BackupSchedule(
            self.member.files,
            Path(chores.backup_dir),
            name=self._config.name,
            interval_s=chores.backup_interval_s,
            keep_count=chores.backup_keep,
        )
        return asyncio.get_running_loop().create_task(schedule.run())

    async def _open_member(self) -> Member:
        """Open the directory, after what has to be done to it first."""
        if self._joins and not (self._config.data_dir / "identity.a").exists():
            await join_cluster(self._config, self._world)
        if self._is_forced:
            found_new_cluster(self._config, etcd.bootstrap, self._world)
        while True:
            try:
                return Member(
                    self._config,
                    bootstrap=etcd.bootstrap,
                    on_fatal=self._on_fatal,
                    world=self._world,
                )
            except StoreDamaged as damage:
                logger.warning("the store is damaged, and fetched anew: %s", damage)
                await rebuild_store(self._config, self._world)

    def _on_fatal(self, error: BaseException) -> None:
        """End at once, or start anew: what this process believes can no longer be trusted."""
        if isinstance(error, StoreDamaged):
            _start_anew(self._config, str(error))
        _die(error)

    def _on_removed(self) -> None:
        self._was_removed = True
        self._stop.set()

    def _say_hello(self) -> None:
        """Two lines for people: where we are, and what to try next."""
        endpoint = "{}:{}".format(*self._clients[0])
        name, data = self._config.name, self._config.data_dir
        click.echo(f"Roost member {name!r} serves http://{endpoint}, its data is in {data}")
        click.echo(f"Try: roost put greeting hello --endpoints {endpoint}, or any etcd client")
        sys.stdout.flush()

    async def _wait_for_signal(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        await self._stop.wait()

    # --- what the pages show (server.StatusSource) ----------------------------------------------

    async def check_health(self, *, is_serializable: bool) -> None:
        """A member is healthy when it can confirm a read, or at least knows a leader."""
        if not is_serializable:
            await self.member.read_barrier()

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Figures that go up and down."""
        status = self.member.status()
        return {
            "etcd_server_has_leader": ("Whether a leader is known.", float(status.leader_id != 0)),
            "etcd_server_is_leader": (
                "Whether this member leads.",
                float(status.role is Role.LEADER),
            ),
            "etcd_server_proposals_committed_total": (
                "Highest log position committed.",
                float(status.commit_index),
            ),
            "etcd_server_proposals_applied_total": (
                "Highest log position applied.",
                float(status.applied_index),
            ),
            "etcd_server_proposals_pending": (
                "Requests waiting to be executed or committed.",
                float(status.queue_count + status.inflight_count),
            ),
            "etcd_mvcc_db_total_size_in_bytes": ("Size of the store.", float(status.db_bytes)),
            "etcd_mvcc_db_total_size_in_use_in_bytes": (
                "Part of the store that is in use.",
                float(status.db_in_use_bytes),
            ),
            "etcd_debugging_mvcc_current_revision": (
                "Current revision.",
                float(self._services.revision()),
            ),
            "etcd_debugging_mvcc_watcher_total": (
                "Watchers on this member.",
                float(self._services.watches.count),
            ),
            "roost_journal_sync_milliseconds": (
                "Running mean of one journal write and sync.",
                status.sync_ms_mean,
            ),
            "roost_store_durable_index": (
                "Log position up to which the store is durable by itself.",
                float(status.durable_index),
            ),
            "roost_uncommitted_bytes": (
                "Bytes of proposals that no majority has yet.",
                float(status.uncommitted_bytes),
            ),
            "roost_unapplied_bytes": (
                "Bytes that are committed and not applied yet.",
                float(status.unapplied_bytes),
            ),
            "roost_journal_queue": (
                "Writes that wait for a slow disk.",
                float(status.persist_count),
            ),
            "roost_snapshot_transfers": (
                "Snapshots being made, sent or fetched.",
                float(status.snapshot_transfer_count),
            ),
            "roost_peer_send_queue_bytes": (
                "Bytes that wait to be sent to other members.",
                float(status.send_queue_bytes),
            ),
            "roost_client_connections": (
                "Open client connections.",
                float(self.port.connection_count),
            ),
            **self._file_gauges(status),
            "process_start_time_seconds": ("Start of this process.", self._started),
        }

    def _file_gauges(self, status: MemberStatus) -> dict[str, tuple[str, float]]:
        """What the member's files are like."""
        return {
            "roost_journal_damaged_entries": (
                "Journal entries that are damaged here and being brought back.",
                float(status.damaged_entry_count),
            ),
            "roost_member_is_fenced": (
                "1 while this member must not vote, for its log has lost its end.",
                float(status.is_fenced),
            ),
            "roost_members_lost_entries": (
                "Members that came back with less than they had acknowledged, as leader here.",
                float(len(status.lost_entries)),
            ),
            "roost_disk_free_bytes": (
                "What the disk has left, once all that is in memory is on it.",
                float(self.member.space().disk_free_bytes),
            ),
            "roost_store_poison_entries": (
                "Committed entries that were no write sets and changed nothing.",
                float(self.member.store.poison_count),
            ),
        }

    def counters(self) -> dict[str, tuple[str, float]]:
        """Figures that only grow."""
        peers = self.member.transport.statistics
        return {
            "grpc_server_started": ("gRPC calls begun.", float(self.port.grpc.call_count)),
            "roost_peer_frames_sent": ("Frames sent to members.", float(peers.sent_count)),
            "roost_peer_frames_received": (
                "Frames received from members.",
                float(peers.received_count),
            ),
            "roost_peer_frames_dropped": (
                "Frames dropped: no link, or its queue was full.",
                float(peers.dropped_count),
            ),
            "roost_journal_mended_entries": (
                "Damaged journal entries that peers brought back.",
                float(self.member.custody.repair.mended_count),
            ),
            "roost_digests_compared": (
                "State digests compared with other members'.",
                float(self.member.custody.digests.compared_count),
            ),
            "roost_digests_differed": (
                "Comparisons of state digests that differed.",
                float(self.member.custody.digests.mismatch_count),
            ),
            "roost_peer_frames_malformed": (
                "Links closed for breaking the protocol.",
                float(peers.malformed_count),
            ),
        }


def _start_anew(config: MemberConfig, reason: str) -> NoReturn:
    """Remember that the store is damaged, and be replaced by a process that fetches another."""
    logger.critical("the member stops serving and rebuilds its store: %s", reason)
    mark_damaged(config, reason)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - ourselves, as we were started


def _die(error: BaseException) -> None:
    """End at once: what this process believes can no longer be trusted (journal rule J15)."""
    logger.critical("the member ends itself: %s", error, exc_info=error)
    code = EXIT_DEVICE if isinstance(error, DeviceFault) else EXIT_BUG
    sys.stderr.flush()
    os._exit(code)
