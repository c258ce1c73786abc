"""Read rounds: each read is confirmed by a round that started after it arrived."""

import pytest

from roost.errors import NoLeader, Overloaded, RoostError, Stopped
from roost.flow import OWN, Flow
from roost.member.pipeline import reads as module
from roost.member.pipeline.reads import ReadRounds
from tests.steps import steps_of

# Lines that a turn may run: to line up 512 and to answer 256 of them.
STEPS_MAX = 40_000


class Rounds:
    """Collects the tokens of started rounds."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.turns_due = 0
        self.reads = ReadRounds(
            self.tokens.append, schedule=self.schedule, retry_ticks=3, timeout_ticks=10
        )
        self.answers: list[tuple[str, RoostError | None]] = []

    def schedule(self) -> None:
        self.turns_due += 1

    def read(self, name: str, index: int = 0, flow: Flow = OWN) -> None:
        self.reads.add(lambda error: self.answers.append((name, error)), index, flow)

    def confirm(self) -> None:
        """Begin a round and have it confirmed, with all that it needs applied."""
        self.reads.flush()
        self.reads.on_confirmed(self.tokens[-1], index=5, applied_index=5)

    def names(self) -> list[str]:
        return [name for name, _ in self.answers]


def test_reads_of_one_turn_share_a_round() -> None:
    it = Rounds()
    it.read("a")
    it.read("b")
    it.reads.flush()
    assert it.tokens == [1]
    it.reads.on_confirmed(1, index=5, applied_index=5)
    assert it.answers == [("a", None), ("b", None)]
    assert len(it.reads) == 0


def test_a_read_that_arrives_during_a_round_waits_for_the_next() -> None:
    it = Rounds()
    it.read("a")
    it.reads.flush()
    it.read("b")
    it.reads.flush()
    assert it.tokens == [1]
    it.reads.on_confirmed(1, index=5, applied_index=5)
    assert it.answers == [("a", None)]
    it.reads.flush()
    assert it.tokens == [1, 2]


def test_a_read_waits_until_the_confirmed_index_is_applied() -> None:
    it = Rounds()
    it.read("a")
    it.reads.flush()
    it.reads.on_confirmed(1, index=5, applied_index=3)
    it.reads.on_applied(4)
    assert it.answers == []
    it.reads.on_applied(5)
    assert it.answers == [("a", None)]


def test_a_barrier_also_waits_for_its_own_index() -> None:
    it = Rounds()
    it.read("a", index=9)
    it.reads.flush()
    it.reads.on_confirmed(1, index=5, applied_index=5)
    assert it.answers == []
    it.reads.on_applied(9)
    assert it.answers == [("a", None)]


def test_a_late_confirmation_of_an_abandoned_round_confirms_nothing() -> None:
    it = Rounds()
    it.read("a")
    it.reads.flush()
    for _ in range(3):
        it.reads.tick()
    assert it.tokens == [1, 2]
    it.reads.on_confirmed(1, index=5, applied_index=5)
    assert it.answers == []
    it.reads.on_confirmed(2, index=5, applied_index=5)
    assert it.answers == [("a", None)]


def test_without_a_leader_a_read_ends_at_its_deadline() -> None:
    it = Rounds()
    it.read("a")
    it.reads.flush()
    for _ in range(10):
        it.reads.on_failed(it.tokens[-1])
        it.reads.tick()
    [(_, error)] = it.answers
    assert isinstance(error, NoLeader)


def test_who_finds_no_leader_asks_again_with_a_tick_or_a_leader_and_not_at_once() -> None:
    """A bug of ours: on a slow disk each answer that nobody leads was a Ready, led to the next."""
    it = Rounds()
    it.read("a")
    it.reads.flush()
    it.reads.on_failed(1)
    it.read("b")
    it.reads.flush()
    assert it.tokens == [1]
    it.reads.tick()
    assert it.tokens == [1, 2]
    it.reads.on_failed(2)
    it.reads.on_leader()
    it.reads.flush()
    assert it.tokens == [1, 2, 3]
    it.reads.on_confirmed(3, index=5, applied_index=5)
    assert it.answers == [("a", None), ("b", None)]


def test_stopping_leaves_nobody_waiting() -> None:
    it = Rounds()
    it.read("confirmed")
    it.reads.flush()
    it.reads.on_confirmed(1, index=5, applied_index=3)
    it.read("in round")
    it.reads.flush()
    it.read("waiting")
    it.reads.fail_all(Stopped("stopped"))
    assert {name for name, _ in it.answers} == {"confirmed", "in round", "waiting"}
    assert len(it.reads) == 0


BUSY, LIGHT = Flow("10.0.0.1", 1), Flow("10.0.0.2", 1)


def test_a_turn_answers_a_bounded_number_and_the_rest_follows_in_turns_of_the_loop() -> None:
    it = Rounds()
    for _ in range(1000):
        it.read("busy", flow=BUSY)
    it.read("light", flow=LIGHT)
    it.confirm()
    most = module.ANSWERS_A_TURN + module.BUNCH_MAX
    assert module.ANSWERS_A_TURN <= len(it.answers) <= most
    assert (it.reads.line_count, it.turns_due > 0) == (1001 - len(it.answers), True)
    assert "light" in it.names(), "whoever asked for one waits for no thousand"
    before = len(it.answers)
    it.reads.begin_turn()
    assert module.ANSWERS_A_TURN <= len(it.answers) - before <= most
    while it.reads.line_count:
        it.reads.begin_turn()
    assert sorted(it.names()) == ["busy"] * 1000 + ["light"]
    assert len(it.reads) == 0


def test_reads_of_one_flow_keep_their_own_deadlines_and_indexes() -> None:
    it = Rounds()
    it.read("early")
    it.read("behind", index=9)
    it.reads.tick()
    it.read("late")
    for _ in range(9):
        it.reads.on_failed(it.tokens[-1] if it.tokens else 0)
        it.reads.tick()
    assert it.names() == ["early", "behind"]
    it.read("behind too", index=9)
    for _ in range(2):
        it.confirm()
    assert it.names()[2:] == ["late"]
    it.reads.on_applied(9)
    assert it.names()[3:] == ["behind too"]
    assert len(it.reads) == 0


def test_what_a_caller_raises_keeps_no_other_from_its_answer() -> None:
    it = Rounds()
    it.reads.add(lambda _error: 1 / 0)  # type: ignore[arg-type]  # a bug of a caller
    it.read("b")
    it.confirm()
    assert it.names() == ["b"]


def test_what_is_applied_and_what_is_confirmed_share_one_turn() -> None:
    it = Rounds()
    for _ in range(module.ANSWERS_A_TURN):
        it.read("now")
    for _ in range(2):
        it.read("applied", index=9)
    it.confirm()
    it.reads.on_applied(9)
    assert it.names() == ["now"] * module.ANSWERS_A_TURN
    it.reads.begin_turn()
    assert it.names().count("applied") == 2


def test_what_stands_in_line_is_told_of_an_end() -> None:
    it = Rounds()
    for number in range(module.ANSWERS_A_TURN + 3):
        it.read("a", flow=Flow("10.0.0.1", number))
    it.confirm()
    it.reads.fail_all(Stopped("over"))
    assert sum(isinstance(error, Stopped) for _, error in it.answers) == 3
    assert len(it.reads) == 0


def test_when_many_wait_a_flow_may_add_what_there_is_room_left_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WAITING_COUNT_MAX", 100)
    it = Rounds()
    for _ in range(100):
        it.read("busy", flow=BUSY)
    refused = [error for _, error in it.answers]
    assert [type(error) for error in refused] == [Overloaded] * 25
    it.read("light", flow=LIGHT)
    assert len(it.reads) == 76
    it.answers.clear()
    it.confirm()
    it.read("busy", flow=BUSY)
    assert Overloaded not in [type(error) for _, error in it.answers]


def test_no_round_begins_while_too_many_wait_to_be_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WAITING_COUNT_MAX", 10)
    it = Rounds()
    for _ in range(2):
        for _ in range(5):
            it.read("a", index=9)
        it.confirm()
    it.read("late")
    it.reads.flush()
    assert (len(it.tokens), len(it.reads)) == (2, 11)
    it.reads.on_applied(9)
    it.reads.flush()
    assert len(it.tokens) == 3


def crowd(it: Rounds, count: int) -> None:
    """Each of a flow of its own, so that none of them share a bunch."""
    for number in range(count):
        it.read("a", flow=Flow("10.0.0.1", number))


def test_a_round_of_very_many_is_lined_up_and_answered_over_turns() -> None:
    """Issue 14: a hundred thousand were put in line in the step in which they were confirmed."""
    it = Rounds()
    count = 20 * module.LINED_UP_A_TURN
    crowd(it, count)
    it.reads.flush()
    steps = [steps_of(lambda: it.reads.on_confirmed(1, index=5, applied_index=5))]
    assert len(it.reads) == count - len(it.answers)
    while it.reads.line_count:
        before = len(it.answers)
        steps.append(steps_of(it.reads.begin_turn))
        assert len(it.answers) - before <= module.ANSWERS_A_TURN
    assert len(it.answers) == count
    assert max(steps) < STEPS_MAX
    assert len(it.reads) == 0


def test_a_round_that_waits_to_be_applied_is_taken_out_over_turns_too() -> None:
    it = Rounds()
    count = 20 * module.LINED_UP_A_TURN
    crowd(it, count)
    it.reads.flush()
    assert steps_of(lambda: it.reads.on_confirmed(1, index=5, applied_index=3)) < 100
    assert steps_of(lambda: it.reads.on_applied(5)) < STEPS_MAX
    while it.reads.line_count:
        assert steps_of(it.reads.begin_turn) < STEPS_MAX
    assert len(it.answers) == count


def test_those_whose_time_is_over_are_told_so_over_turns() -> None:
    """Issue 14: without a majority all that had waited were told in one step."""
    it = Rounds()
    count = 20 * module.LINED_UP_A_TURN
    crowd(it, count)
    for _ in range(10):
        it.reads.flush()
        it.reads.on_failed(it.tokens[-1])
        steps = [steps_of(it.reads.tick)]
    it.reads.on_failed(it.tokens[-1])
    assert len(it.answers) == module.ANSWERS_A_TURN
    while len(it.answers) < count:
        before = len(it.answers)
        steps.append(steps_of(it.reads.begin_turn))
        assert 0 < len(it.answers) - before <= module.ANSWERS_A_TURN
    assert {type(error) for _, error in it.answers} == {NoLeader}
    assert max(steps) < STEPS_MAX
    assert len(it.reads) == 0


def test_a_barrier_within_a_long_line_waits_for_its_own_index() -> None:
    it = Rounds()
    it.read("barrier", index=9)
    crowd(it, 2 * module.LINED_UP_A_TURN)
    it.read("barrier", index=8)
    it.confirm()
    while it.reads.line_count:
        it.reads.begin_turn()
    assert it.names() == ["a"] * (2 * module.LINED_UP_A_TURN)
    for index in (8, 9):
        it.reads.on_applied(index)
        it.reads.begin_turn()
    assert it.names()[-2:] == ["barrier", "barrier"]
    assert len(it.reads) == 0


def test_an_end_tells_those_who_have_yet_to_join_the_line() -> None:
    it = Rounds()
    crowd(it, 3 * module.LINED_UP_A_TURN)
    it.confirm()
    it.reads.fail_all(Stopped("over"))
    assert len(it.answers) == 3 * module.LINED_UP_A_TURN
    assert len(it.reads) == 0
    it.reads.begin_turn()
    assert len(it.answers) == 3 * module.LINED_UP_A_TURN, "each once"
