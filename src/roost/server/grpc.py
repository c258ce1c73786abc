"""gRPC over our HTTP/2 (grpc: doc/PROTOCOL-HTTP2.md): connections, and what they share.

`methods` reads what a request's head says, `calls` is one call; here is the connection that
carries calls, their deadlines and their ends.  Answers collect in the connection and leave in one
write at the end of the loop turn.

Full?  A connection whose client does not read is not read from either until it does; what was
answered before is bounded by `unread`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import Final, cast

from roost.call import Code, Route, Status, Unary
from roost.flow import OWN, Flow, flow_of
from roost.server.admission import Admission
from roost.server.bodies import MESSAGES_MIN, Bodies
from roost.server.calls import PREFIX_BYTES, Call, TracedCall, UnaryCall, is_message
from roost.server.h2 import STREAMS_MAX, Connection, ConnectionBroken, ErrorCode, Stream, Unfinished
from roost.server.h2.hpack import encode_literal
from roost.server.h2.outgoing import FRAMES_A_TURN_MAX
from roost.server.intake import REQUEST_UNITS, Intake
from roost.server.methods import Head, Methods
from roost.server.streaming import StreamingCall
from roost.server.unread import Unread
from roost.slices import Slices
from roost.tls import common_name
from roost.tracing import is_on

logger = logging.getLogger(__name__)
LEADERLESS_S: Final = 3.0
# So many calls of connections that are gone are ended in a turn of the loop.
ENDED_A_TURN: Final = 200
# What requests may take that are not whole yet.
BODIES_BYTES_MAX: Final = 128 << 20
# Answers that nobody takes are given up after a minute: so often nothing of them has left.
STALL_LOOK_S, STALLED_LOOKS_MAX = 5.0, 12
# What callers are told; a data model has words of its own for it.
NO_LEADER = Status(Code.UNAVAILABLE, "no leader")


class GrpcServer:
    """What all connections share: routes, limits, deadlines."""

    def __init__(
        self,
        routes: Mapping[bytes, Route],
        *,
        message_bytes_max: int,
        unread_bytes_max: int,
        bodies: Bodies | None = None,
        has_leader: Callable[[], bool] = lambda: True,
        streams_max: int = STREAMS_MAX,
        leaderless_s: float = LEADERLESS_S,
        no_leader: Status = NO_LEADER,
        admission: Admission | None = None,
    ) -> None:
        """Calls that need a leader are refused while `has_leader` says there is none.

        Streams that need one end `leaderless_s` later (etcd: v3rpc.monitorLeader), both with
        `no_leader`.
        """
        self.message_bytes_max = message_bytes_max
        self.has_leader = has_leader
        self.no_leader = no_leader
        self.streams_max = streams_max
        self._leaderless_s = leaderless_s
        self._leader_seen_s = 0.0
        self.admission = admission or Admission()
        self.memory = self.admission.memory
        self.methods = Methods(routes, self.admission.light)
        self.connections: set[GrpcProtocol] = set()
        self.unfinished = Unfinished()
        self.unread: Unread = Unread(unread_bytes_max, self.connections)
        self.bodies: Bodies = bodies or Bodies(
            max(BODIES_BYTES_MAX, MESSAGES_MIN * message_bytes_max)
        )
        self.intake: Intake = Intake()
        self.ending = Slices(ENDED_A_TURN)
        self.received_bytes: int = 0
        self.sent_bytes: int = 0
        # Streams and connections that were given up, since nobody read what was sent there.
        self.stalled_count: int = 0
        self._unflushed: list[GrpcProtocol] = []

    def schedule_flush(self, protocol: "GrpcProtocol") -> None:
        """Let a connection write at the end of this loop turn, with all others that must."""
        if not self._unflushed:
            protocol.loop.call_soon(self._flush)
        self._unflushed.append(protocol)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for protocol in unflushed:
            try:
                protocol.flush()
            except Exception:
                logger.exception("a connection could not be written to")
                protocol.abort()

    def tick(self, now: float) -> None:
        """End calls whose deadline has passed; a few times a second."""
        if self.has_leader():
            self._leader_seen_s = now
        self.bodies.tick(monotonic())
        is_leaderless = self._leader_seen_s and now > self._leader_seen_s + self._leaderless_s
        for protocol in list(self.connections):
            protocol.tick(now)
            if is_leaderless:
                protocol.end_streams(self.no_leader, only_leaderless=True)


def address_of(peername: object) -> str:
    """The host in a socket's name; a socket of the file system has none."""
    return str(peername[0]) if isinstance(peername, tuple) and peername else ""


def _flow_of(peername: object) -> Flow:
    """With whom a connection shares its turns; all by sockets of the file system are one."""
    if isinstance(peername, tuple) and len(peername) > 1:
        return flow_of(str(peername[0]), int(peername[1]))
    return OWN


class GrpcProtocol:
    """One client connection; an `asyncio.Protocol` by its methods.

    Not by class, since compiled its attributes would be in a dictionary then, and each call of its
    own methods would look for them by name.
    """

    def __init__(
        self,
        server: GrpcServer,
        on_lost: Callable[["GrpcProtocol"], None],
        *,
        trusts_certificates: bool = False,
    ) -> None:
        """Wait for the transport."""
        self._trusts_certificates = trusts_certificates
        self.server = server
        self.unread, self.bodies = server.unread, server.bodies
        # A stream with messages that it has not been handed yet: nothing is read before.
        self._left: StreamingCall | None = None
        # How often it was looked and nothing had left, and what had by then.
        self._stalled_looks = self._moved_count = self._unsent_bytes = 0
        self._stall_look_s = 0.0
        self.message_bytes_max = server.message_bytes_max
        self.h2 = Connection(self, streams_max=server.streams_max, unfinished=server.unfinished)
        self.is_flush_due = False
        # When the bytes came that are being read.
        self.received_s = 0.0
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._deadlines: dict[int, Call] = {}
        # The client does not read its answers; it has sent more than its share of a turn.
        self._is_paused = self._is_in_line = False
        # What was answered and has not left, as last counted.
        self.unread_bytes = 0
        self.certificate_name = self.address = ""
        self.flow = OWN

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client is there."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self._transport = transport
        if self._trusts_certificates:
            self.certificate_name = common_name(transport.get_extra_info("peercert"))
        peername = transport.get_extra_info("peername")
        self.address, self.flow = address_of(peername), _flow_of(peername)
        self.loop = asyncio.get_running_loop()
        self.server.connections.add(self)
        self.schedule_flush()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self.received_s = monotonic()
        self.server.received_bytes += len(data)
        self.server.memory.note(len(data))
        self._read(data, 0 if self._is_in_line else self.server.intake.budget())

    def read_on(self, budget: int) -> None:
        """Read what has come and was left: it is this connection's turn."""
        self._is_in_line = False
        if self._transport is not None and not self._transport.is_closing():
            self._read(b"", budget - self._go_on())
            self._let_read()

    def hold(self, call: StreamingCall) -> None:
        """Read no more before this call has gone on, in a later turn."""
        self._left = call
        self.h2.is_held = True

    def _go_on(self) -> int:
        """Let the stream that was not handed everything go on; return what that took."""
        call, self._left = self._left, None
        if call is None:
            return 0
        h2 = self.h2
        h2.is_held, h2.spent = False, 0
        self._step(call, call.go_on)
        self.server.intake.note(self, h2.spent, has_more=False)
        return h2.spent

    def _read(self, data: bytes, budget: int) -> None:
        try:
            has_more = self.h2.receive(data, budget)
        except ConnectionBroken as error:
            logger.info("client connection closed: %s (%s)", error.text, error.code.name)
            # What it has cost until then is of this turn: others may come who do the same.
            self.server.intake.note(self, self.h2.spent, has_more=False)
            self._go_away(error.code, error.text)
            return
        has_more |= self._left is not None
        if has_more and not self._is_in_line:
            self._is_in_line = True
            self.server.intake.note(self, self.h2.spent, has_more=True)
            self._let_read()
        elif self.h2.spent:
            self.server.intake.note(self, self.h2.spent, has_more=False)
        if (self.h2.out or self.h2.has_more) and not self.is_flush_due:
            self.schedule_flush()

    def _go_away(self, code: ErrorCode, text: str) -> None:
        self.h2.go_away(code, text)
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def eof_received(self) -> None:
        """The client sends nothing more, so it is over: the loop closes the connection."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """The client is gone: so are its calls."""
        self._transport = None
        self.server.connections.discard(self)
        self._left = None
        streams = self.h2.leave()
        self.unread.recount(self, 0)
        for stream in streams:
            if stream.state is not None:
                stream.state.abandon()  # at once, however late it hears of its end
        self.server.ending.run(map(self.on_reset, streams))
        self._on_lost(self)

    def make_head(self, fields: list[tuple[bytes, bytes]]) -> object:
        """Read a request's headers."""
        return self.server.methods.read_head(fields)

    def make_large_head(self) -> object:
        """Refuse a request whose headers are too large."""
        return self.server.methods.large_head()

    def on_headers(self, stream: Stream, head: object) -> None:
        """A call begins."""
        assert isinstance(head, Head), "make_head made it"
        handle = head.handle
        if handle is not None and not self.server.memory.is_short and not stream.is_remote_closed:
            # As for most: there is nothing to ask.
            head.figures.started_count += 1
            self.h2.spent += REQUEST_UNITS
            UnaryCall(self, stream, head, handle)
            return
        if head.http_status:
            block = encode_literal(b":status", b"%d" % head.http_status)
            self.h2.send_trailers(stream, block)
            return
        head.figures.started_count += 1
        if head.needs_leader and not self.server.has_leader():
            Call(self, stream, head).finish(*self.server.no_leader)
            return
        if head.refusal is not None:
            Call(self, stream, head).finish(*head.refusal)
            return
        if self.server.memory.is_short and not head.is_light:
            Call(self, stream, head).finish(*self.server.admission.refuse())
            return
        self.h2.spend(REQUEST_UNITS)
        route = head.route
        assert route is not None, "there is a route, or a refusal"
        call: Call
        if isinstance(route, Unary):
            kind = TracedCall if head.trace and is_on() else UnaryCall
            call = kind(self, stream, head, route.handle)
        else:
            try:
                call = StreamingCall(self, stream, head, route.open)
            except Exception as error:  # noqa: BLE001 - one call must not cost the others
                self._on_failure(Call(self, stream, head), error)
                return
        if head.timeout_s is not None:
            call.deadline = self.loop.time() + head.timeout_s
            self._deadlines[stream.id] = call
        if stream.is_remote_closed:
            self.on_data(stream, b"")

    def on_request(self, stream: Stream, head: object, data: bytes) -> None:
        """A call begins, and its request is here: for most there is nothing to ask but that."""
        assert isinstance(head, Head), "make_head made it"
        handle = head.handle
        if (
            handle is None
            or self.server.memory.is_short
            or not is_message(data, self.message_bytes_max)
        ):
            stream.is_remote_closed = False
            self.on_headers(stream, head)
            if not stream.is_local_closed:
                stream.is_remote_closed = True
                self.on_data(stream, data)
            return
        head.figures.started_count += 1
        self.h2.spent += REQUEST_UNITS
        call = UnaryCall(self, stream, head, handle)
        try:
            handle(call, data[PREFIX_BYTES:])
        except Exception as error:  # noqa: BLE001 - one call must not cost the others
            self._on_failure(call, error)

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Bytes of a request."""
        call: Call | None = stream.state
        if call is None:
            return  # it was answered before its request was whole
        try:
            call.feed(data)
        except Exception as error:  # noqa: BLE001 - one call must not cost the others
            self._on_failure(call, error)

    def _step(self, call: Call, step: Callable[[], None]) -> None:
        """Take one step of a call; what it raises ends that call, and nothing else."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - one call must not cost the others
            self._on_failure(call, error)

    def _on_failure(self, call: Call, error: Exception) -> None:
        """End a call whose handler raised: answered once, logged, and forgotten."""
        if isinstance(error, MemoryError):
            logger.warning("a handler was given no memory: its call ends")
            code, text = self.server.admission.on_error()
        else:
            logger.error("a handler failed", exc_info=error)
            code, text = Status(Code.INTERNAL, "internal error")
        try:
            call.refuse(code, text)
        except Exception:
            logger.exception("a handler failed when its call was ended")

    def on_reset(self, stream: Stream) -> None:
        """The client gave a call up."""
        self._deadlines.pop(stream.id, None)
        call: Call | None = stream.state
        if call is not None:
            stream.state = None
            self._step(call, call.cancel)

    def on_drain(self, stream: Stream) -> None:
        """The windows have let out what was pending."""
        call: Call | None = stream.state
        if call is not None and call.on_drain is not None and not call.is_done:
            try:
                call.on_drain()
            except Exception as error:  # noqa: BLE001 - one call must not cost the others
                self._on_failure(call, error)

    @property
    def unsent_bytes(self) -> int:
        """What the socket has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def schedule_flush(self) -> None:
        """Write everything at the end of this loop turn."""
        if not self.is_flush_due:
            self.is_flush_due = True
            self.server.schedule_flush(self)

    def flush(self) -> None:
        """Write what has collected."""
        self.is_flush_due = False
        h2, transport = self.h2, self._transport
        if transport is not None and (h2.out or h2.has_more):
            output = h2.take_output(0 if self._is_paused else FRAMES_A_TURN_MAX)
            self.server.sent_bytes += len(output)
            transport.write(output)
            if h2.has_more and not self._is_paused:
                self.schedule_flush()
        if self.unread_bytes or h2.blocked_bytes or self._is_paused:
            self._recount()

    def _recount(self) -> None:
        unread = self.unread
        unread.recount(self, self.unsent_bytes + self.h2.blocked_bytes)
        if unread.bytes > unread.bytes_max:
            unread.shrink()

    def _look_for_stalls(self) -> None:
        """Give up streams whose windows stay closed, or a client that takes nothing at all."""
        h2, unsent = self.h2, self.unsent_bytes
        for stream in h2.take_stalled(STALLED_LOOKS_MAX):
            self.server.stalled_count += 1
            h2.reset(stream, ErrorCode.ENHANCE_YOUR_CALM)
            self.on_reset(stream)
            self.schedule_flush()
        is_waiting = bool(unsent or h2.is_waiting)
        has_moved = h2.moved_count != self._moved_count or unsent < self._unsent_bytes
        self._moved_count, self._unsent_bytes = h2.moved_count, unsent
        self._stalled_looks = self._stalled_looks + 1 if is_waiting and not has_moved else 0
        if self._stalled_looks > STALLED_LOOKS_MAX:
            self.server.stalled_count += 1
            logger.info("the client at %s has read nothing for long: given up", self.address)
            self.give_up()

    def give_up(self) -> None:
        """Keep nothing more for a client that does not read: it finds its connection broken."""
        self.h2.forget()
        for stream in self.h2.streams.values():
            if isinstance(stream.state, UnaryCall):
                stream.state.cancel()  # streams hear of it when the connection is gone
        self.abort()

    def pause_writing(self) -> None:
        """The client does not read: do not take more from it either."""
        self._is_paused = True
        self._let_read()

    def _let_read(self) -> None:
        """Take bytes from the client, or leave them in its socket."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._is_paused or self._is_in_line:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._transport is not None and self._is_paused:
            self._is_paused = False
            self._let_read()
            self._recount()
            self.schedule_flush()
        for stream in list(self.h2.streams.values()):
            self.on_drain(stream)

    def tick(self, now: float) -> None:
        """End calls whose deadline has passed."""
        self.h2.tick()
        if self.unread_bytes:
            self._recount()
        if now >= self._stall_look_s:
            self._stall_look_s = now + STALL_LOOK_S
            self._look_for_stalls()
        for stream_id, call in list(self._deadlines.items()):
            if call.is_done:
                del self._deadlines[stream_id]
            elif call.deadline <= now:
                del self._deadlines[stream_id]
                self._step(call, call.expire)

    def end_streams(self, status: Status, *, only_leaderless: bool = False) -> None:
        """End all streams, or those that need a leader."""
        for stream in list(self.h2.streams.values()):
            call = stream.state
            if not isinstance(call, StreamingCall) or call.is_done:
                continue
            if call.head.needs_leader or not only_leaderless:
                self._step(call, partial(call.refuse, *status))

    def drain(self) -> None:
        """Take no new calls."""
        self.h2.go_away(ErrorCode.NO_ERROR)
        self.schedule_flush()

    def abort(self) -> None:
        """Close at once; what has not left is lost."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close, whatever is open."""
        self.flush()
        if self._transport is not None:
            self._transport.close()
