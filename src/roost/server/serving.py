"""A member that is served: etcd's services over it, its ports, and what it does besides.

`MemberServer` takes a member that has been opened and not started.  Its operations and observers
are there before the member runs, the ports when it does; at the end clients are seen off first,
and leadership is handed over before their calls end.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from socket import socket

from starlette.routing import Route as RawRoute

from roost import etcd
from roost.call import Route
from roost.errors import RoostError
from roost.member import BackupSchedule, Member
from roost.server import gateway, health, reflection
from roost.server.admission import Admission
from roost.server.app import make_app
from roost.server.bodies import MESSAGES_MIN, Bodies
from roost.server.exchanges import FORM_PART, Exchanges
from roost.server.figures import Figures
from roost.server.grpc import BODIES_BYTES_MAX
from roost.server.json_request import OBJECTS_MAX
from roost.server.loop_watch import LoopWatch
from roost.server.options import Serving
from roost.server.pools import Pools
from roost.server.port import ClientPort, Listener
from roost.settings.urls import Url
from roost.store.base import MAP_BYTES_FIRST
from roost.tasks import Tasks
from roost.ticker import Ticker
from roost.tls import ALPN, TlsFiles, check_peer, server_context


def make_listeners(
    urls: Iterable[Url], tls: TlsFiles | None, bound: Mapping[Url, Sequence[socket]]
) -> list[Listener]:
    """Where clients are served; `bound` are sockets that have taken the places already.

    Raises:
        BadCertificate: TLS is asked for, and a file cannot be used.

    """
    context = None if tls is None else server_context(tls, alpn=ALPN)
    listeners = []
    for url in urls:
        sockets = bound.get(url, ())
        if url.is_secure:
            assert tls is not None, "https URLs have certificates"
            refusal = partial(check_peer, tls)
            listeners.append(Listener(url.place, context, refusal, bound=sockets))
        else:
            listeners.append(Listener(url.place, bound=sockets))
    return listeners


logger = logging.getLogger(__name__)
# How often it is looked how much memory is left.
LOOK_S = 0.25
# What a process maps besides the store's file.
AROUND_MAP_BYTES = 384 << 20


def quota_within(quota_bytes: int, address_bytes: int | None) -> int:
    """The quota of a store whose file, which is mapped as a whole, must fit what may be mapped.

    The map doubles when it is full; where it cannot, the member would end, so writes stop before.
    """
    if address_bytes is None:
        return quota_bytes
    size = MAP_BYTES_FIRST
    while 2 * size + AROUND_MAP_BYTES <= address_bytes:
        size *= 2
    most = size * 9 // 10
    return min(quota_bytes, most) if quota_bytes else most


class MemberServer:
    """A member, its services and its ports, from start to stop."""

    def __init__(
        self,
        member: Member,
        serving: Serving,
        *,
        clock_s: Callable[[], float],
        wall_s: Callable[[], float],
    ) -> None:
        """Nothing runs before `start`, and nothing is served before `listen`.

        `clock_s` and `wall_s`, the date, are those of the machine under the member.
        """
        self._member = member
        self._serving = serving
        self._services = etcd.Services(
            member,
            member.store,
            limits=serving.limits,
            auth_options=serving.auth,
            keeping=serving.keeping,
            clock_s=clock_s,
            wall_s=wall_s,
            memory=member.memory,
        )
        quota_bytes = quota_within(serving.quota_bytes, member.memory.address_bytes)
        self._guard = etcd.Guard(member, self._services.alarms, quota_bytes=quota_bytes)
        self._watch = LoopWatch()
        self._memory = memory = member.memory
        self._look = Ticker(LOOK_S, memory.look)
        self._figures = Figures(member, self._services, quota_bytes=quota_bytes, watch=self._watch)
        self._admission = Admission(memory, etcd.LIGHT | health.LIGHT, etcd.SHORT)
        routes = self._services.routes()
        names = sorted({path[1:].split(b"/")[0].decode() for path in routes})
        self._health = health.Health(names)
        port = self._make_port(routes)
        self._figures.show_port(port)
        self._port = port
        self._ports: list[tuple[ClientPort, Sequence[Listener]]] = []
        memory.held = Pools(member, port).held
        self._tasks = Tasks()

    def _make_port(self, routes: Mapping[bytes, Route]) -> ClientPort:
        """The client port: services, gRPC's own, the pages and the gateway."""
        serving, member = self._serving, self._member
        room = self._memory.room_bytes
        message_bytes = serving.port.message_bytes_max
        bodies = Bodies(max(min(BODIES_BYTES_MAX, room // 4), MESSAGES_MIN * message_bytes))
        json_routes = (
            gateway.make_routes(
                routes,
                etcd.JSON_PATHS,
                etcd.SCHEMAS,
                admission=self._admission,
                bodies=bodies,
                body_bytes_max=2 * message_bytes,
                # An operation of a transaction takes three, and something beside it.
                objects_max=max(OBJECTS_MAX, 12 * serving.limits.operations_max),
            )
            if serving.has_gateway
            else []
        )
        v2 = Exchanges(
            self._services.v2.answer,
            admission=self._admission,
            bodies=bodies,
            body_bytes_max=FORM_PART * message_bytes,
        )
        v2_routes = [RawRoute("/v2/{rest:path}", v2)] if serving.has_v2 else []
        app = make_app(
            self._figures,
            server_version=etcd.SERVER_VERSION,
            # Routes are looked through one after another, and the gateway has very many.
            gateway=[*v2_routes, *json_routes],
            cors=serving.cors,
            hosts=serving.hosts,
        )
        schemas = (*etcd.SCHEMAS, *health.SCHEMAS)
        return ClientPort(
            routes={**routes, **self._health.routes(), **reflection.make_routes(schemas)},
            app=app,
            config=replace(
                serving.port,
                admission=self._admission,
                # Of what is left, so that both and what writes need fit into it.
                unread_bytes_max=min(serving.port.unread_bytes_max, room // 4),
            ),
            has_leader=lambda: bool(member.leader_id),
            bodies=bodies,
        )

    def _make_pages(self) -> ClientPort:
        """A port that has the pages only."""
        app = make_app(self._figures, server_version=etcd.SERVER_VERSION, hosts=self._serving.hosts)
        return ClientPort(routes={}, app=app, config=self._serving.port)

    async def start(self) -> None:
        """Start the member, and what it does for itself: no port is opened to clients.

        Raises:
            OSError: a peer address cannot be bound; the member is stopped again.

        """
        try:
            await self._member.start()
        except OSError:
            await self._member.stop()
            raise
        logger.info("memory: %s", self._memory.describe())
        self._look.start()
        self._watch.start()
        self._guard.start()
        self._services.start()
        self._start_backups()

    @property
    def is_served(self) -> bool:
        """Whether there is a port."""
        return bool(self._ports)

    async def listen(self, clients: Sequence[Listener], metrics: Sequence[Listener] = ()) -> None:
        """Serve clients of a member that has started; on `metrics` there are pages only.

        Raises:
            OSError, RoostError: a place cannot be listened on; those that could be are closed.

        """
        assert not self._ports, "it is served once"
        self._ports = [(self._port, clients)]
        if metrics:
            self._ports.append((self._make_pages(), metrics))
        try:
            for port, listeners in self._ports:
                await port.start(listeners)
        except (OSError, RoostError):
            for port, _ in self._ports:
                await port.close(0)
            raise

    def _start_backups(self) -> None:
        backups, member = self._serving.backups, self._member
        if backups is None:
            return
        schedule = BackupSchedule(
            member.files,
            backups.directory,
            name=member.config.name,
            interval_s=backups.interval_s,
            keep_count=backups.keep_count,
        )
        self._tasks.start(schedule.run())

    async def stop(self) -> None:
        """Serve no more, hand leadership over, and stop the member."""
        self._health.drain()
        self._watch.stop()
        self._look.stop()
        self._guard.stop()
        self._services.stop()
        await self._tasks.close()
        # Whoever leads next answers what still comes in here.
        await self._member.hand_over()
        for port, _ in self._ports:
            await port.close(self._serving.grace_s)
        await self._services.close()
        await self._member.stop()
