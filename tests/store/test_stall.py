"""When flushes count as stopped, and when they are only slow."""

from roost.store.stall import STUCK_S_MIN, Stall

TICK_S = 0.1


class Story:
    """A stall looked at in every tick."""

    def __init__(self) -> None:
        self.stall = Stall()
        self.now_s = 100.0
        self.count = 0

    def flush(
        self, takes_s: float, size_bytes: int = 32 << 20, moves_until_s: float = 0.0
    ) -> list[bool]:
        """A flush that ends; say what was thought of it in every tick."""
        begun_s, thought = self.now_s, []
        while self.now_s < begun_s + takes_s:
            if self.now_s < begun_s + moves_until_s:
                self.stall.note_progress()
            self.stall.look(self.count, is_flushing=True, now_s=self.now_s, size_bytes=size_bytes)
            thought.append(self.stall.is_stuck)
            self.now_s += TICK_S
        self.count += 1
        return thought


def test_a_flush_that_does_not_end_is_stuck_after_three_seconds() -> None:
    thought = Story().flush(60.0)
    assert thought.index(True) * TICK_S - STUCK_S_MIN < 2 * TICK_S
    assert all(thought[thought.index(True) :])


def test_short_flushes_one_behind_the_other_are_never_stuck() -> None:
    story = Story()
    assert not any(any(story.flush(0.5)) for _ in range(50))


def test_a_disk_whose_flushes_are_always_long_is_slow_and_not_stuck() -> None:
    story = Story()
    for _ in range(10):
        story.flush(8.0)
    assert not any(story.flush(20.0))
    assert any(story.flush(60.0))


def test_it_gets_on_again_and_between_flushes_nothing_is_stuck() -> None:
    story = Story()
    assert any(story.flush(60.0))
    story.stall.look(story.count, is_flushing=False, now_s=story.now_s)
    assert not story.stall.is_stuck
    story.now_s += 1000
    assert not any(story.flush(1.0))


def test_a_flush_that_has_more_to_write_is_given_more_time() -> None:
    story = Story()
    story.flush(0.5)
    assert not any(story.flush(12.0, 160 << 20)), "five times as much as usual"
    thought = story.flush(60.0, 160 << 20)
    assert 15.0 <= thought.index(True) * TICK_S < 16.0
    thought = Story().flush(120.0, 10 << 30)
    assert 90.0 <= thought.index(True) * TICK_S < 91.0, "however large it is"


def test_a_flush_that_gets_on_is_never_stuck_and_one_that_stops_is() -> None:
    story = Story()
    story.flush(0.5)
    thought = story.flush(60.0, moves_until_s=40.0)
    assert 43.0 <= thought.index(True) * TICK_S < 43.5
    assert all(thought[thought.index(True) :])
