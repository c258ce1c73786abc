"""Read rounds: each read is confirmed by a round that started after it arrived."""

from roost.errors import NoLeader, RoostError, Stopped
from roost.member.pipeline.reads import ReadRounds


class Rounds:
    """Collects the tokens of started rounds."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.reads = ReadRounds(self.tokens.append, retry_ticks=3, timeout_ticks=10)
        self.answers: list[tuple[str, RoostError | None]] = []

    def read(self, name: str, index: int = 0) -> None:
        self.reads.add(lambda error: self.answers.append((name, error)), index)


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
