"""A scope ends its streams, with the first error that somebody gave."""

import threading

import pytest

from roost.client import ClientError, Scope

AWAY, LATE = ClientError("UNAVAILABLE", "away"), ClientError("DEADLINE_EXCEEDED", "late")


class Call:
    """What can be cancelled."""

    def __init__(self) -> None:
        self.cancelled_count = 0

    def cancel(self) -> None:
        self.cancelled_count += 1


def test_the_first_error_counts() -> None:
    scope = Scope()
    scope.check()
    scope.end(AWAY)
    scope.end(LATE)
    with pytest.raises(ClientError) as caught:
        scope.check()
    assert caught.value is AWAY


def test_calls_under_way_are_cancelled_and_those_that_are_over_are_not() -> None:
    scope, over, under_way, late = Scope(), Call(), Call(), Call()
    with scope.ending(over):
        pass
    with scope.ending(under_way):
        scope.end(AWAY)
    with scope.ending(late):
        assert late.cancelled_count == 1, "it begins when the scope is over"
    assert (over.cancelled_count, under_way.cancelled_count) == (0, 1)


def test_whoever_waits_is_woken_with_the_error() -> None:
    scope = Scope()
    ending = threading.Thread(target=scope.end, args=(AWAY,))
    ending.start()
    with pytest.raises(ClientError, match="away"):
        scope.wait(60)
    ending.join()
