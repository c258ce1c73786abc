"""Reads and leases."""

import pytest

from roost.raft import (
    BadCoreConfig,
    CoreConfig,
    Role,
    codec,
    read_index,
)
from roost.raft.messages import (
    Heartbeat,
    HeartbeatReply,
    PreVoteReply,
    ReadIndexReply,
    VoteReply,
    VoteRequest,
)
from roost.sim.cores.cores import CoreCluster
from tests.raft.cores import entry, follower_with


def test_reads_before_the_first_commit_of_the_term_wait_for_it() -> None:
    """Thesis §6.4: "at the start of its term, it may not know which those are".

    Checklist 111.
    """
    network = CoreCluster(3)
    node = network.nodes[1]
    network.cut = {(1, 2), (1, 3)}
    node.core.campaign()
    network.cut.clear()
    node.core.step(PreVoteReply(1, 2, is_granted=True))
    network.collect(node)
    network.persist(node)
    node.core.step(VoteReply(1, 2, is_granted=True))
    assert node.core.role is Role.LEADER
    node.core.read_index(7)
    network.collect(node)
    assert node.reads == []
    network.settle()
    assert node.reads == [(7, 1)]


def test_a_follower_reads_through_the_leader() -> None:
    """Thesis §6.4: it asks the leader for "a current readIndex", and reads for itself.

    Checklist 116.
    """
    network = CoreCluster(3)
    network.elect(1)
    index = network.propose(1, b"x")
    network.settle()
    network.nodes[2].core.read_index(5)
    network.settle()
    assert network.nodes[2].reads == [(5, index)]


def test_an_echo_of_an_earlier_round_confirms_no_later_one() -> None:
    """Thesis §6.4: nobody else led "at the moment it sent the heartbeats", not later."""
    network = CoreCluster(3)
    core = network.elect(1)
    network.settle()
    node = network.nodes[1]
    network.cut = {(1, 2), (1, 3)}
    core.read_index(7)
    first = core.state.reads.newest_token
    core.read_index(8)
    network.collect(node)
    core.step(HeartbeatReply(core.term, 2, first))
    network.collect(node)
    assert [token for token, _ in node.reads] == [7]
    core.step(HeartbeatReply(core.term, 3, first))
    network.collect(node)
    assert [token for token, _ in node.reads] == [7]
    core.step(HeartbeatReply(core.term, 3, first + 1))
    network.collect(node)
    assert [token for token, _ in node.reads] == [7, 8]


def test_reads_on_their_way_fail_when_the_leader_changes() -> None:
    """Nobody is left who could confirm them, and whoever asked must hear so.

    Checklist 116.
    """
    network = CoreCluster(3)
    core = network.elect(1)
    network.down = {2, 3}
    core.read_index(5)
    network.tick(1, 21)
    network.collect(network.nodes[1])
    assert network.nodes[1].reads_failed == [5]


def test_more_reads_of_others_than_fit_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checklist 116: a bound, and an answer when it is reached."""
    monkeypatch.setattr(read_index, "REMOTE_COUNT_MAX", 2)
    network = CoreCluster(3)
    network.elect(1)
    network.cut = {(3, 1)}
    for token in (1, 2, 3):
        network.nodes[2].core.read_index(token)
    network.collect(network.nodes[2])
    for _ in range(3):
        network.deliver(0)
    answers_ = [codec.decode(it.body) for it in network.flying]
    assert [it.index for it in answers_ if isinstance(it, ReadIndexReply)] == [0]
    network.settle()
    assert network.nodes[2].reads_failed == [3]
    assert [token for token, _ in network.nodes[2].reads] == [1, 2]


def leased() -> CoreCluster:
    network = CoreCluster(3, joiners=1, lease_s=0.9)
    for node in network.nodes.values():
        node.core.state.quiet_ticks = 0
    network.elect(1)
    return network


def test_a_lease_is_counted_from_the_sending_of_a_round_that_a_quorum_answered() -> None:
    """Thesis §6.4.1: until "start + election timeout / clock drift bound", start being the sending.

    Checklist 54.
    """
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
    """What it was promised was promised to a leader.

    Checklist 54.
    """
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
    """Voters that do not ask whether they hear a leader have promised it nothing.

    Checklist 2, 54.
    """
    with pytest.raises(BadCoreConfig, match="lease"):
        CoreConfig(id=1, **options)  # type: ignore[arg-type]  # a test's options
