"""When the next batch may go, by a clock of the test's."""

from roost.member.pipeline.pacing import HOLD_S, PATIENCE_S_MAX, Pace, Pacing

SYNC_S = 0.0004


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make(sync_s: float = SYNC_S) -> tuple[Pacing, Clock]:
    clock = Clock()
    return Pacing(lambda: sync_s, clock), clock


def test_an_idle_leader_lets_everything_go() -> None:
    pacing, _ = make()
    assert pacing.pace(1, 0) is Pace.GO
    assert pacing.pace(1000, 0) is Pace.GO


def test_a_batch_waits_for_the_one_before_it_but_not_for_long() -> None:
    pacing, clock = make()
    pacing.on_proposed(is_full=False)
    assert pacing.pace(5, 1) is Pace.HOLD
    clock.now += HOLD_S * 1.01
    assert pacing.pace(5, 1) is Pace.GO


def test_who_did_not_get_into_a_full_batch_waits_for_nobody() -> None:
    """Batches of 200 puts went one each two milliseconds: half of a bulk load's rate."""
    pacing, _ = make()
    pacing.on_proposed(is_full=True)
    assert pacing.pace(5, 1) is Pace.GO
    pacing.on_proposed(is_full=False)
    assert pacing.pace(5, 2) is Pace.HOLD


def test_callers_that_come_back_go_together_with_those_who_waited() -> None:
    pacing, clock = make()
    pacing.on_answered(answered=5, waiting=4)
    for waiting in range(4, 9):
        assert pacing.pace(waiting, 0) is Pace.LOOK_AGAIN
        clock.now += SYNC_S / 10
    assert pacing.pace(9, 0) is Pace.GO
    assert pacing.pace(1, 0) is Pace.GO  # the patience was for that one batch


def test_a_lone_caller_never_waits() -> None:
    pacing, _ = make()
    for _ in range(5):
        pacing.on_answered(answered=1, waiting=0)
        assert pacing.pace(1, 0) is Pace.GO


def test_patience_ends_after_the_time_of_a_sync_and_is_bounded() -> None:
    for sync_s, patience_s in ((SYNC_S, SYNC_S), (10.0, PATIENCE_S_MAX)):
        pacing, clock = make(sync_s)
        pacing.on_answered(answered=10, waiting=0)
        clock.now += patience_s * 0.99
        assert pacing.pace(9, 0) is Pace.LOOK_AGAIN
        clock.now += patience_s * 0.02
        assert pacing.pace(9, 0) is Pace.GO


def test_patience_that_was_wasted_is_skipped_twice_as_long_each_time() -> None:
    pacing, clock = make()
    skipped = [0]
    while len(skipped) < 12:
        pacing.on_answered(answered=10, waiting=1)
        if pacing.pace(1, 0) is Pace.GO:
            skipped[-1] += 1
            continue
        clock.now += SYNC_S * 2
        assert pacing.pace(1, 0) is Pace.GO  # nobody came back
        skipped.append(0)
    assert skipped[:-1] == [0, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256]


def test_most_of_a_wave_counts_as_the_wave() -> None:
    pacing, clock = make()
    for _ in range(3):
        pacing.on_answered(answered=10, waiting=0)
        assert pacing.pace(8, 0) is Pace.LOOK_AGAIN
        clock.now += SYNC_S * 2
        assert pacing.pace(8, 0) is Pace.GO
