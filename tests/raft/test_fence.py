"""Nodes whose disks lose what they promised, and what others make of it (J19, J23)."""

import pytest

from roost.raft import Change, ChangeKind, Entry, EntryKind, Role
from roost.raft.messages import (
    AppendEntries,
    Heartbeat,
    PreVoteRequest,
    Restarted,
    SnapshotOffer,
    VoteRequest,
)
from roost.raft.progress import ProgressState
from roost.sim.cores.cores import CoreCluster, Node


def cluster(entries: int = 6, size: int = 3) -> CoreCluster:
    """Node 1 leads, and everybody holds `entries` of its entries."""
    made = CoreCluster(size, has_lives=True)
    made.nodes[1].core.campaign()
    made.settle()
    assert made.nodes[1].core.role is Role.LEADER
    for number in range(entries):
        made.propose(1, b"%d" % number)
    made.settle()
    return made


def restart(made: CoreCluster, node_id: int) -> Node:
    made.crash(node_id)
    made.restart(node_id)
    return made.nodes[node_id]


def heartbeat(made: CoreCluster) -> None:
    for _ in range(12):
        made.tick(1)
        made.settle()


def test_a_restarted_follower_tells_the_leader_that_led_before() -> None:
    made = cluster()
    leader = made.nodes[1].core
    before = leader.peers[3].session
    restart(made, 3)
    heartbeat(made)
    assert leader.peers[3].session != before
    assert leader.peers[3].match_index == leader.last_index
    assert leader.lost_entries == {}


def test_a_restart_before_the_first_answer_costs_no_snapshot() -> None:
    """As when a leader hands over and is started again: the new one knows nothing of it yet.

    Nothing is known, so nothing says that the peer lacks anything: the probe stays at the end of
    the log.  From the log's beginning it would ask for an entry that no journal has, since a
    store begins with a state that is no entry, and every such restart copied a whole store.
    """
    made = cluster()
    for it in made.nodes.values():
        it.compact(2)
    made.cut.add((1, 2))
    made.tick(3, 12)
    leader = made.elect(2)
    made.cut.clear()
    made.crash(1)
    assert leader.peers[1].match_index == 0
    made.restart(1)
    for _ in range(12):
        made.tick(2)
        for _ in range(len(made.flying)):
            made.deliver(0)
            assert leader.peers[1].state is not ProgressState.SNAPSHOT
        for node in made.nodes.values():
            made.persist(node)
    assert leader.peers[1].match_index == leader.last_index


def test_what_a_follower_lost_is_noticed_and_not_counted_until_it_is_back() -> None:
    """J23: a disk that acknowledged what it did not keep."""
    made = cluster()
    leader = made.nodes[1].core
    made.crash(3)
    made.nodes[3].storage.lose_from(4)
    made.restart(3)
    matches: list[int] = []
    seen: list[dict[int, int]] = []
    for _ in range(12):
        made.tick(1)
        while made.flying:
            made.deliver(0)
            for node in made.nodes.values():
                made.persist(node)
            matches.append(leader.peers[3].match_index)
            if leader.lost_entries and leader.lost_entries not in seen:
                seen.append(leader.lost_entries)
    assert seen == [{3: leader.last_index}], "it is known while it lasts"
    assert leader.lost_entries == {}, "and not any longer"
    assert leader.take_losses() == {3: leader.last_index}, "whoever asks late hears of it once"
    assert leader.take_losses() == {}
    assert 0 in matches, "what it said before it restarted counts no more"
    assert matches[-1] == leader.last_index
    assert made.nodes[3].storage.last_index == leader.last_index


def forgetful() -> CoreCluster:
    """Node 3 came back without what it had acknowledged, and the leader has just heard of it."""
    made = cluster()
    made.crash(3)
    made.nodes[3].storage.lose_from(4)
    made.restart(3)
    leader = made.nodes[1].core
    for _ in range(60):
        if leader.lost_entries:
            return made
        if made.flying:
            made.deliver(0)
        else:
            made.tick(1)
        for node in made.nodes.values():
            made.persist(node)
    raise AssertionError("the leader never heard of it")


def test_what_a_follower_lost_is_no_business_of_a_leader_that_leads_no_more() -> None:
    made = forgetful()
    leader = made.nodes[1].core
    leader.step(Heartbeat(leader.term + 1, 2, 0, 0))
    assert leader.lost_entries == {}


def test_what_a_removed_follower_lost_is_forgotten_with_it() -> None:
    made = forgetful()
    leader = made.nodes[1].core
    made.crash(3)
    made.flying.clear()
    leader.propose_change([Change(ChangeKind.REMOVE, 3)])
    heartbeat(made)
    assert 3 not in leader.peers
    assert leader.lost_entries == {}


def test_a_heartbeat_of_before_the_restart_is_not_believed() -> None:
    made = cluster()
    leader = made.nodes[1].core
    made.crash(3)
    made.nodes[3].storage.lose_from(4)
    made.restart(3)
    node = made.nodes[3]
    node.core.step(Heartbeat(leader.term, 1, leader.commit_index, 0))
    session = node.core.config.life
    node.core.step(AppendEntries(leader.term, 1, 3, leader.term, 3, (), session))
    node.core.step(Heartbeat(leader.term, 1, leader.commit_index, 0))
    assert node.core.commit_index == 3


def fenced(made: CoreCluster, node_id: int, first_lost: int) -> Node:
    made.crash(node_id)
    node = made.nodes[node_id]
    node.storage.lose_from(first_lost)
    node.is_fenced = True
    made.restart(node_id)
    return node


def test_a_fenced_node_neither_votes_nor_campaigns() -> None:
    made = cluster()
    node = fenced(made, 3, 4)
    core = node.core
    assert not core.is_promotable
    core.campaign()
    assert core.role is Role.FOLLOWER
    core.state.elapsed_ticks = 1000
    core.state.leader_id = 0
    core.step(PreVoteRequest(core.term + 1, 2, 100, core.term, 0, 0))
    core.step(VoteRequest(core.term + 1, 2, 100, core.term, False, 0, 0))
    made.collect(node)
    made.persist(node)
    answers = [it for it in made.flying if it.sender == 3]
    assert len(answers) == 2
    assert core.vote == 0


def test_the_fence_falls_with_everything_promised_and_not_before() -> None:
    made = cluster()
    node = fenced(made, 3, 4)
    # The leader is known by its heartbeat, and the last entry kept is of its term.
    node.core.step(Heartbeat(node.core.term, 1, 0, 0))
    made.collect(node)
    made.persist(node)
    assert node.core.is_fenced
    heartbeat(made)
    assert node.core.is_promotable, "the fence is gone"
    assert node.storage.last_index == made.nodes[1].core.last_index


def test_the_fence_falls_in_a_later_term_too() -> None:
    made = cluster()
    fenced(made, 3, 4)
    made.crash(1)
    made.nodes[2].core.state.elapsed_ticks = 1000
    made.nodes[2].core.state.leader_id = 0
    made.nodes[2].core.campaign()
    made.settle()
    assert made.nodes[2].core.role is not Role.LEADER, "the fenced node gives no vote"
    made.restart(1)
    for _ in range(60):
        made.tick(1)
        made.tick(2)
        made.settle()
    assert not made.nodes[3].core.is_fenced


def test_a_damaged_entry_stops_applying_and_counting_but_not_the_vote() -> None:
    """J19: its content is gone and its term is not, and a vote goes by the term."""
    made = cluster()
    made.crash(3)
    node = made.nodes[3]
    node.durable_applied = 2
    node.storage.damaged = {4}
    made.restart(3)
    assert not node.core.is_promotable
    heartbeat(made)
    leader = made.nodes[1].core
    assert len(node.applied) == 3
    assert leader.peers[3].match_index == 3
    made.propose(1, b"more")
    heartbeat(made)
    assert leader.peers[3].match_index == 3
    assert node.core.last_index > 3, "what is new is taken all the same"
    term = node.core.term
    node.core.state.elapsed_ticks = 1000
    node.core.state.leader_id = 0
    node.core.step(VoteRequest(term + 1, 2, leader.last_index, leader.term, False, 0, 0))
    assert node.core.vote == 2, "its identities are enough to vote with"
    node.storage.damaged.clear()
    for _ in range(60):
        for it in made.nodes:
            made.tick(it)
        made.settle()
    assert node.applied == made.nodes[1].applied


def test_an_offer_from_a_leader_that_does_not_know_of_the_restart_waits() -> None:
    made = cluster()
    node = restart(made, 3)
    core = node.core
    offer = SnapshotOffer(core.term, 1, 50, core.term, 0, core.configuration)
    core.step(offer)
    assert core.state.offered_snapshot is None
    ready = core.take_ready()
    assert ready is not None
    assert [type(it) for _, it in ready.messages_after_persist] == [Restarted]


def test_only_a_leader_hears_of_restarts_and_each_one_once() -> None:
    made = cluster()
    leader, other = made.nodes[1].core, made.nodes[2].core
    other.step(Restarted(other.term, 3, 77))
    leader.step(Restarted(leader.term, 3, 77))
    match = leader.peers[3].match_index
    leader.peers[3].match_index = 5
    leader.step(Restarted(leader.term, 3, 77))
    assert (match, leader.peers[3].match_index) == (0, 5)
    leader.step(Restarted(leader.term, 99, 78))


@pytest.mark.parametrize("count", [0, 3])
def test_forgetting_the_end_of_a_log(count: int) -> None:
    made = cluster(count + 2)
    node = made.nodes[2]
    core = node.core
    core.log.commit_index = core.log.applying_index = core.log.applied_index = 1
    core.forget_from(2)
    assert core.last_index == 1


def test_an_append_from_a_leader_that_does_not_know_of_the_restart_is_not_taken() -> None:
    made = cluster()
    node = restart(made, 3)
    core, before = node.core, node.core.last_index
    leader = made.nodes[1].core
    entries = (Entry(before + 1, core.term, EntryKind.NORMAL, b"new"),)
    term = leader.log.term_at(before) or 0
    core.step(AppendEntries(core.term, 1, before, term, before, entries, 0))
    assert core.last_index == before
