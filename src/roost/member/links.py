"""Frames in and out: what peers say to this member, and what it says to them.

Whoever takes a kind of frame registers for it.  A kind of the member's own that nobody takes ends
the link; one of a room's (see `protocol`) is dropped and counted: a member of another version may
have rooms that we have not, and what it says to them must not cost us the link that consensus
needs.  Answers to forwarded requests are collected over a turn of the loop and leave one frame a
member.

Full?  The transport bounds what waits for a socket; what it does not take is dropped, which is
a lost message to the core and an unknown outcome to a caller.  So is what there is no memory for,
to be written or to be read; but where an allocation fails while the core takes a message, what it
believes is in doubt, and the member ends (record 0012).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from roost.errors import NotLeader, PeerFault
from roost.member.operation import AnyOperation
from roost.member.pipeline import forwarded
from roost.member.pipeline.executor import Executor
from roost.member.pipeline.forwarded import Forwarded
from roost.member.protocol import (
    FRAME_ANSWERS,
    FRAME_GONE,
    FRAME_RAFT,
    FRAME_REQUESTS,
    ROOM_KIND_MAX,
    ROOM_KIND_MIN,
)
from roost.member.round_trips import RoundTrips
from roost.outcome import Outcome
from roost.peer import Transport, encode_frame
from roost.raft import Core, MalformedMessage, Message, Role, codec
from roost.raft.messages import Heartbeat, HeartbeatReply

logger = logging.getLogger(__name__)
# Takes the sender's id and a frame's body; raises PeerFault when it breaks its format.
FrameHandler = Callable[[int, bytes], None]


@dataclass(slots=True, eq=False)
class Asked:
    """A request of another member's client, which may go away."""

    is_over: bool = False


class Links:
    """The frames of one member; `transport` is set before the first is sent."""

    transport: Transport

    def __init__(
        self,
        core: Core,
        executor: Executor,
        operations: Mapping[str, AnyOperation],
        *,
        applied_index: Callable[[], int],
        schedule: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
        clock_s: Callable[[], float],
        on_starved: Callable[[], object],
    ) -> None:
        """Take messages of consensus and forwarded requests; `register` adds the rest.

        `applied_index()` is what this member has applied; `schedule()` has `flush_answers` called
        at the end of the loop turn; `on_starved()` hears of it when an allocation has failed.
        """
        self._on_starved = on_starved
        self._core = core
        self._executor = executor
        self._operations = operations
        self._applied_index = applied_index
        self._schedule = schedule
        self._on_fatal = on_fatal
        self.round_trips = RoundTrips(clock_s)
        self._handlers: dict[int, FrameHandler] = {
            FRAME_RAFT: self._on_raft,
            FRAME_REQUESTS: self._on_requests,
            FRAME_GONE: self._on_gone,
        }
        # Requests of other members that have no answer so far: who asked, and by which number.
        self._asked: dict[tuple[int, int], Asked] = {}
        # Frames for rooms that are not here, and frames that a room's handler failed at.
        self.unknown_count = 0
        self.failed_count = 0
        # Rooms that want to hear of links that open.
        self._hearers: list[Callable[[int], None]] = []
        self._answers: dict[int, list[bytes]] = {}
        self._answer_bytes = 0
        self._encoded_message: Message | None = None
        self._encoded: list[bytes] = []

    def register(self, kind: int, handler: FrameHandler) -> None:
        """Have `handler` take all frames of a kind."""
        assert kind not in self._handlers, f"frame kind {kind} is taken twice"
        self._handlers[kind] = handler

    def register_room(self, kind: int, handler: FrameHandler) -> None:
        """Have a room's `handler` take all frames of a kind; see `Member.register_frame`."""
        assert ROOM_KIND_MIN <= kind <= ROOM_KIND_MAX, f"kind {kind} is not for rooms to have"

        def take(sender: int, body: bytes) -> None:
            try:
                handler(sender, body)
            except PeerFault:
                raise
            except Exception:
                # A bug of one room costs it a frame, not everybody the link or the member.
                self.failed_count += 1
                logger.exception("a frame of kind %d was not taken", kind)

        self.register(kind, take)

    def hear_links(self, hearer: Callable[[int], None]) -> None:
        """Call `hearer(member_id)` whenever a link to a member opens; it raises nothing."""
        self._hearers.append(hearer)

    def on_connected(self, member_id: int) -> None:
        """A link to a member is open."""
        for it in self._hearers:
            it(member_id)

    # Out.

    def send(self, to: int, message: Message) -> None:
        """Send a message of consensus; the core learns when it could not leave."""
        try:
            if message is not self._encoded_message:
                # Peers in step get the same append: it is encoded once.
                self._encoded = encode_frame(FRAME_RAFT, codec.encode(message))
                self._encoded_message = message
            is_sent = self.transport.send(to, self._encoded, bulk=codec.is_bulk(message))
        except MemoryError:
            self._on_starved()
            is_sent = False  # any message may be lost
        if not is_sent:
            self._core.report_unreachable(to)
        elif type(message) is Heartbeat:
            self.round_trips.note_sent(to)

    def _send_bulk(self, to: int, kind: int, buffers: Sequence[bytes]) -> bool:
        """Send a frame; False when it was dropped, for want of a link, of room, or of memory."""
        try:
            return self.transport.send(to, encode_frame(kind, buffers), bulk=True)
        except MemoryError:
            self._on_starved()
            return False

    def send_requests(self, leader: int, buffers: list[bytes]) -> bool:
        """Hand requests to the leader; False when the link did not take them."""
        return self._send_bulk(leader, FRAME_REQUESTS, buffers)

    def send_gone(self, leader: int, ids: bytes) -> bool:
        """Tell the leader for which requests nobody waits; False when the link did not take it."""
        return self._send_bulk(leader, FRAME_GONE, [ids])

    def send_frame(self, to: int, kind: int, buffers: Sequence[bytes]) -> bool:
        """Send a room's frame; False when it was dropped: not connected, or too much waits."""
        assert ROOM_KIND_MIN <= kind <= ROOM_KIND_MAX, f"kind {kind} is not for rooms to have"
        assert sum(map(len, buffers)) <= forwarded.BODY_BYTES_MAX, "no link takes such a frame"
        return self._send_bulk(to, kind, buffers)

    @property
    def has_answers(self) -> bool:
        """Whether answers to forwarded requests wait for `flush_answers`."""
        return bool(self._answers)

    def flush_answers(self) -> None:
        """Send the collected answers to forwarded requests, one frame a member.

        They are held there until that member has applied as much as this one, so it should have
        been told what is committed.
        """
        answers, self._answers = self._answers, {}
        self._answer_bytes = 0
        applied = forwarded.encode_applied(self._applied_index())
        for to, buffers in answers.items():
            # An answer that the link does not take is an unknown outcome to the one who waits.
            self._send_bulk(to, FRAME_ANSWERS, [applied, *buffers])

    # In.

    def on_frame(self, sender: int, kind: int, body: bytes) -> None:
        """Take one frame from a peer.

        Raises:
            PeerFault: the frame breaks its format; the link is closed by the transport.
            MemoryError: there was none to read it; so it is then, and the frame is lost.

        """
        handler = self._handlers.get(kind)
        if handler is not None:
            try:
                handler(sender, body)
            except MemoryError:
                self._on_starved()
                raise
        elif ROOM_KIND_MIN <= kind <= ROOM_KIND_MAX:
            self.unknown_count += 1
        else:
            raise PeerFault(f"frame kind {kind} of {len(body)} bytes is unknown")

    def _on_raft(self, sender: int, body: bytes) -> None:
        message = codec.decode(body)
        if message.sender != sender:
            raise MalformedMessage(f"sent by {message.sender:x} on the link of {sender:x}")
        if type(message) is HeartbeatReply:
            self.round_trips.note_answer(sender)
        try:
            self._core.step(message)
        except PeerFault:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, our state is in doubt
            self._on_fatal(error)

    def _on_requests(self, sender: int, body: bytes) -> None:
        for request in forwarded.decode_requests(body):
            self._on_request(sender, request)

    def _on_request(self, sender: int, request: Forwarded) -> None:
        """A follower's request: run it here, or say that we do not lead."""
        asked = Asked()
        name = sender, request.id

        def answer(outcome: Outcome) -> None:
            if self._asked.get(name) is asked:
                del self._asked[name]
            buffers = forwarded.encode_answer(request.id, outcome)
            collected = self._answers.setdefault(sender, [])
            collected += buffers
            self._answer_bytes += len(buffers[-1])
            if self._answer_bytes > forwarded.FRAME_BYTES:
                self.flush_answers()  # one frame must not outgrow what a link takes
            else:
                self._schedule()

        operation = self._operations.get(request.name)
        if operation is None:
            raise PeerFault(f"operation {request.name!r} is unknown here")
        if self._core.role is not Role.LEADER:
            answer(NotLeader("another leads, or nobody"))
        else:
            self._asked[name] = asked
            submit = self._executor.submit
            submit(request.name, operation, request.body, answer, request.flow, asked)

    def _on_gone(self, sender: int, body: bytes) -> None:
        """For some of what a follower has handed on nobody waits any more."""
        for request_id in forwarded.decode_gone(body):
            asked = self._asked.get((sender, request_id))
            if asked is not None:
                asked.is_over = True
