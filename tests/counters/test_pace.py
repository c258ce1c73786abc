"""Whether a small step is written on the loop: by what syncs take on the average."""

from roost.counters.pace import INLINE_S_MAX, Pace


def after(pace: Pace, took_s: float, count: int) -> bool:
    for _it in range(count):
        pace.note(took_s)
    return pace.is_inline


def test_a_fast_disk_is_written_to_on_the_loop() -> None:
    assert after(Pace(), INLINE_S_MAX / 2, 1000)


def test_one_that_is_slow_is_left_to_a_thread_until_it_is_fast_again() -> None:
    pace = Pace()
    assert not after(pace, 2 * INLINE_S_MAX, 100)
    assert not after(pace, INLINE_S_MAX / 2, 1000), "not at once: it would come and go"
    assert after(pace, INLINE_S_MAX / 10, 100)


def test_one_hiccup_changes_nothing() -> None:
    pace = Pace()
    after(pace, INLINE_S_MAX / 4, 100)
    assert after(pace, 60.0, 1)
    assert not after(pace, 60.0, 50)
