"""Forwarded requests: every caller is answered exactly once, and not before it can read its own."""

from typing import Any

import pytest

from roost.errors import (
    ModelRefused,
    NotExecuted,
    NotLeader,
    OutcomeUnknown,
    Refused,
)
from roost.member.errors import AnswerLate
from roost.member.pipeline import forwarded
from roost.member.pipeline.forwarding import Forwarder
from roost.outcome import Outcome
from roost.slices import Slices

STEPS_A_TURN = 10


class Link:
    """A link that records what it was given and can be told to take nothing."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.gone: list[tuple[int, list[int]]] = []
        self.is_open = True

    def send_gone(self, leader: int, ids: bytes) -> None:
        self.gone.append((leader, forwarded.decode_gone(ids)))

    def send(self, leader: int, buffers: list[bytes]) -> bool:
        if self.is_open:
            self.frames.append((leader, b"".join(buffers)))
        return self.is_open


class Caller:
    """Somebody who waits until it is over; a second answer fails the test."""

    is_over = False

    def __init__(self) -> None:
        self.answers: list[Outcome] = []

    def __call__(self, outcome: Outcome) -> None:
        assert not self.answers, "answered twice"
        self.answers.append(outcome)

    @property
    def outcome(self) -> Outcome:
        return self.answers[0]


def forwarder_on(link: Link, **options: Any) -> Forwarder:
    """A forwarder of a member that has applied everything anybody speaks of."""
    return Forwarder(
        link.send, applied_index=lambda: 100, slices=slices(), send_gone=link.send_gone, **options
    )


def slices() -> Slices:
    """So many steps are taken now; the rest by the test's `begin_turn`."""
    return Slices(STEPS_A_TURN, lambda: None)


def answers(*records: list[bytes], index: int = 100) -> bytes:
    """A frame of answers from a leader that had applied `index`."""
    return forwarded.encode_applied(index) + b"".join(b"".join(it) for it in records)


def test_requests_of_one_turn_share_a_frame_and_get_their_own_answers() -> None:
    link, callers = Link(), [Caller(), Caller()]
    forwarder = forwarder_on(link, timeout_ticks=5, grace_ticks=2)
    forwarder.forward(1, "etcd.kv.put", b"a", callers[0], 0)
    forwarder.forward(1, "etcd.kv.put", b"b", callers[1], 0)
    forwarder.flush()
    [(leader, frame)] = link.frames
    assert leader == 1
    requests = forwarded.decode_requests(frame)
    assert [it.body for it in requests] == [b"a", b"b"]
    for request in reversed(requests):
        answer = forwarded.encode_answer(request.id, request.body * 2)
        forwarder.on_answers(1, answers(answer))
    assert callers[0].answers == [b"aa"]
    assert callers[1].answers == [b"bb"]
    assert len(forwarder) == 0


def test_what_the_link_does_not_take_was_not_executed() -> None:
    link, caller = Link(), Caller()
    link.is_open = False
    forwarder = forwarder_on(link, timeout_ticks=5, grace_ticks=2)
    forwarder.forward(1, "x", b"", caller, 0)
    forwarder.flush()
    assert isinstance(caller.outcome, NotExecuted)


@pytest.mark.parametrize("leader", [5, None], ids=["the link breaks", "the member stops"])
def test_what_is_given_up_before_it_has_left_did_not_run(leader: int | None) -> None:
    link, early, late = Link(), Caller(), Caller()
    forwarder = forwarder_on(link, timeout_ticks=10, grace_ticks=3)
    forwarder.forward(5, "put", b"1", early, 0)
    forwarder.flush()
    forwarder.forward(5, "put", b"2", late, 0)
    forwarder.give_up(leader)
    link.is_open = False
    forwarder.flush()
    assert isinstance(early.outcome, OutcomeUnknown)
    assert isinstance(late.outcome, NotLeader)
    assert len(forwarder) == 0
    assert len(link.frames) == 1


def test_an_answer_to_what_has_not_left_ends_nobody() -> None:
    link, caller = Link(), Caller()
    forwarder = forwarder_on(link, timeout_ticks=10, grace_ticks=3)
    forwarder.forward(5, "put", b"", caller, 0)
    forwarder.on_answers(5, answers(forwarded.encode_answer(1, b"made up")))
    link.is_open = False
    forwarder.flush()
    assert caller.outcome == b"made up"


def test_an_answer_after_giving_up_is_dropped() -> None:
    link, caller = Link(), Caller()
    forwarder = forwarder_on(link, timeout_ticks=5, grace_ticks=2)
    forwarder.forward(1, "x", b"", caller, 0)
    forwarder.flush()
    forwarder.give_up(1)
    assert isinstance(caller.outcome, OutcomeUnknown)
    forwarder.on_answers(1, answers(forwarded.encode_answer(1, b"late")))


def test_an_answer_from_somebody_else_is_dropped() -> None:
    link, caller = Link(), Caller()
    forwarder = forwarder_on(link, timeout_ticks=5, grace_ticks=2)
    forwarder.forward(1, "x", b"", caller, 0)
    forwarder.flush()
    forwarder.on_answers(2, answers(forwarded.encode_answer(1, b"forged")))
    assert caller.answers == []


def test_a_request_without_an_answer_is_unknown_after_its_time() -> None:
    link, early, late = Link(), Caller(), Caller()
    forwarder = forwarder_on(link, timeout_ticks=5, grace_ticks=2)
    forwarder.forward(1, "x", b"", early, 0)
    forwarder.forward(1, "x", b"", late, 2)
    forwarder.flush()
    forwarder.expire(5)
    assert isinstance(early.outcome, OutcomeUnknown)
    assert late.answers == []


def test_a_deposed_leader_may_still_answer_for_a_while() -> None:
    link, asked, unasked, later = Link(), Caller(), Caller(), Caller()
    forwarder = forwarder_on(link, timeout_ticks=50, grace_ticks=2)
    forwarder.forward(1, "x", b"", asked, 0)
    forwarder.forward(1, "x", b"", unasked, 0)
    forwarder.on_deposed(1, 3)
    forwarder.forward(1, "x", b"", later, 3)
    forwarder.flush()
    forwarder.expire(4)
    no = NotLeader("etcdserver: not leader")
    forwarder.on_answers(1, answers(forwarded.encode_answer(1, no)))
    assert isinstance(asked.outcome, NotLeader)
    assert unasked.answers == []
    forwarder.expire(5)
    assert isinstance(unasked.outcome, OutcomeUnknown)
    assert later.answers == []  # it was sent after the member led again


def test_an_answer_for_an_earlier_life_acknowledges_nothing() -> None:
    """The simulator, seed 1873: ids of two lives of a member never meet."""
    link, caller = Link(), Caller()
    forwarder = forwarder_on(link, timeout_ticks=5, grace_ticks=2, first_id=1 << 40)
    forwarder.forward(1, "x", b"", caller, 0)
    forwarder.flush()
    forwarder.on_answers(1, answers(forwarded.encode_answer(1, b"of the life before")))
    assert caller.answers == []
    forwarder.on_answers(1, answers(forwarded.encode_answer(1 << 40, b"ours")))
    assert caller.answers == [b"ours"]


def test_no_frame_outgrows_what_a_link_takes() -> None:
    """A turn's worth of large requests closed the link, and with it everybody's requests."""
    link = Link()
    forwarder = forwarder_on(link, timeout_ticks=10, grace_ticks=5)
    for _ in range(12):
        forwarder.forward(7, "put", bytes(1 << 20), Caller(), 0)
    forwarder.flush()
    assert sum(len(forwarded.decode_requests(frame)) for _, frame in link.frames) == 12
    assert max(len(frame) for _, frame in link.frames) < 2 * forwarded.FRAME_BYTES
    caller = Caller()
    forwarder.forward(7, "put", bytes(forwarded.BODY_BYTES_MAX + 1), caller, 0)
    assert isinstance(caller.outcome, Refused)


def test_an_answer_that_no_frame_holds_is_an_unknown_outcome() -> None:
    large = answers(forwarded.encode_answer(1, bytes(forwarded.BODY_BYTES_MAX + 1)))
    _, [(_, outcome)] = forwarded.decode_answers(large)
    assert isinstance(outcome, OutcomeUnknown)


def test_an_answer_is_held_until_its_position_is_applied_here() -> None:
    """Issue 12: 477 of 500 puts through a follower were not there yet when read back there."""
    link, first, second, refused = Link(), Caller(), Caller(), Caller()
    applied = [4]
    forwarder = Forwarder(
        link.send,
        applied_index=lambda: applied[0],
        slices=slices(),
        timeout_ticks=5,
        grace_ticks=2,
    )
    for caller in (first, second, refused):
        forwarder.forward(1, "x", b"", caller, 0)
    forwarder.flush()
    no = ModelRefused(9, "not now")
    forwarder.on_answers(1, answers(forwarded.encode_answer(2, b"b"), index=6))
    forwarder.on_answers(
        1,
        answers(
            forwarded.encode_answer(1, b"a"),
            forwarded.encode_answer(3, no),
            index=5,
        ),
    )
    assert first.answers == second.answers == refused.answers == []
    assert len(forwarder) == 3
    # The leader is gone, but it has said what happened.
    forwarder.give_up(1)
    forwarder.on_applied(5)
    assert first.answers == [b"a"]
    assert str(refused.outcome) == str(no)
    assert second.answers == []
    forwarder.on_applied(6)
    assert second.answers == [b"b"]
    assert len(forwarder) == 0


def test_an_answer_that_cannot_be_shown_in_time_is_unknown_and_what_did_not_run_is_not_held() -> (
    None
):
    link, caller, unran = Link(), Caller(), Caller()
    forwarder = Forwarder(
        link.send, applied_index=lambda: 4, slices=slices(), timeout_ticks=5, grace_ticks=2
    )
    forwarder.forward(1, "x", b"", caller, 0)
    forwarder.forward(1, "x", b"", unran, 0)
    forwarder.flush()
    not_leader = forwarded.encode_answer(2, NotLeader("etcdserver: not leader"))
    frame = answers(forwarded.encode_answer(1, b"done"), not_leader, index=9)
    forwarder.on_answers(1, frame)
    assert isinstance(unran.outcome, NotLeader)
    forwarder.expire(4)
    assert caller.answers == []
    forwarder.expire(5)
    assert isinstance(caller.outcome, OutcomeUnknown)
    forwarder.on_applied(9)
    assert len(forwarder) == 0


def test_the_leader_is_told_of_those_who_wait_no_more_a_part_a_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("roost.member.pipeline.forwarding.LOOKS_A_TICK", 3)
    link, callers = Link(), [Caller() for _ in range(8)]
    forwarder = forwarder_on(link, timeout_ticks=5, grace_ticks=2, first_id=10)
    for number, caller in enumerate(callers):
        forwarder.forward(1 + number % 2, "put", b"", caller, 0, waiting=caller)
    forwarder.flush()
    forwarder.leave_unwanted()
    assert link.gone == []
    for caller in callers[::3]:
        caller.is_over = True
    for _ in range(6):
        forwarder.leave_unwanted()
    assert sorted(link.gone) == [(1, [10]), (1, [16]), (2, [13])]
    assert [type(it.outcome) for it in callers[::3]] == [AnswerLate] * 3
    assert len(forwarder) == 5
    forwarder.on_answers(1, answers(forwarded.encode_answer(10, b"late")))
    forwarder.on_answers(1, answers(forwarded.encode_answer(12, b"done")))
    assert callers[2].outcome == b"done"


def told(callers: list[Caller]) -> int:
    return sum(len(it.answers) for it in callers)


@pytest.mark.parametrize("cause", ["a broken link", "a deposed leader", "time", "the end"])
def test_callers_who_are_told_of_one_failure_are_told_so_many_in_a_turn(cause: str) -> None:
    """Issue 14: fifty thousand were told in one step."""
    link, callers, turns = Link(), [Caller() for _ in range(35)], slices()
    forwarder = Forwarder(
        link.send, applied_index=lambda: 100, slices=turns, timeout_ticks=5, grace_ticks=2
    )
    for caller in callers:
        forwarder.forward(1, "put", b"", caller, 0)
    forwarder.flush()
    later = Caller()
    match cause:
        case "a broken link":
            forwarder.give_up(1)
        case "a deposed leader":
            forwarder.on_deposed(1, 0)
            forwarder.forward(1, "put", b"", later, 0)
            forwarder.expire(2)
        case "time":
            forwarder.expire(5)
            forwarder.expire(6)
        case _:
            forwarder.give_up()
    assert told(callers) == STEPS_A_TURN
    forwarder.on_answers(1, answers(forwarded.encode_answer(35, b"done after all")))
    seen = []
    while len(turns):
        before = told(callers)
        turns.begin_turn()
        seen.append(told(callers) - before)
    assert max(seen) <= STEPS_A_TURN
    assert told(callers) == 35
    assert callers[-1].outcome == b"done after all"
    assert later.answers == []


def test_answers_of_one_position_are_shown_so_many_in_a_turn() -> None:
    link, callers, turns = Link(), [Caller() for _ in range(25)], slices()
    forwarder = Forwarder(
        link.send, applied_index=lambda: 4, slices=turns, timeout_ticks=5, grace_ticks=2
    )
    for number, caller in enumerate(callers, 1):
        forwarder.forward(1, "put", b"", caller, 0)
        forwarder.on_answers(1, answers(forwarded.encode_answer(number, b"done"), index=9))
    forwarder.on_applied(9)
    assert told(callers) == STEPS_A_TURN
    turns.begin_turn()
    forwarder.expire(5)
    assert told(callers) == 2 * STEPS_A_TURN
    turns.begin_turn()
    assert told(callers) == 25
    kinds = [type(it.outcome) for it in callers]
    assert kinds[: 2 * STEPS_A_TURN] == [bytes] * 20
    assert kinds[2 * STEPS_A_TURN :] == [AnswerLate] * 5
    assert len(forwarder) == 0
