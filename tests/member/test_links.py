"""The frames of one member: who takes which kind, what costs a link, and what leaves when."""

from typing import Any

import pytest

from roost.errors import NotLeader, PeerFault
from roost.flow import Flow
from roost.member.links import Links
from roost.member.pipeline import forwarded
from roost.member.protocol import (
    FRAME_ANSWERS,
    FRAME_DIGESTS,
    FRAME_GONE,
    FRAME_RAFT,
    FRAME_REQUESTS,
    ROOM_KIND_MAX,
    ROOM_KIND_MIN,
)
from roost.outcome import Done, Outcome, Waiting
from roost.peer import encode_frame
from roost.raft import MalformedMessage, Message, Role, codec
from roost.raft.messages import Heartbeat, HeartbeatReply

pytestmark = pytest.mark.pure("its core is a fake")

US, THEM, THIRD = 1, 2, 3
BEAT = Heartbeat(term=2, sender=US, commit_index=0, token=1)


class Ledger:
    """Stands for the core, the executor and the transport: writes down what each is told."""

    term = 2

    def __init__(self) -> None:
        self.role = Role.LEADER
        self.stepped: list[Message] = []
        self.unreachable: list[int] = []
        self.submitted: list[tuple[str, bytes]] = []
        self.dones: list[Done] = []
        self.waiting: list[Waiting] = []
        self.sent: list[tuple[int, bytes]] = []
        self.fatal: list[BaseException] = []
        self.scheduled = self.starved = 0
        self.takes = True
        self.fault: Exception | None = None
        links: Any = Links  # a ledger has what is asked of each of the three
        self.links: Links = links(
            self,
            self,
            {"put": object()},
            applied_index=lambda: 77,
            schedule=self._schedule,
            on_fatal=self.fatal.append,
            clock_s=lambda: 0.0,
            on_starved=self._starve,
        )
        stand_in: Any = self
        self.links.transport = stand_in

    def _starve(self) -> None:
        self.starved += 1

    def _schedule(self) -> None:
        self.scheduled += 1

    def step(self, message: Message) -> None:
        if self.fault is not None:
            raise self.fault
        self.stepped.append(message)

    def report_unreachable(self, member_id: int) -> None:
        self.unreachable.append(member_id)

    def submit(
        self,
        name: str,
        _operation: object,
        body: bytes,
        done: Done,
        _flow: Flow,
        waiting: Waiting,
    ) -> None:
        self.submitted.append((name, body))
        self.waiting.append(waiting)
        self.dones.append(done)

    def send(self, to: int, buffers: list[bytes], *, bulk: bool) -> bool:
        self.bulk = bulk
        self.sent.append((to, b"".join(buffers)))
        return self.takes

    def ask(self, sender: int, *requests: tuple[int, str, bytes]) -> None:
        """Hand in a frame of forwarded requests."""
        body = b"".join(b"".join(forwarded.encode_request(*it)) for it in requests)
        self.links.on_frame(sender, FRAME_REQUESTS, body)

    def answered(self) -> dict[int, list[tuple[int, list[tuple[int, Outcome]]]]]:
        """By member, the frames of answers that left: the position, and the answers by id."""
        told: dict[int, list[tuple[int, list[tuple[int, Outcome]]]]] = {}
        for to, data in self.sent:
            body = data[len(b"".join(encode_frame(FRAME_ANSWERS, []))) :]
            told.setdefault(to, []).append(forwarded.decode_answers(body))
        return told


def nobody(_sender: int, _body: bytes) -> None:
    raise AssertionError("this kind is another's")


@pytest.mark.parametrize("kind", [0, FRAME_ANSWERS, FRAME_DIGESTS, ROOM_KIND_MIN - 1, 240, 255])
def test_a_kind_of_the_members_own_that_nobody_takes_ends_the_link(kind: int) -> None:
    ledger = Ledger()
    with pytest.raises(PeerFault, match=f"frame kind {kind} of 3 bytes is unknown"):
        ledger.links.on_frame(THEM, kind, b"abc")
    assert ledger.links.unknown_count == 0


@pytest.mark.parametrize("kind", [ROOM_KIND_MIN, 100, ROOM_KIND_MAX])
def test_a_kind_of_a_room_that_is_not_here_costs_a_frame_and_is_counted(kind: int) -> None:
    ledger = Ledger()
    ledger.links.on_frame(THEM, kind, b"abc")
    assert ledger.links.unknown_count == 1


def test_a_frame_goes_to_who_registered_for_its_kind_and_to_nobody_else() -> None:
    ledger = Ledger()
    heard: list[tuple[int, bytes]] = []
    ledger.links.register(FRAME_ANSWERS, lambda sender, body: heard.append((sender, body)))
    ledger.links.register_room(ROOM_KIND_MIN, lambda sender, body: heard.append((sender, body)))
    ledger.links.register_room(ROOM_KIND_MAX, nobody)
    ledger.links.on_frame(THEM, FRAME_ANSWERS, b"a")
    ledger.links.on_frame(THIRD, ROOM_KIND_MIN, b"b")
    assert heard == [(THEM, b"a"), (THIRD, b"b")]
    assert (ledger.links.unknown_count, ledger.links.failed_count) == (0, 0)


def test_a_kind_has_one_taker_and_rooms_have_their_own_kinds() -> None:
    links = Ledger().links
    for kind in (FRAME_RAFT, FRAME_REQUESTS):
        with pytest.raises(AssertionError, match="taken twice"):
            links.register(kind, nobody)
    for kind in (FRAME_DIGESTS, ROOM_KIND_MIN - 1, ROOM_KIND_MAX + 1):
        with pytest.raises(AssertionError, match="not for rooms"):
            links.register_room(kind, nobody)
        with pytest.raises(AssertionError, match="not for rooms"):
            links.send_frame(THEM, kind, [b""])


def test_a_bug_of_a_room_costs_a_frame_and_nonsense_from_a_peer_the_link(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = Ledger()
    faults = iter([RuntimeError("ours"), PeerFault("theirs")])

    def fail(_sender: int, _body: bytes) -> None:
        raise next(faults)

    ledger.links.register_room(ROOM_KIND_MIN, fail)
    ledger.links.on_frame(THEM, ROOM_KIND_MIN, b"")
    assert (ledger.links.failed_count, "ours" in caplog.text) == (1, True)
    with pytest.raises(PeerFault, match="theirs"):
        ledger.links.on_frame(THEM, ROOM_KIND_MIN, b"")
    assert ledger.links.failed_count == 1


def test_a_message_is_from_who_is_at_the_other_end_of_its_link() -> None:
    ledger = Ledger()
    body = b"".join(codec.encode(BEAT))
    with pytest.raises(MalformedMessage, match="sent by 1 on the link of 3"):
        ledger.links.on_frame(THIRD, FRAME_RAFT, body)
    assert ledger.stepped == []
    ledger.links.on_frame(US, FRAME_RAFT, body)
    assert ledger.stepped == [BEAT]


def test_a_message_at_which_the_core_fails_ends_the_member_and_one_it_refuses_the_link() -> None:
    ledger = Ledger()
    body = b"".join(codec.encode(BEAT))
    ledger.fault = AssertionError("a bug of the core's")
    ledger.links.on_frame(US, FRAME_RAFT, body)
    assert ledger.fatal == [ledger.fault]
    ledger.fault = PeerFault("nonsense")
    with pytest.raises(PeerFault, match="nonsense"):
        ledger.links.on_frame(US, FRAME_RAFT, body)
    assert len(ledger.fatal) == 1


def starve(*_: object) -> None:
    raise MemoryError


@pytest.mark.parametrize("kind", [FRAME_RAFT, FRAME_REQUESTS])
def test_a_frame_that_there_is_no_memory_to_read_ends_its_link_and_not_the_member(
    monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    ledger = Ledger()
    monkeypatch.setattr(codec, "decode", starve)
    monkeypatch.setattr(forwarded, "decode_requests", starve)
    with pytest.raises(MemoryError):
        ledger.links.on_frame(US, kind, b"")
    assert (ledger.fatal, ledger.starved) == ([], 1)


def test_a_message_that_the_core_has_no_memory_to_take_ends_the_member() -> None:
    """Half of it may have been taken."""
    ledger = Ledger()
    ledger.fault = MemoryError()
    ledger.links.on_frame(US, FRAME_RAFT, b"".join(codec.encode(BEAT)))
    assert ledger.fatal == [ledger.fault]


def test_what_there_is_no_memory_to_send_is_lost_as_any_message_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = Ledger()
    ledger.ask(THEM, (5, "put", b"a"))
    ledger.dones[0](b"done")
    with monkeypatch.context() as patch:
        patch.setattr("roost.member.links.encode_frame", starve)
        ledger.links.send(THEM, BEAT)
        assert not ledger.links.send_requests(THEM, [b"request"])
        assert not ledger.links.send_frame(THEM, ROOM_KIND_MIN, [b"body"])
        ledger.links.flush_answers()
    assert (ledger.sent, ledger.unreachable, ledger.starved) == ([], [THEM], 4)
    ledger.links.send(THEM, BEAT)
    assert ledger.sent == [(THEM, b"".join(encode_frame(FRAME_RAFT, codec.encode(BEAT))))]


def test_the_core_learns_when_a_message_could_not_leave_and_only_one_that_left_is_timed() -> None:
    ledger = Ledger()
    reply = HeartbeatReply(term=2, sender=THEM, token=1)
    ledger.takes = False
    ledger.links.send(THEM, BEAT)
    ledger.links.on_frame(THEM, FRAME_RAFT, b"".join(codec.encode(reply)))
    assert (ledger.unreachable, ledger.links.round_trips.times) == ([THEM], {})
    ledger.takes = True
    ledger.links.send(THEM, BEAT)
    ledger.links.on_frame(THEM, FRAME_RAFT, b"".join(codec.encode(reply)))
    assert (ledger.unreachable, list(ledger.links.round_trips.times)) == ([THEM], [THEM])


def test_answers_of_a_turn_leave_in_one_frame_a_member_with_how_far_is_applied() -> None:
    ledger = Ledger()
    ledger.ask(THEM, (5, "put", b"a"), (6, "put", b"b"))
    ledger.ask(THIRD, (5, "put", b"c"))
    assert ledger.submitted == [("put", b"a"), ("put", b"b"), ("put", b"c")]
    assert (ledger.links.has_answers, ledger.sent) == (False, [])
    for number, done in enumerate(ledger.dones):
        done(b"done %d" % number)
    assert (ledger.links.has_answers, ledger.sent, ledger.scheduled) == (True, [], 3)
    ledger.links.flush_answers()
    assert ledger.answered() == {
        THEM: [(77, [(5, b"done 0"), (6, b"done 1")])],
        THIRD: [(77, [(5, b"done 2")])],
    }
    assert not ledger.links.has_answers
    ledger.links.flush_answers()
    assert len(ledger.sent) == 2, "each is sent once"


def test_answers_leave_before_a_frame_outgrows_what_a_link_takes() -> None:
    ledger = Ledger()
    large = bytes(forwarded.FRAME_BYTES // 2)
    ledger.ask(THEM, *[(number, "put", b"") for number in range(4)])
    for done in ledger.dones:
        done(large)
    assert [[it for it, _ in answers] for _, answers in ledger.answered()[THEM]] == [[0, 1, 2]]
    ledger.links.flush_answers()
    assert [[it for it, _ in answers] for _, answers in ledger.answered()[THEM]] == [[0, 1, 2], [3]]


@pytest.mark.parametrize("role", [it for it in Role if it is not Role.LEADER])
def test_who_does_not_lead_runs_nothing_and_says_so(role: Role) -> None:
    ledger = Ledger()
    ledger.role = role
    ledger.ask(THEM, (5, "put", b"a"))
    ledger.links.flush_answers()
    [(_, [(request_id, outcome)])] = ledger.answered()[THEM]
    assert (ledger.submitted, request_id, type(outcome)) == ([], 5, NotLeader)


def test_an_operation_that_is_not_known_here_ends_the_link() -> None:
    """Members of one version have the same operations; see `protocol`."""
    ledger = Ledger()
    with pytest.raises(PeerFault, match="operation 'strange' is unknown here"):
        ledger.ask(THEM, (5, "put", b"a"), (6, "strange", b"b"))


def test_a_rooms_frame_is_no_larger_than_a_link_takes_and_says_whether_it_left() -> None:
    ledger = Ledger()
    assert ledger.links.send_frame(THEM, ROOM_KIND_MIN, [b"a", b"b"])
    ledger.takes = False
    assert not ledger.links.send_frame(THEM, ROOM_KIND_MIN, [bytes(forwarded.BODY_BYTES_MAX)])
    assert ledger.bulk, "consensus goes first"
    half = bytes(forwarded.BODY_BYTES_MAX // 2 + 1)
    with pytest.raises(AssertionError, match="no link takes such a frame"):
        ledger.links.send_frame(THEM, ROOM_KIND_MIN, [half, half])


def test_a_follower_says_for_whom_nobody_waits_any_more() -> None:
    """Each member counts by itself, and only what it asked for is its own."""
    ledger = Ledger()
    ledger.ask(THEM, (5, "put", b"a"), (6, "put", b"b"))
    ledger.ask(THIRD, (5, "put", b"c"))
    ledger.links.on_frame(THEM, FRAME_GONE, forwarded.encode_gone([5, 7]))
    assert [it.is_over for it in ledger.waiting] == [True, False, False]
    for done in ledger.dones:
        done(b"done")
    ledger.links.on_frame(THIRD, FRAME_GONE, forwarded.encode_gone([5]))
    assert [it.is_over for it in ledger.waiting] == [True, False, False], "it has its answer"
    assert ledger.links._asked == {}, "nothing is kept of what was answered"
    with pytest.raises(PeerFault, match="ends early"):
        ledger.links.on_frame(THEM, FRAME_GONE, bytes(9))
    assert ledger.links.send_gone(THEM, forwarded.encode_gone([8]))
    assert ledger.sent[-1] == (THEM, b"".join(encode_frame(FRAME_GONE, [bytes(7) + b"\x08"])))
