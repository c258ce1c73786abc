"""Which Readys are only said, and lead to no other."""

from typing import Any

import pytest

from roost.raft import Core, HardState, Ready
from roost.raft.messages import AppendAccepted, Heartbeat
from roost.raft.ready import ReadReady
from roost.sim.cores.cores import CoreCluster
from tests.raft.cores import entry


def ready_of(**more: Any) -> Ready:
    """What is said only, and what a test has beside it."""
    said: dict[str, Any] = {
        "messages": [(2, Heartbeat(1, 1, 0, 7))],
        "hard_state": None,
        "entries": [],
        "messages_after_persist": [],
        "committed": (),
        "reads": [ReadReady(7, 1)],
        "reads_failed": [8],
        "number": 1,
    }
    return Ready(**(said | more))


@pytest.mark.parametrize(
    "more",
    [
        {"hard_state": HardState(1, 0)},
        {"entries": [entry(1, 1)]},
        {"messages_after_persist": [(2, AppendAccepted(1, 1, 1))]},
        {"committed": (entry(1, 1),)},
        {"snapshots_wanted": [2]},
    ],
    ids=lambda it: next(iter(it)),
)
def test_what_must_be_written_applied_or_made_is_more_than_said(more: dict[str, object]) -> None:
    assert ready_of().is_said_only
    assert not ready_of(**more).is_said_only


def test_a_snapshot_to_be_fetched_is_more_than_said() -> None:
    network = CoreCluster(3)
    network.elect(1)
    assert not ready_of(snapshot=network.nodes[1].snapshot()).is_said_only


def test_nothing_follows_from_what_is_said_only() -> None:
    """Storms assert it with each Ready; here it is a read's round, from the question to its end."""
    network = CoreCluster(3)
    core = network.elect(1)
    network.settle()
    other = network.nodes[2].core

    def said(by: Core) -> Ready:
        ready = by.take_ready()
        assert ready is not None
        assert ready.is_said_only
        by.persisted(ready)
        assert by.take_ready() is None
        return ready

    core.read_index(7)
    other.step(said(core).messages[0][1])
    core.step(said(other).messages[0][1])
    assert [it.token for it in said(core).reads] == [7]
