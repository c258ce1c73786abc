"""The client port: one listener, whose first bytes decide who speaks (D8).

HTTP/2's preface goes to our gRPC protocol; everything else is HTTP/1.1, where whoever has a prefix
of paths takes requests itself, and the ASGI application all others.  A connection that says nothing
is closed after FIRST_BYTES_S.

Full?  `connections_max` connections are served, and fewer when the process has not so many file
descriptors (see `roost.descriptors`); one more is closed at once.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from starlette.types import ASGIApp

from roost.call import Code, Route, Status
from roost.places import Address, Place, describe
from roost.server.accepting import Acceptor, Counted
from roost.server.admission import Admission
from roost.server.asgi import Application
from roost.server.bodies import Bodies
from roost.server.direct import Direct
from roost.server.grpc import LEADERLESS_S, NO_LEADER, GrpcProtocol, GrpcServer
from roost.server.h2 import PREFACE
from roost.server.http1 import Http1, Http1Protocol
from roost.server.http1_turn import Taker, Turn
from roost.server.listening import CannotListen, bind
from roost.server.unread import unread_bytes_max
from roost.settings import DEFAULTS
from roost.tasks import Tasks
from roost.tls import Certificate

logger = logging.getLogger(__name__)
FIRST_BYTES_S = 5.0
# For a TLS handshake, and for the end of one.
HANDSHAKE_S = 5.0
TICK_S = 0.25
# How long a closed connection may take to hand over what it was sent.
LAST_BYTES_S = 0.5
_PROBES = 4
# etcd takes so much more than a request may have, for what goes around it.
AROUND_BYTES = 512 << 10
STOPPED = Status(Code.UNAVAILABLE, "server stopped")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Limits of the port."""

    message_bytes_max: int = DEFAULTS.max_request_bytes + AROUND_BYTES
    connections_max: int = DEFAULTS.max_connections
    # What answers may take, of all connections, that their clients do not read.
    unread_bytes_max: int = field(default_factory=unread_bytes_max)
    # A connection is asked for a sign of life after so much silence, and ends without one.
    keepalive_s: float = DEFAULTS.grpc_keepalive_interval
    keepalive_timeout_s: float = DEFAULTS.grpc_keepalive_timeout
    # Whether other processes may listen on the same port.
    shares_port: bool = DEFAULTS.socket_reuse_port
    # Open calls of one connection.
    streams_max: int = DEFAULTS.max_concurrent_streams
    # Streams that need a leader end after so long without one (etcd: three election timeouts).
    leaderless_s: float = LEADERLESS_S
    # What callers are told; a data model has words of its own.
    no_leader: Status = NO_LEADER
    stopped: Status = STOPPED
    # Who is let in while memory is short.
    admission: Admission = field(default_factory=Admission)
    # Whether the name in a client's certificate says who it is (etcd: --client-cert-auth).
    trusts_certificates: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """One place of the port; without a context it speaks in the clear."""

    place: Place
    context: ssl.SSLContext | None = None
    # Why whoever shows this certificate is not served; empty when it is.
    refusal: Callable[[Certificate | None], str] = lambda _certificate: ""
    # Those that have taken the place already; without any it is taken at the start.
    bound: Sequence[socket.socket] = ()


class SniffingProtocol(Counted):
    """Holds a connection until its first bytes say what it speaks."""

    def __init__(self, port: "ClientPort", listener: Listener) -> None:
        """Nobody speaks yet."""
        self._port = port
        self._listener = listener
        self._data = b""
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes, not for ever."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self.is_made = True
        if self._listener.context is not None:
            wrong = self._listener.refusal(transport.get_extra_info("peercert"))
            if wrong:
                logger.warning("a client was refused: %s", wrong)
                transport.abort()
                return
        self._transport = transport
        self._port.undecided[transport] = None
        sock = transport.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(sock, self._port.config)
        self._deadline = asyncio.get_running_loop().call_later(FIRST_BYTES_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Decide as soon as the bytes do."""
        self._data += data
        begin = PREFACE[: len(self._data)]
        if self._data.startswith(begin) and len(self._data) < len(PREFACE):
            return
        assert self._transport is not None, "we are connected"
        assert self._deadline is not None, "we wait for the first bytes"
        self._deadline.cancel()
        self._port.undecided.pop(self._transport, None)
        is_http2 = self._data.startswith(PREFACE)
        protocol = self._port.make_grpc() if is_http2 else self._port.make_http()
        transport, data = self._transport, self._data
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """It never said what it was."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self._transport is not None:
            self._port.undecided.pop(self._transport, None)
        self._port.on_gone()


def _keep_alive(sock: socket.socket, config: ServerConfig) -> None:
    """Let the kernel notice clients that are gone without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        probe_s = max(1, round(config.keepalive_timeout_s / _PROBES))
        for option, value in (
            (socket.TCP_KEEPIDLE, max(1, round(config.keepalive_s))),
            (socket.TCP_KEEPINTVL, probe_s),
            (socket.TCP_KEEPCNT, _PROBES),
        ):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


class ClientPort:
    """The listener and everything that speaks on it."""

    def __init__(
        self,
        *,
        routes: Mapping[bytes, Route],
        app: ASGIApp,
        config: ServerConfig,
        has_leader: Callable[[], bool] = lambda: True,
        bodies: Bodies | None = None,
        direct: Mapping[bytes, Direct] | None = None,
    ) -> None:
        """Nothing listens before `start`; `bodies` is shared with an `app` that takes posts.

        Paths with a prefix in `direct` are taken there, all others by `app`.
        """
        self.config = config
        self.grpc = GrpcServer(
            routes,
            message_bytes_max=config.message_bytes_max,
            unread_bytes_max=config.unread_bytes_max,
            bodies=bodies,
            has_leader=has_leader,
            streams_max=config.streams_max,
            leaderless_s=config.leaderless_s,
            no_leader=config.no_leader,
            admission=config.admission,
        )
        self.connection_count = 0
        # Those that have not said yet what they speak.
        self.undecided: dict[asyncio.Transport, None] = {}
        self._app = Application(app)
        self._direct = dict(direct or {})
        self.http = Http1(self._begin, self.grpc.unread, self.grpc.intake)
        self._acceptors: list[Acceptor] = []
        self._tasks = Tasks()
        self._paths: list[Path] = []
        self._timer: asyncio.TimerHandle | None = None

    def make_grpc(self) -> asyncio.Protocol:
        """A connection that speaks HTTP/2."""
        trusts = self.config.trusts_certificates
        made = GrpcProtocol(self.grpc, lambda _protocol: self.on_gone(), trusts_certificates=trusts)
        return cast("asyncio.Protocol", made)  # by its methods

    def on_gone(self) -> None:
        """A connection that was admitted has ended."""
        self.connection_count -= 1

    def admit(self) -> str:
        """Count one more connection until it is gone; why it is not served, if it is not."""
        if self.connection_count >= self.config.connections_max:
            return f"{self.connection_count} are served (--max-connections)"
        self.connection_count += 1
        return ""

    def make_http(self) -> asyncio.Protocol:
        """A connection that speaks HTTP/1.1, or is told that it speaks nothing we know."""
        made = Http1Protocol(self.http, self.on_gone)
        return cast("asyncio.Protocol", made)  # by its methods

    def _begin(self, turn: Turn) -> Taker:
        """Find who answers a request over HTTP/1.1."""
        for prefix, direct in self._direct.items():
            if turn.path.startswith(prefix):
                return direct.begin(turn)
        return self._app.begin(turn)

    async def start(self, listeners: Sequence[Listener]) -> list[Address]:
        """Listen; return where we really do, on the network.

        Raises:
            CannotListen: a place cannot be taken; none is then.

        """
        self._loop = asyncio.get_running_loop()
        try:
            for it in listeners:
                self._listen(it)
        except CannotListen:
            await self.close(0)
            raise
        self._timer = self._loop.call_later(TICK_S, self._tick)
        found = [it.door.sock for it in self._acceptors]
        return [it.getsockname()[:2] for it in found if it.family != socket.AF_UNIX]

    def _listen(self, listener: Listener) -> None:
        if isinstance(listener.place, Path):
            self._paths.append(listener.place)
        shares_port = self.config.shares_port
        for sock in listener.bound or bind(listener.place, shares_port=shares_port):
            try:
                acceptor = Acceptor(
                    sock,
                    make=partial(SniffingProtocol, self, listener),
                    admit=self.admit,
                    on_failed=self.on_gone,
                    tasks=self._tasks,
                    context=listener.context,
                    handshake_s=None if listener.context is None else HANDSHAKE_S,
                )
            except OSError as error:
                raise CannotListen(
                    f"cannot listen on {describe(listener.place)}: {error.strerror}"
                ) from error
            self._acceptors.append(acceptor)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK_S, self._tick)
        self.grpc.tick(self._loop.time())

    async def close(self, grace_s: float) -> None:
        """Take no more; let what is open end for `grace_s` seconds, then close it."""
        for acceptor in self._acceptors:
            acceptor.door.close()
        await self._tasks.close()
        for transport in list(self.undecided):
            transport.abort()
        for path in self._paths:
            path.unlink(missing_ok=True)
        if self._timer is not None:
            self._timer.cancel()
        connections, others = self.grpc.connections, self.http.connections
        for protocol in list(connections):
            protocol.drain()
            protocol.end_streams(self.config.stopped)
        for connection in list(others):
            connection.stop()

        def is_answered() -> bool:
            is_asked = any(it.h2.streams for it in connections)
            return not is_asked and not any(it.is_answering for it in others)

        await _wait_for(is_answered, grace_s)
        for protocol in list(connections):
            protocol.close()
        # What goes on has been told to end, and may say its last words; nobody waits for long.
        await _wait_for(lambda: all(it.is_gone for it in others), LAST_BYTES_S)
        for connection in list(others):
            connection.end()

        def is_empty() -> bool:
            return not (connections or others or self.undecided)

        # A closed connection goes when its last bytes have been taken, and what never spoke in
        # another turn: before that the loop must not end.
        if not await _wait_for(is_empty, LAST_BYTES_S):
            for protocol in list(connections):
                protocol.abort()
            for connection in list(others):
                connection.give_up()
            await _wait_for(is_empty, LAST_BYTES_S)
        await self._app.close()
        for direct in self._direct.values():
            await direct.close()


async def _wait_for(is_so: Callable[[], bool], within_s: float) -> bool:
    """Wait until it is so, or for `within_s` seconds; say whether it is."""
    try:
        async with asyncio.timeout(within_s):
            while not is_so():
                await asyncio.sleep(0.01)
    except TimeoutError:
        return is_so()
    return True
