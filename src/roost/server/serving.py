"""A member that is served: data models over it, its ports, and what it does besides.

`MemberServer` takes a member that has been opened and not started.  Its operations and observers
are there before the member runs, the ports when it does; at the end clients are seen off first,
and leadership is handed over before their calls end.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from socket import socket

from starlette.routing import Route as RawRoute

from roost import etcd
from roost.call import Route
from roost.database.embedded import Embedded
from roost.errors import RoostError
from roost.member import BackupSchedule, Member
from roost.server import gateway, health, reflection
from roost.server.admission import Admission
from roost.server.app import ENDPOINTS as OWN_ENDPOINTS
from roost.server.app import make_app
from roost.server.bodies import MESSAGES_MIN, Bodies
from roost.server.direct import Direct
from roost.server.documented import BODY_BYTES_MAX, Documented
from roost.server.documented import ENDPOINTS as DOCUMENTED
from roost.server.exchanges import Exchanges, Flows
from roost.server.figures import Figures
from roost.server.grpc import BODIES_BYTES_MAX
from roost.server.json_text import OBJECTS_MAX
from roost.server.loop_watch import LoopWatch
from roost.server.models import MODELS, DataModel, Ground, Page
from roost.server.models.backups import Shelved
from roost.server.options import Backups, Serving, quota_within
from roost.server.origins import Hosts, Origins
from roost.server.pools import Pools
from roost.server.port import ClientPort, Listener
from roost.settings.urls import Url
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


class MemberServer:
    """A member, its data models (`models`) and its ports, from start to stop."""

    def __init__(
        self,
        embedded: Embedded,
        serving: Serving,
        models: Sequence[DataModel] = MODELS,
    ) -> None:
        """Nothing runs before `start`, and nothing is served before `listen`."""
        member = embedded.member
        self._member = member
        self._serving = serving
        self._models = models
        self._shelved = _shelved(member, serving.backups)
        ground = Ground(embedded, serving, shelved=self._shelved)
        self._attached = attached = [it.attach(ground) for it in models]
        self._watch = LoopWatch()
        self._memory = memory = member.memory
        self._look = Ticker(LOOK_S, memory.look)
        quota_bytes = quota_within(serving.quota_bytes, memory.address_bytes)
        self._figures = Figures(member, attached, quota_bytes=quota_bytes, watch=self._watch)
        ground.shown.figures = self._figures.collect
        light = health.LIGHT.union(*(it.light for it in models))
        self._admission = Admission(memory, light, etcd.SHORT)
        routes = {path: route for it in attached for path, route in it.routes.items()}
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
        message_bytes = serving.port.message_bytes_max
        few_bytes = MESSAGES_MIN * message_bytes

        def share(wanted: int) -> int:
            """Of what is left, so that all pools fit into it; a few of the largest always do."""
            return self._memory.share(max(wanted, few_bytes), 4, few_bytes)

        bodies = Bodies(share(BODIES_BYTES_MAX))
        schemas = [schema for it in self._models for schema in it.schemas]
        reflected = reflection.make_routes((*schemas, *health.SCHEMAS))
        calls = (
            gateway.make_routes(
                routes,
                {path: method for it in self._models for path, method in it.json_paths.items()},
                schemas,
                admission=self._admission,
                bodies=bodies,
                body_bytes_max=2 * message_bytes,
                # An operation of a transaction takes three, and something beside it.
                objects_max=max(OBJECTS_MAX, 12 * serving.limits.operations_max),
                heartbeat_s=serving.gateway_heartbeat_s,
            )
            if serving.has_gateway
            else {}
        )
        origins, hosts = Origins(serving.cors), Hosts(serving.hosts)
        spoken = {**routes, **self._health.routes(), **reflected}
        documented = self._make_documented(calls, spoken)
        pages = [
            RawRoute(
                page.path,
                Exchanges(
                    page.answer,
                    admission=self._admission,
                    bodies=bodies,
                    body_bytes_max=page.body_bytes_max,
                ),
            )
            for page in (*documented, *(page for it in self._attached for page in it.pages))
        ]
        streams = [
            RawRoute(page.path, Flows(page.answer, admission=self._admission))
            for it in self._attached
            for page in it.streams
        ]
        app = make_app(
            self._figures,
            server_version=etcd.SERVER_VERSION,
            calls=calls,
            pages=[*streams, *pages],
            origins=origins,
            hosts=hosts,
        )
        return ClientPort(
            routes=spoken,
            app=app,
            config=replace(
                serving.port,
                admission=self._admission,
                unread_bytes_max=share(serving.port.unread_bytes_max),
            ),
            has_leader=lambda: bool(member.leader_id),
            bodies=bodies,
            direct=self._make_direct(bodies, origins, hosts),
        )

    def _make_documented(
        self, calls: Mapping[str, gateway.JsonMethod], spoken: Mapping[bytes, Route]
    ) -> list[Page]:
        """Pages that say what the client port answers."""
        made = Documented(
            [*OWN_ENDPOINTS, *(row for it in self._attached for row in it.endpoints)],
            calls,
            {name: text for it in self._models for name, text in it.json_texts.items()},
            spoken,
            version("roost"),
        )
        return [
            Page(path=it.path, answer=made.answer, body_bytes_max=BODY_BYTES_MAX)
            for it in DOCUMENTED
        ]

    def _make_direct(self, bodies: Bodies, origins: Origins, hosts: Hosts) -> dict[bytes, Direct]:
        """What takes requests before the pages, by the prefixes of their paths."""
        return {
            page.prefix: Direct(
                page.begin,
                admission=self._admission,
                bodies=bodies,
                body_bytes_max=page.body_bytes_max,
                origins=origins,
                hosts=hosts,
            )
            for it in self._attached
            for page in it.direct
        }

    def _make_pages(self) -> ClientPort:
        """A port that has the pages only."""
        app = make_app(
            self._figures, server_version=etcd.SERVER_VERSION, hosts=Hosts(self._serving.hosts)
        )
        return ClientPort(routes={}, app=app, config=self._serving.port)

    async def start(self) -> None:
        """Start the member, and what it does for itself: no port is opened to clients.

        Raises:
            OSError: a peer address cannot be bound; the member is stopped again.
            RoostError: a data model cannot begin; so it is then, too.

        """
        try:
            await self._member.start()
        except OSError:
            await self._member.stop()
            raise
        logger.info("memory: %s", self._memory.describe())
        self._look.start()
        self._watch.start()
        try:
            for it in self._attached:
                await it.start()
        except BaseException:
            await self.stop()
            raise
        self._start_backups()

    def inside(self, name: str) -> object | None:
        """What a data model has for a program in this process; see `Attached.inside`."""
        named = {
            it.name: attached for it, attached in zip(self._models, self._attached, strict=True)
        }
        return named[name].inside

    @property
    def is_served(self) -> bool:
        """Whether there is a port."""
        return bool(self._ports)

    def hear_beats(self, on_beat: Callable[[bool], object]) -> None:
        """Have it called some times a second, with whether the loop had nothing to do meanwhile."""
        self._watch.on_beat = on_beat

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
        if self._shelved is not None:
            self._tasks.start(self._shelved.schedule.run())

    async def stop(self) -> None:
        """Serve no more, hand leadership over, and stop the member."""
        self._health.drain()
        self._watch.stop()
        self._look.stop()
        for it in self._attached:
            it.stop()
        await self._tasks.close()
        # Whoever leads next answers what still comes in here.
        await self._member.hand_over()
        for port, _ in self._ports:
            await port.close(self._serving.grace_s)
        for it in self._attached:
            await it.close()
        await self._member.stop()


def _shelved(member: Member, backups: Backups | None) -> Shelved | None:
    """Who saves backups of a member, if it is to have any."""
    if backups is None:
        return None
    schedule = BackupSchedule(
        member.files,
        backups.place,
        name=member.config.name,
        interval_s=backups.interval_s,
        keep_count=backups.keep_count,
        full_interval_s=backups.full_interval_s,
    )
    return Shelved(backups, schedule)
