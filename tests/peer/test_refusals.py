"""Who was refused is said once, and not more often than people can read."""

import pytest

from roost.peer.errors import WrongCluster
from roost.peer.refusals import Refusals


def test_a_refusal_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    for now_s in (1.0, 1.0, 1.0, 3600.0):
        refusals.note("host", WrongCluster("another"), now_s)
    assert caplog.messages == ["a peer at host was refused: another"]


def test_refusals_that_were_not_said_are_counted_in_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals()
    for at, now_s in enumerate((1.0, 1.2, 1.4, 2.5)):
        refusals.note(f"host-{at}", WrongCluster("another"), now_s)
    assert caplog.messages == [
        "a peer at host-0 was refused: another",
        "a peer at host-3 was refused (2 more since the last): another",
    ]


def test_whoever_thinks_of_many_reasons_takes_no_more_memory() -> None:
    refusals = Refusals()
    for at in range(1000):
        refusals.note("host", WrongCluster(f"reason {at}"), 2.0 * (at + 1))
    assert len(refusals._said) <= 256
