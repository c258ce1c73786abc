"""Where a request runs: it is tried until its time is over, and its caller is told once."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from roost.errors import CallerGone, NoLeader, NotLeader, Overloaded, Stopped
from roost.flow import OWN, Flow
from roost.member.pipeline import router as module
from roost.member.pipeline.batch import Request
from roost.member.pipeline.router import Router
from roost.outcome import Done, Outcome, Waiting
from roost.raft import Role
from roost.slices import Slices

pytestmark = pytest.mark.pure("its core is a fake")

TIMEOUT_TICKS = 5
STEPS_A_TURN = 10


@dataclass
class Seat:
    """Whom this member believes to lead."""

    role: Role = Role.FOLLOWER
    leader_id: int = 0


@dataclass
class Here:
    """Runs what it is given at once."""

    ran: list[bytes] = field(default_factory=list)

    def submit(
        self,
        _name: str,
        _operation: object,
        body: bytes,
        done: Done,
        _flow: Flow,
        _waiting: Waiting | None,
    ) -> None:
        self.ran.append(body)
        done(b"ran")


@dataclass
class There:
    """Holds what is sent to a leader, until the test answers."""

    sent: list[int] = field(default_factory=list)
    waiting: list[Done] = field(default_factory=list)

    def forward(
        self,
        leader: int,
        _name: str,
        _body: bytes,
        done: Done,
        _now: int,
        _flow: Flow,
        _waiting: Waiting | None,
    ) -> None:
        self.sent.append(leader)
        self.waiting.append(done)

    def answer(self, outcome: Outcome) -> None:
        self.waiting.pop(0)(outcome)

    def expire(self, _now: int) -> None:
        """Not asked here."""

    def leave_unwanted(self) -> None:
        """Not asked here."""

    def give_up(self) -> None:
        """Not asked here."""


class Bench:
    """A router, and what its callers were told."""

    def __init__(self) -> None:
        self.seat, self.here, self.there = Seat(), Here(), There()
        self.told: list[Outcome] = []
        self.slices = Slices(STEPS_A_TURN, lambda: None)
        self.router = Router(
            self.seat,  # type: ignore[arg-type]  # the part of a core that is asked
            self.here,  # type: ignore[arg-type]  # the part of an executor
            self.there,  # type: ignore[arg-type]  # the part of a forwarder
            {"put": lambda _txn, _body: b""},
            slices=self.slices,
            timeout_ticks=TIMEOUT_TICKS,
        )

    @property
    def moved_count(self) -> int:
        """How many have been told something, or sent somewhere."""
        return len(self.told) + len(self.there.sent)

    def finish(self) -> list[int]:
        """Take the turns that are left; how many each has moved on."""
        counts = []
        while len(self.slices):
            before = self.moved_count
            self.slices.begin_turn()
            counts.append(self.moved_count - before)
        return counts

    def submit(self, flow: Flow = OWN, waiting: Waiting | None = None) -> None:
        self.router.submit("put", b"x", self.told.append, flow, waiting)


@dataclass
class Client:
    """Somebody who waits, until it is over."""

    is_over: bool = False


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_whoever_leads_runs_it_itself(bench: Bench) -> None:
    bench.seat.role = Role.LEADER
    bench.submit()
    assert (bench.here.ran, bench.there.sent, bench.told) == ([b"x"], [], [b"ran"])


def test_without_a_leader_it_waits_for_one_and_runs_then(bench: Bench) -> None:
    bench.submit()
    bench.router.tick()
    assert bench.told == []
    bench.seat.leader_id = 2
    bench.router.tick()
    bench.there.answer(b"done")
    assert (bench.there.sent, bench.told) == ([2], [b"done"])


def test_without_a_leader_for_as_long_as_it_may_take_its_caller_is_told(bench: Bench) -> None:
    bench.submit()
    for _ in range(TIMEOUT_TICKS):
        bench.router.tick()
    assert [type(it) for it in bench.told] == [NoLeader]
    bench.seat.leader_id = 2
    bench.router.tick()
    assert bench.there.sent == []


def test_what_reached_a_member_that_does_not_lead_is_tried_with_the_next(bench: Bench) -> None:
    bench.seat.leader_id = 2
    bench.submit()
    bench.there.answer(NotLeader("not any more"))
    assert bench.told == []
    bench.seat.leader_id = 3
    bench.router.retry()
    bench.there.answer(b"done")
    assert (bench.there.sent, bench.told) == ([2, 3], [b"done"])


def test_a_parked_request_runs_here_when_this_member_comes_to_lead(bench: Bench) -> None:
    bench.submit()
    bench.seat.role = Role.LEADER
    bench.router.retry()
    assert (bench.here.ran, bench.told) == ([b"x"], [b"ran"])


def test_more_than_may_be_parked_are_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARKED_COUNT_MAX", 4)
    for _ in range(3):
        bench.submit()
    assert [type(it) for it in bench.told] == [Overloaded]
    bench.submit(Flow("10.0.0.1", 1))  # who has none parked finds room
    assert len(bench.told) == 1
    bench.router.retry()
    bench.submit()
    assert len(bench.told) == 2, "what is parked again counts once"


def test_an_end_tells_everybody_once(bench: Bench) -> None:
    bench.submit()
    bench.seat.leader_id = 2
    bench.submit()
    bench.router.close(Stopped("over"))
    bench.there.answer(NotLeader("too late to try again"))
    assert [type(it) for it in bench.told] == [Stopped, NotLeader]


@pytest.mark.parametrize("role", [Role.FOLLOWER, Role.LEADER])
def test_what_is_parked_and_nobody_waits_for_any_more_goes_nowhere(
    bench: Bench, role: Role
) -> None:
    gone, there = Client(), Client()
    bench.submit(waiting=gone)
    bench.submit(waiting=there)
    gone.is_over = True
    bench.seat.role, bench.seat.leader_id = role, 2
    bench.router.tick()
    ran_here = role is Role.LEADER
    assert (len(bench.here.ran), len(bench.there.sent)) == (ran_here, not ran_here)
    assert type(bench.told[0]) is CallerGone


@pytest.mark.parametrize("cause", ["a leader", "time"])
def test_a_turn_looks_at_so_many_of_those_that_are_parked(bench: Bench, cause: str) -> None:
    """Issue 14: ten thousand were sent, or told, in one step."""
    for _ in range(35):
        bench.submit()
    if cause == "a leader":
        bench.seat.leader_id = 2
        bench.router.retry()
    else:
        for _ in range(TIMEOUT_TICKS - 1):
            bench.router.tick()
            bench.finish()
            bench.slices.begin_turn()
        bench.router.tick()
    assert bench.moved_count == STEPS_A_TURN
    bench.router.tick()  # begins no second look beside the first
    assert max(bench.finish()) <= STEPS_A_TURN
    assert bench.moved_count == 35
    bench.router.tick()
    assert bench.moved_count == 35, "each once"


def test_a_leader_that_comes_while_they_are_looked_at_is_asked_for_all(bench: Bench) -> None:
    for _ in range(25):
        bench.submit()
    bench.router.tick()
    bench.seat.leader_id = 2
    bench.router.retry()
    bench.finish()
    assert len(bench.there.sent) == 25


def handed_back(bench: Bench) -> Iterator[Request]:
    for _ in range(35):
        yield Request("put", lambda _txn, _body: b"", b"x", bench.told.append, OWN)


def test_what_a_leader_hands_back_goes_its_way_so_many_in_a_turn(bench: Bench) -> None:
    """Issue 14: all that waited was sent on in the step in which leadership was lost."""
    bench.seat.leader_id = 2
    bench.router.take_back(handed_back(bench))
    assert bench.moved_count == STEPS_A_TURN
    assert max(bench.finish()) <= STEPS_A_TURN
    assert bench.there.sent == [2] * 35


def test_what_is_still_handed_back_at_an_end_is_told_of_it(bench: Bench) -> None:
    bench.router.take_back(handed_back(bench))
    bench.router.close(Stopped("over"))
    bench.slices.finish()
    assert [type(it) for it in bench.told] == [Stopped] * 35
    bench.seat.role = Role.LEADER
    bench.submit()
    assert (len(bench.told), bench.here.ran) == (36, [])
