"""Members come and go."""

import pytest

from roost.raft import (
    Change,
    ChangeKind,
    ChangeRefused,
    Configuration,
    DropReason,
    ProposalDropped,
    Role,
    Transition,
    codec,
)
from roost.raft.messages import (
    AppendAccepted,
    TimeoutNow,
)
from roost.sim.cores.cores import CoreCluster
from tests.raft.cores import change, seeded

ADD, LEARN, REMOVE = ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER, ChangeKind.REMOVE


def test_a_leader_that_nobody_can_follow_steps_down_without_a_successor() -> None:
    """To be elected again by those who are left is their business.

    Checklist 132.
    """
    network = CoreCluster(2, joiners=1)
    leader = network.elect(1)
    leader.propose_change([Change(ChangeKind.REMOVE, 1)])
    network.collect(network.nodes[1])
    network.persist(network.nodes[1])
    leader.report_unreachable(2)
    network.nodes[1].core.step(AppendAccepted(leader.term, 2, leader.last_index))
    leader.report_unreachable(2)
    network.flying.clear()
    network.collect(network.nodes[1])
    assert leader.role is Role.FOLLOWER
    assert not [it for it in network.flying if isinstance(codec.decode(it.body), TimeoutNow)]


def test_a_learner_gets_everything_and_decides_nothing() -> None:
    """Thesis §4.2.1: "it is not yet counted towards majorities for voting or commitment".

    Checklist 48, 77, 83.
    """
    network = seeded(1, 1)
    change(network, Change(LEARN, 2))
    network.propose(1, b"x")
    network.settle()
    network.tick(1)
    network.settle()
    assert network.nodes[2].applied == network.nodes[1].applied
    network.down.add(2)
    network.propose(1, b"alone")
    network.settle()
    assert network.nodes[1].applied[-1].payload == b"alone"


def test_a_new_node_comes_by_snapshot_because_the_bootstrap_is_no_entry() -> None:
    """The log begins behind the bootstrap, so that an empty node cannot be brought up by appends.

    Checklist 9, 84, 102.
    """
    network = seeded(1, 1)
    change(network, Change(ADD, 2))
    assert network.nodes[2].storage.floor_index > 1
    assert network.nodes[2].configuration == network.nodes[1].configuration


def test_a_learner_is_promoted_only_when_it_has_caught_up() -> None:
    """Issue 3; etcd #15107."""
    network = seeded(1, 1, promotion_lag_entries_max=3)
    core = network.nodes[1].core
    change(network, Change(LEARN, 2))
    network.down.add(2)
    for _ in range(5):
        network.propose(1, b"x")
    network.settle()
    with pytest.raises(ProposalDropped) as caught:
        core.propose_change([Change(ADD, 2)])
    assert caught.value.reason is DropReason.NOT_CAUGHT_UP
    network.down.discard(2)
    network.tick(1, 2)
    network.settle()
    change(network, Change(ADD, 2))
    assert core.configuration.voters == (1, 2)


def test_one_change_at_a_time_and_only_for_the_configuration_it_was_meant_for() -> None:
    """Thesis §4.1: a change "is complete once the Cnew entry is committed", and the next may begin.

    Here the one before must also be in force, which is when it is applied.  Checklist 124.
    """
    network = seeded(3, 2)
    core = network.nodes[1].core
    core.propose_change([Change(LEARN, 4)])
    with pytest.raises(ProposalDropped) as caught:
        core.propose_change([Change(LEARN, 5)])
    assert caught.value.reason is DropReason.CHANGE_PENDING
    network.settle()
    with pytest.raises(ProposalDropped) as caught:
        core.propose_change([Change(LEARN, 5)], if_version=1)
    assert caught.value.reason is DropReason.VERSION_CHANGED
    core.propose_change([Change(LEARN, 5)], if_version=core.configuration.version)
    network.settle()
    assert core.configuration.learners == (4, 5)


def test_a_new_leader_waits_for_what_may_be_a_change() -> None:
    """Its log may end in a change that another leader proposed: cheaper to wait than to look.

    Checklist 40.
    """
    network = CoreCluster(3, joiners=1)
    core = network.nodes[1].core
    core.campaign()
    while core.role is not Role.LEADER:
        for node in network.nodes.values():
            network.collect(node)
            network.persist(node)
        network.deliver(0)
    network.nodes[1].core.log.applied_index = 0  # nothing of the log is applied here yet
    assert core.state.leading is not None
    core.state.leading.pending_change_index = core.last_index
    with pytest.raises(ProposalDropped) as caught:
        core.propose_change([Change(LEARN, 4)])
    assert caught.value.reason is DropReason.CHANGE_PENDING


def test_a_joint_configuration_is_left_by_itself_even_by_the_next_leader() -> None:
    """Thesis §4.3: then it is "safe for the leader to create a log entry describing Cnew".

    Which leader does not matter.  Checklist 129, 130.
    """
    network = seeded(3, 2)
    network.nodes[1].core.propose_change([Change(ADD, 4), Change(REMOVE, 2)])
    for _ in range(40):  # until the joint configuration is in force at the leader, no further
        if network.nodes[1].configuration.is_joint:
            break
        for node in network.nodes.values():
            network.collect(node)
            network.persist(node)
        network.deliver(0)
    assert network.nodes[1].configuration.is_joint
    network.down.add(1)
    network.flying.clear()
    network.nodes[3].core.state.elapsed_ticks = network.nodes[2].core.state.elapsed_ticks = 10
    for _ in range(60):
        for node_id in (2, 3, 4):
            network.tick(node_id)
        network.settle()
    leaders = [it for it in (2, 3, 4) if network.nodes[it].core.role is Role.LEADER]
    assert leaders
    final = network.nodes[leaders[0]].configuration
    assert final.voters == (1, 3, 4)
    assert not final.is_joint


def test_an_explicit_joint_configuration_waits_to_be_left() -> None:
    """Then somebody else decides when, and until then both halves must agree.

    Checklist 125.
    """
    network = seeded(3, 1)
    core = network.nodes[1].core
    change(network, Change(LEARN, 3), transition=Transition.JOINT_EXPLICIT)
    network.tick(1, 3)
    network.settle()
    assert core.configuration.is_joint
    with pytest.raises(ChangeRefused, match="must be left"):
        core.propose_change([Change(LEARN, 4)])
    core.propose_leave(if_version=core.configuration.version)
    network.settle()
    assert core.configuration == Configuration(
        voters=(1, 2), learners=(3,), version=core.configuration.version
    )
    with pytest.raises(ChangeRefused, match="only a joint"):
        core.propose_leave()


def test_the_context_of_a_change_comes_back_with_it() -> None:
    network = seeded(1, 1)
    core = network.nodes[1].core
    index = core.propose_change([Change(LEARN, 2)], context=b"who it is")
    applied = network.nodes[1].applied
    network.settle()
    (held,) = [it for it in applied if it.index == index]
    assert held.payload.endswith(b"who it is")


def test_a_removed_member_learns_of_it_and_keeps_quiet() -> None:
    """Thesis §4.2.3: else it "will time out and start new elections" that disrupt the cluster.

    Checklist 51, 128, 131, 132.
    """
    network = seeded(3, 1)
    change(network, Change(REMOVE, 3))
    removed = network.nodes[3]
    assert removed.configuration.voters == (1, 2)
    for _ in range(50):
        removed.core.tick()
    network.collect(removed)
    assert network.flying == []
    assert removed.core.role is Role.FOLLOWER
    network.propose(1, b"on")
    network.settle()
    assert network.nodes[2].core.last_index == network.nodes[1].core.last_index


def test_a_removed_leader_hands_over_and_steps_down() -> None:
    """Thesis §4.2.2: a leader that is removed "steps down once" its removal "is committed".

    Checklist 132; etcd #11038.
    """
    network = seeded(3, 1)
    change(network, Change(REMOVE, 1))
    assert network.nodes[1].core.role is Role.FOLLOWER
    assert [it for it in (2, 3) if network.nodes[it].core.role is Role.LEADER]
    for _ in range(30):
        network.nodes[1].core.tick()
    assert network.nodes[1].core.role is Role.FOLLOWER


def test_a_leader_that_is_only_a_learner_hands_over_too() -> None:
    """Thesis §4.2.2: meanwhile it manages the cluster and "does not count itself in majorities".

    Checklist 77, 132.
    """
    network = seeded(3, 1)
    change(network, Change(LEARN, 1))
    assert network.nodes[1].core.role is Role.FOLLOWER
    leader = next(it for it in network.nodes.values() if it.core.role is Role.LEADER)
    network.propose(leader.id, b"on")
    network.settle()
    network.tick(leader.id)
    network.settle()
    assert network.nodes[1].applied[-1].payload == b"on"


def test_removing_a_silent_voter_may_commit_what_waited_for_it() -> None:
    """A smaller quorum may hold already what the larger one did not.

    Checklist 80; TestCommitAfterRemoveNode.
    """
    network = seeded(2, 1)
    core = network.nodes[1].core
    core.propose_change([Change(REMOVE, 2)])
    network.collect(network.nodes[1])
    waiting = core.propose(b"waits")
    network.settle()
    assert core.configuration.voters == (1,)
    assert core.commit_index >= waiting
