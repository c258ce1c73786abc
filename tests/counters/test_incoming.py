"""What waits for its turn is bounded, by count and by bytes."""

from roost.counters.incoming import BYTES_MAX, Arrived, Incoming
from roost.counters.messages import WantReport

SAID = WantReport(b"e" * 16)


def test_what_came_first_is_taken_first_and_nothing_comes_of_nothing() -> None:
    incoming = Incoming()
    assert incoming.take() is None
    first, second = Arrived(1, SAID, 10), Arrived(2, SAID, 10)
    assert incoming.put(first, 2)
    assert incoming.put(second, 2)
    assert not incoming.put(first, 2)
    assert (len(incoming), incoming.take(), incoming.take(), incoming.take()) == (
        2, first, second, None,
    )  # fmt: skip


def test_few_that_are_large_are_enough() -> None:
    """A thousand of more than a megabyte each waited: a partner that lies has memory filled."""
    incoming = Incoming()
    large = Arrived(1, SAID, BYTES_MAX // 2)
    assert [incoming.put(large, 1000) for _ in range(3)] == [True, True, False]
    assert incoming.take() == large
    assert incoming.put(large, 1000)
    incoming.clear()
    assert (len(incoming), incoming.put(Arrived(1, SAID, BYTES_MAX), 1000)) == (0, True)


def test_the_rest_of_a_message_is_taken_next() -> None:
    incoming = Incoming()
    first, second = Arrived(1, SAID, 10), Arrived(2, SAID, BYTES_MAX - 10)
    assert incoming.put(first, 2)
    assert incoming.put(second, 2)
    assert incoming.take() == first
    incoming.put_first(first)
    assert [incoming.take() for _ in range(3)] == [first, second, None]
    assert incoming.put(Arrived(1, SAID, BYTES_MAX), 1), "and no more is counted than there is"
