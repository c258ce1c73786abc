"""Three cores of ours, and three of PySyncObj's, decide beside each other in one process."""

import pytest
from bench.core import Runner, Trio, measure
from bench.core_peer import PySyncObjTrio


@pytest.mark.parametrize("make", [Trio, PySyncObjTrio])
def test_what_is_proposed_is_decided(make: type[Runner]) -> None:
    proposals_per_s, events_per_s = measure(make, 60, 16)
    assert proposals_per_s > 0
    assert events_per_s > 0


def test_ours_has_it_in_all_three_logs() -> None:
    trio = Trio()
    for _ in range(20):
        trio.propose(b"payload", 4)
    logs = [it.log for it in trio.storage.values()]
    assert logs[0] == logs[1] == logs[2]
    assert [it.payload for it in logs[0]].count(b"payload") == 80
