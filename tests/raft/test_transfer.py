"""Leadership is handed over."""

import pytest

from roost.raft import (
    Change,
    ChangeKind,
    DropReason,
    ProposalDropped,
    Role,
    TransferRefused,
)
from roost.raft.messages import (
    HeartbeatReply,
    TimeoutNow,
)
from roost.sim.cores.cores import CoreCluster
from tests.raft.cores import entry, follower_with, seeded

ADD, LEARN, REMOVE = ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER, ChangeKind.REMOVE


def test_only_a_leader_has_progress_and_a_successor() -> None:
    network = CoreCluster(3)
    assert network.nodes[1].core.progress() == {}
    assert network.nodes[1].core.best_successor() == 0
    leader = network.elect(1)
    assert set(leader.progress()) == {1, 2, 3}
    assert leader.is_leader_ready
    assert not network.nodes[2].core.is_leader_ready
    assert leader.best_successor() == 2
    network.cut = {(1, 2)}
    network.propose(1, b"x")
    network.settle()
    assert leader.best_successor() == 3


def test_leadership_goes_to_the_target_and_proposals_wait() -> None:
    """Thesis §3.10: "the prior leader stops accepting new client requests", to begin with.

    Checklist 118, 119, 120, 121.
    """
    network = seeded(3, 1)
    core = network.nodes[1].core
    network.down.add(3)
    network.propose(1, b"x")
    network.settle()
    network.down.discard(3)
    core.transfer_leadership(3)
    assert core.progress()[3].match_index < core.last_index
    with pytest.raises(ProposalDropped) as caught:
        core.propose(b"y")
    assert caught.value.reason is DropReason.TRANSFERRING
    core.transfer_leadership(3)  # asked again: nothing changes
    network.settle()
    network.tick(1)
    network.settle()
    assert network.nodes[3].core.role is Role.LEADER
    assert core.role is Role.FOLLOWER


def test_a_transfer_to_a_silent_target_ends_after_an_election_timeout() -> None:
    """Thesis §3.10: after about an election timeout "the prior leader aborts the transfer".

    Checklist 120.
    """
    network = seeded(3, 1)
    core = network.nodes[1].core
    network.down.add(3)
    core.transfer_leadership(3)
    assert core.transfer_target == 3
    for _ in range(10):
        core.tick()
        core.step(HeartbeatReply(core.term, 2, 0))
    assert core.role is Role.LEADER
    core.propose(b"goes again")
    assert core.transfer_target == 0


def test_a_second_target_replaces_the_first() -> None:
    """The newer wish holds.

    Checklist 118.
    """
    network = seeded(3, 1)
    network.down.add(2)
    network.nodes[1].core.transfer_leadership(2)
    network.nodes[1].core.transfer_leadership(3)
    network.settle()
    assert network.nodes[3].core.role is Role.LEADER


def test_a_follower_passes_the_wish_on() -> None:
    """Whoever was asked need not lead.

    Checklist 122.
    """
    network = seeded(3, 1)
    network.nodes[3].core.transfer_leadership(3)
    network.settle()
    assert network.nodes[3].core.role is Role.LEADER


@pytest.mark.parametrize(("node", "target", "words"), [(1, 1, "already"), (1, 4, "does not vote")])
def test_leadership_goes_only_to_another_voter(node: int, target: int, words: str) -> None:
    """Nobody else could win.

    Checklist 118.
    """
    network = seeded(3, 1)
    with pytest.raises(TransferRefused, match=words):
        network.nodes[node].core.transfer_leadership(target)


def test_without_a_leader_there_is_nothing_to_hand_over() -> None:
    network = CoreCluster(3, joiners=1)
    with pytest.raises(TransferRefused, match="no leader"):
        network.nodes[1].core.transfer_leadership(2)


def test_a_target_that_misses_entries_does_not_campaign() -> None:
    """The order to campaign may be older than what the leader has proposed since.

    Checklist 123.
    """
    core = follower_with([entry(1, 1)], 1)
    core.step(TimeoutNow(1, 2, 5, 1))
    assert core.term == 1
    core.step(TimeoutNow(1, 2, 1, 1))
    assert (core.term, core.role) == (2, Role.CANDIDATE)
    core.step(TimeoutNow(2, 2, 1, 1))
    assert core.term == 2


def test_a_transfer_to_somebody_removed_is_over() -> None:
    """Proposals would wait for an election that cannot be won.

    Checklist 120, 131.
    """
    network = seeded(3, 1)
    core = network.nodes[1].core
    core.propose_change([Change(REMOVE, 3)])
    network.collect(network.nodes[1])
    network.cut |= {(1, 3), (3, 1)}
    core.transfer_leadership(3)
    network.settle()
    assert core.configuration.voters == (1, 2)
    core.propose(b"goes again")
