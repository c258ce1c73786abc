"""Leases of a leader; claims of the checklist, the number in the docstring."""

import pytest

from roost.raft import (
    BadCoreConfig,
    CoreConfig,
)
from roost.raft.messages import (
    Heartbeat,
    VoteRequest,
)
from roost.sim.cores.cores import CoreCluster
from tests.raft.test_core import entry
from tests.raft.test_membership import follower_with


def leased() -> CoreCluster:
    network = CoreCluster(3, joiners=1, lease_s=0.9)
    for node in network.nodes.values():
        node.core.state.quiet_ticks = 0
    network.elect(1)
    return network


def test_a_lease_is_counted_from_the_sending_of_a_round_that_a_quorum_answered() -> None:
    """Checklist 54."""
    network = leased()
    core = network.nodes[1].core
    assert core.read_lease(100.0) is None
    core.tick(100.0)
    network.collect(network.nodes[1])
    core.tick(100.1)
    network.settle()
    assert core.read_lease(100.95) == core.commit_index
    assert core.read_lease(101.01) is None
    core.transfer_leadership(2)
    assert core.read_lease(100.2) is None


def test_a_leader_that_steps_down_has_no_lease() -> None:
    """Checklist 54."""
    network = leased()
    core = network.nodes[1].core
    core.tick(100.0)
    network.settle()
    assert core.read_lease(100.1) is not None
    core.step(Heartbeat(core.term + 1, 2, 0, 0))
    assert core.read_lease(100.1) is None


def test_a_restarted_voter_keeps_a_lease_that_it_may_have_granted() -> None:
    """Checklist 54: it forgot the leader, not the promise."""
    core = follower_with([entry(1, 1)], 1, lease_s=0.5)
    core.step(VoteRequest(2, 2, 1, 1))
    assert core.term == 1
    for _ in range(10):
        core.tick()
    core.step(VoteRequest(2, 2, 1, 1))
    assert core.vote == 2


@pytest.mark.parametrize("options", [{"lease_s": 1.0, "check_quorum": False}, {"lease_s": -1.0}])
def test_a_lease_needs_what_it_rests_on(options: dict[str, object]) -> None:
    """Checklist 2, 54."""
    with pytest.raises(BadCoreConfig, match="lease"):
        CoreConfig(id=1, **options)  # type: ignore[arg-type]  # a test's options
