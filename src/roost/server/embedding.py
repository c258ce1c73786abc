"""Data models in a program that opened a database: there from the start, served when asked.

They stand on every member, served or not: whichever member leads runs what clients ask of any, and
ends leases that are due.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from roost.database.embedded import Embedded, Rooms
from roost.database.errors import BadOpening
from roost.server.listening import bind
from roost.server.models import MODELS
from roost.server.options import serving_of
from roost.server.port import Listener
from roost.server.serving import MemberServer, make_listeners
from roost.settings import Settings
from roost.settings.certificates import client_tls
from roost.settings.urls import parse_urls, told_to_clients
from roost.store import Txn


class Services:
    """Builds them; see `roost.database.embedded.Builder`."""

    def bootstrap(self, txn: Txn) -> None:
        """Make the trees of data models, as every member does."""
        for it in MODELS:
            it.bootstrap(txn)

    def check(self, settings: Settings) -> None:
        """See that they could be served.

        Raises:
            BadSetting: a setting cannot be used.

        """
        serving_of(settings)

    def build(self, embedded: Embedded, settings: Settings) -> Rooms:
        """Stand on a member that has not started."""
        return Embedding(embedded, settings)


class Embedding:
    """The services of one member, with a port or without."""

    def __init__(self, embedded: Embedded, settings: Settings) -> None:
        """Nothing runs before `start`."""
        self._member = embedded.member
        self._settings = settings
        self._server = MemberServer(embedded, serving_of(settings))

    async def start(self) -> None:
        """Start the member and its services."""
        await self._server.start()

    async def stop(self) -> None:
        """See clients off, hand leadership over, and stop all of it."""
        await self._server.stop()

    def inside(self, name: str) -> object | None:
        """What the data model of that name has for the program."""
        return self._server.inside(name)

    async def serve(self, client_urls: Sequence[str] | None, metrics_urls: Sequence[str]) -> None:
        """Listen; see `roost.database.embedded.Served`.

        Raises:
            BadOpening: it is served already.
            BadSetting, CannotListen: a URL cannot be listened at; none is then.

        """
        if self._server.is_served:
            raise BadOpening("the database is served already")
        settings = self._settings
        if client_urls is not None:
            settings = replace(settings, listen_client_urls=tuple(client_urls))
        clients = self._listeners("listen-client-urls", settings.listen_client_urls)
        metrics = self._listeners("listen-metrics-urls", metrics_urls)
        await self._server.listen(clients, metrics)
        self._member.tell_clients(told_to_clients(settings))

    def _listeners(self, flag: str, texts: Sequence[str]) -> list[Listener]:
        """Take the places."""
        if not texts and flag == "listen-client-urls":
            raise BadOpening("client_urls is empty: say where clients are served")
        urls = parse_urls(flag, texts)
        with ExitStack() as undo:
            bound = {}
            for url in urls:
                bound[url] = sockets = bind(url.place, shares_port=self._settings.socket_reuse_port)
                for it in sockets:
                    undo.callback(it.close)
            found = make_listeners(urls, client_tls(self._settings), bound)
            undo.pop_all()
        return found
