"""Members come, go and hand over; claims of the checklist, the number in the docstring."""

import pytest

from roost.raft import (
    Change,
    ChangeKind,
    ChangeRefused,
    Configuration,
    Core,
    CoreConfig,
    DropReason,
    Entry,
    EntryKind,
    HardState,
    ProposalDropped,
    Role,
    Transition,
)
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    AppendHeld,
    SnapshotFailed,
    VoteReply,
    VoteRequest,
)
from roost.sim.cores.cores import CoreCluster, MemoryStorage, SeededDice
from tests.raft.test_core import answers, entry

ADD, LEARN, REMOVE = ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER, ChangeKind.REMOVE


def seeded(size: int = 3, joiners: int = 2, **options: int) -> CoreCluster:
    """A cluster with a leader, node 1."""
    network = CoreCluster(size, joiners=joiners, **options)  # type: ignore[arg-type]  # CoreConfig's
    network.elect(1)
    return network


def change(network: CoreCluster, *changes: Change, **how: object) -> None:
    leader = next(it for it in network.nodes.values() if it.core.role is Role.LEADER)
    leader.core.propose_change(changes, **how)  # type: ignore[arg-type]  # a test's options
    network.settle()


def follower_with(log: list[Entry], term: int, **options: object) -> Core:
    return Core(
        CoreConfig(id=1, **options),  # type: ignore[arg-type]  # a test's options
        dice=SeededDice(1),
        storage=MemoryStorage(log),
        hard_state=HardState(term, 0),
        configuration=Configuration(voters=(1, 2, 3)),
        applied_index=0,
    )


def test_a_learner_gets_everything_and_decides_nothing() -> None:
    """Checklist 48, 77, 83."""
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
    """Checklist 9, 84, 102."""
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
    """Checklist 124."""
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
    """Checklist 40."""
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
    """Checklist 129, 130."""
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
    """Checklist 125."""
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
    """Checklist 51, 128, 131, 132."""
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
    """Checklist 132; etcd #11038."""
    network = seeded(3, 1)
    change(network, Change(REMOVE, 1))
    assert network.nodes[1].core.role is Role.FOLLOWER
    assert [it for it in (2, 3) if network.nodes[it].core.role is Role.LEADER]
    for _ in range(30):
        network.nodes[1].core.tick()
    assert network.nodes[1].core.role is Role.FOLLOWER


def test_a_leader_that_is_only_a_learner_hands_over_too() -> None:
    """Checklist 77, 132."""
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
    """Checklist 80; TestCommitAfterRemoveNode."""
    network = seeded(2, 1)
    core = network.nodes[1].core
    core.propose_change([Change(REMOVE, 2)])
    network.collect(network.nodes[1])
    waiting = core.propose(b"waits")
    network.settle()
    assert core.configuration.voters == (1,)
    assert core.commit_index >= waiting


def test_answers_of_an_earlier_session_vouch_for_nothing() -> None:
    """Checklist 96; raft #349."""
    network = seeded(3, 1)
    core = network.nodes[1].core
    change(network, Change(REMOVE, 3))
    network.down.add(3)
    core.propose_change([Change(ADD, 3)])
    network.settle()
    session = core.peers[3].session
    assert session > 0
    late = core.last_index
    core.step(AppendAccepted(core.term, 3, late, 0))
    core.step(AppendHeld(core.term, 3, late, 0))
    core.step(SnapshotFailed(core.term, 3, late, 0))
    assert core.progress()[3].match_index == 0
    core.step(AppendAccepted(core.term, 3, 1, session))
    assert core.progress()[3].match_index == 1


def test_a_restarted_voter_knows_which_change_was_committed() -> None:
    """Checklist 25; record 0005."""
    core = follower_with([entry(1, 1)], 1)
    joint = Entry(2, 1, EntryKind.CONFIGURATION, b"any")
    core.step(AppendEntries(1, 2, 1, 1, 2, (joint,)))
    ready = core.take_ready()
    assert ready is not None
    assert ready.hard_state == HardState(1, 0, 2, 1)
    again = Core(
        CoreConfig(id=1),
        dice=SeededDice(1),
        storage=MemoryStorage([entry(1, 1), joint]),
        hard_state=ready.hard_state,
        configuration=Configuration(voters=(1, 2, 3)),
        applied_index=0,
    )
    assert again.commit_index == 2
    again.campaign()
    assert again.role is Role.FOLLOWER
    other = Entry(2, 2, EntryKind.CONFIGURATION, b"another")
    torn = Core(
        CoreConfig(id=1),
        dice=SeededDice(1),
        storage=MemoryStorage([entry(1, 1), other]),
        hard_state=HardState(2, 0, 2, 1),
        configuration=Configuration(voters=(1, 2, 3)),
        applied_index=0,
    )
    assert torn.commit_index == 0  # the entry it knew of never reached the disk


def test_voters_and_candidates_tell_each_other_what_is_committed() -> None:
    """Checklist 43; etcd #12359."""
    change_entry = Entry(2, 1, EntryKind.CONFIGURATION, b"any")
    core = follower_with([entry(1, 1), change_entry], 1)
    core.step(VoteRequest(2, 2, 2, 1, commit_index=2, commit_term=1))
    assert core.commit_index == 2
    candidate = follower_with([entry(1, 1), change_entry], 1, pre_vote=False)
    candidate.campaign()
    answers(candidate)
    candidate.step(VoteReply(2, 2, is_granted=False, commit_index=2, commit_term=1))
    assert candidate.role is Role.FOLLOWER
    assert candidate.commit_index == 2
    stranger = follower_with([entry(1, 1)], 1, pre_vote=False)
    stranger.step(VoteRequest(2, 2, 2, 1, commit_index=2, commit_term=1))
    stranger.step(VoteRequest(2, 3, 2, 1, commit_index=1, commit_term=0))
    assert stranger.commit_index == 0
