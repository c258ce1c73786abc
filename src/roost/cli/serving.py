"""One member and all that it serves, from start to exit code."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from roost import etcd
from roost.cli.ending import end_now, end_within
from roost.cli.exits import EXIT_BUG, EXIT_DEVICE, EXIT_FAILED, EXIT_LOCKED
from roost.cli.hello import command_to_try, notify, place_of, say, say_error
from roost.cli.insecurity import insecurities
from roost.cli.urls import Url
from roost.errors import CallerFault, DeviceFault, RoostError
from roost.journal import DirectoryLocked
from roost.member import (
    BackupSchedule,
    Member,
    MemberConfig,
    StoreDamaged,
    World,
    added_anew,
    mark_damaged,
    mark_suspect,
    open_member,
)
from roost.peer import PeerTls, Secrets
from roost.server import ClientPort, Listener, ServerConfig, gateway, health, make_app, reflection
from roost.server.figures import Figures
from roost.store import StoreSuspect, crash
from roost.tasks import Tasks
from roost.tls import ALPN, TlsFiles, check_peer, server_context

logger = logging.getLogger("roost")
# etcd takes 512 KiB more than a request may have, for what goes around it.
_AROUND_BYTES = 512 << 10
# Streams that need a leader end after so many election timeouts (etcd: v3rpc.monitorLeader).
_LEADERLESS_ELECTIONS = 3
# How soon a leader that is there is noticed.
_LOOK_S = 0.02
# How long a stop may take beyond what open calls are given.
STOP_S = 4.0
# How long a damaged store may take to be marked.
ANEW_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chores:
    """What a member does besides serving; sizes in bytes, times in seconds."""

    quota_bytes: int
    segment_bytes: int
    backup_dir: str
    backup_interval_s: float
    backup_keep: int
    keeping: etcd.Keeping | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How clients and other members are spoken with."""

    clients: Sequence[Url]
    metrics: Sequence[Url]
    client_tls: TlsFiles | None
    peer_tls: TlsFiles | None
    peer_secrets: Secrets
    trusts_certificates: bool
    limits: etcd.Limits
    connections_max: int
    streams_max: int
    auth: etcd.AuthOptions
    has_gateway: bool
    cors: Sequence[str]
    hosts: Sequence[str]
    keepalive_s: float
    keepalive_timeout_s: float
    shares_port: bool
    grace_s: float


class MemberServer:
    """A member, its services and its client port."""

    def __init__(
        self,
        config: MemberConfig,
        serving: Serving,
        chores: Chores,
        *,
        joins: bool,
        is_forced: bool = False,
        bound: Mapping[Url, Sequence[socket.socket]],
        on_hangup: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is opened before `run`.

        With `joins` a new directory is filled by the cluster; with `is_forced` an old one goes on
        alone, as a new cluster.  `bound` are sockets that have taken places already; `on_hangup` is
        called at each SIGHUP.

        Raises:
            BadCertificate: TLS is asked for, and a file cannot be used.

        """
        self._config = config
        self._serving = serving
        self._chores = chores
        peer_tls = PeerTls(serving.peer_tls) if serving.peer_tls else None
        self._world = World(
            segment_bytes=chores.segment_bytes,
            peer_tls=peer_tls,
            peer_secrets=serving.peer_secrets,
        )
        self._client_context = (
            None if serving.client_tls is None else server_context(serving.client_tls, alpn=ALPN)
        )
        self._bound = bound
        self._joins = joins
        self._is_forced = is_forced
        self._on_hangup = on_hangup
        self._stop = asyncio.Event()
        self._tasks = Tasks()
        self._was_removed = False

    async def run(self) -> int:
        """Serve until a signal; return the exit code."""
        try:
            self.member = await self._open_member()
        except DirectoryLocked as error:
            say_error(error)
            return EXIT_LOCKED
        except DeviceFault as error:
            say_error(error)
            return EXIT_DEVICE
        except (RoostError, OSError) as error:
            say_error(error)
            return EXIT_FAILED
        self.member.on_removed = self._on_removed
        serving, chores = self._serving, self._chores
        services = etcd.Services(
            self.member,
            self.member.store,
            limits=serving.limits,
            auth_options=serving.auth,
            keeping=chores.keeping,
            clock_s=self._world.clock_s,
        )
        ports = self._make_ports(services)
        try:
            await self.member.start()
            for port, listeners in ports:
                await port.start(listeners)
        except (OSError, RoostError) as error:
            say_error(error)
            await self.member.stop()
            return EXIT_FAILED
        guard = etcd.Guard(self.member, services.alarms, quota_bytes=chores.quota_bytes)
        guard.start()
        services.start()
        self._start_backups()
        gc.collect()
        gc.freeze()
        await self._serve_until_told()
        logger.info("stopping")
        notify("STOPPING=1")
        limit_s = serving.grace_s + STOP_S
        # As by a crash: nothing that was acknowledged is lost by it.
        text = f"the stop was cut short: a device has not answered for {limit_s:.0f} s"
        end_within(limit_s, EXIT_DEVICE, text)
        self._health.drain()
        guard.stop()
        services.stop()
        await self._tasks.close()
        # Whoever leads next answers what still comes in here.
        await self.member.hand_over()
        for port, _ in ports:
            await port.close(serving.grace_s)
        await services.close()
        await self.member.stop()
        if self._was_removed:
            text = f"its data in {self._config.data_dir} are of no use any more"
            text = f"this member was removed from the cluster for good; {text}"
            say_error(f"{text}; for a new one here: {added_anew(self._config)}")
        return 0

    def _make_ports(self, services: etcd.Services) -> list[tuple[ClientPort, list[Listener]]]:
        """The client port, and the one for metrics if there is one."""
        serving, chores = self._serving, self._chores
        figures = Figures(self.member, services, quota_bytes=chores.quota_bytes)
        routes = dict(services.routes())
        names = sorted({path[1:].split(b"/")[0].decode() for path in routes})
        self._health = health.Health(names)
        body_bytes_max = serving.limits.request_bytes_max + _AROUND_BYTES
        json_routes = (
            gateway.make_routes(
                routes, etcd.JSON_PATHS, etcd.SCHEMAS, body_bytes_max=2 * body_bytes_max
            )
            if serving.has_gateway
            else []
        )
        app = make_app(
            figures,
            server_version=etcd.SERVER_VERSION,
            gateway=json_routes,
            cors=serving.cors,
            hosts=serving.hosts,
        )
        config = ServerConfig(
            leaderless_s=_LEADERLESS_ELECTIONS * self._config.election_ms / 1000,
            message_bytes_max=body_bytes_max,
            connections_max=serving.connections_max,
            streams_max=serving.streams_max,
            trusts_certificates=serving.trusts_certificates,
            keepalive_s=serving.keepalive_s,
            keepalive_timeout_s=serving.keepalive_timeout_s,
            shares_port=serving.shares_port,
            no_leader=etcd.NO_LEADER,
            stopped=etcd.STOPPED,
        )
        schemas = (*etcd.SCHEMAS, *health.SCHEMAS)
        port = ClientPort(
            routes={**routes, **self._health.routes(), **reflection.make_routes(schemas)},
            app=app,
            config=config,
            has_leader=lambda: bool(self.member.leader_id),
        )
        figures.show_port(port)
        ports = [(port, [self._listener(it) for it in serving.clients])]
        if serving.metrics:
            pages = make_app(figures, server_version=etcd.SERVER_VERSION, hosts=serving.hosts)
            only_pages = ClientPort(routes={}, app=pages, config=config)
            ports.append((only_pages, [self._listener(it) for it in serving.metrics]))
        return ports

    def _listener(self, url: Url) -> Listener:
        sockets = self._bound.get(url, ())
        if not url.is_secure:
            return Listener(url.place, bound=sockets)
        files = self._serving.client_tls
        assert files is not None, "https URLs have certificates"
        refusal = partial(check_peer, files)
        return Listener(url.place, self._client_context, refusal, bound=sockets)

    def _start_backups(self) -> None:
        chores = self._chores
        if not chores.backup_dir:
            return
        schedule = BackupSchedule(
            self.member.files,
            Path(chores.backup_dir),
            name=self._config.name,
            interval_s=chores.backup_interval_s,
            keep_count=chores.backup_keep,
        )
        self._tasks.start(schedule.run())

    def _insecurities(self) -> list[str]:
        it = self._serving
        return insecurities(it.clients, it.client_tls, it.peer_tls, it.peer_secrets)

    async def _open_member(self) -> Member:
        """Open the directory, after what has to be done to it first."""
        data_dir = self._config.data_dir
        if crash.is_watched(data_dir):
            crash.watch(data_dir)
        member = await open_member(
            self._config,
            bootstrap=etcd.bootstrap,
            on_fatal=self._on_fatal,
            world=self._world,
            joins=self._joins,
            is_forced=self._is_forced,
        )
        crash.watch(data_dir)  # it may be new
        return member

    def _on_fatal(self, error: BaseException) -> NoReturn:
        """End at once, or start anew: what this process believes can no longer be trusted."""
        try:
            if isinstance(error, StoreDamaged):
                _start_anew(self._config, error, mark_damaged)
            if isinstance(error, StoreSuspect):
                _start_anew(self._config, error, mark_suspect)
        except Exception as second:  # noqa: BLE001 - a member that has stopped must not stay
            error = second
        finally:
            code = EXIT_DEVICE if isinstance(error, DeviceFault | OSError) else EXIT_BUG
            if isinstance(error, CallerFault):
                # It should not have been started like that, and where it came up tells nothing.
                end_now(EXIT_FAILED, f"the member ends itself: {error}")
            end_now(code, f"the member ends itself: {error}", error)

    def _on_removed(self) -> None:
        self._was_removed = True
        self._stop.set()

    async def _serve_until_told(self) -> None:
        """Say where we are and, as soon as there is a leader, that we serve; go on until told."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._read_again)
        for text in self._insecurities():
            logger.warning(text)
        name, data = self._config.name, self._config.data_dir
        places = ", ".join(place_of(it) for it in self._serving.clients)
        voters = self.member.core.configuration.all_voters()
        if len(voters) > 1 and not self.member.leader_id:
            say(
                f"Roost member {name!r} waits for a majority of {len(voters)} members; clients will"
                f" be served at {places}, its data is in {data}"
            )
            notify(f"STATUS=waits for a majority of {len(voters)} members")
        while not self.member.leader_id and not self._stop.is_set():
            await asyncio.sleep(_LOOK_S)
        if self.member.leader_id:
            say(f"Roost member {name!r} serves {places}, its data is in {data}")
            hint = command_to_try(self._serving.clients[0], self._serving.client_tls)
            say(f"Try: {hint}, or any etcd client")
            notify("READY=1", f"STATUS=serves {places}")
        await self._stop.wait()

    def _read_again(self) -> None:
        """What SIGHUP asks for."""
        notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._on_hangup()
        notify("READY=1")


def _start_anew(
    config: MemberConfig, error: DeviceFault, mark: Callable[[MemberConfig, str], None]
) -> NoReturn:
    """Remember what is wrong with the store, and be replaced by a process that sees to it.

    Whatever is raised, that could not be remembered.
    """
    end_within(ANEW_S, EXIT_DEVICE, "a damaged store could not be marked: its disk hangs")
    logger.critical("the member stops serving and looks after its store: %s", error)
    mark(config, str(error))
    with suppress(OSError):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - ourselves, as we were started
