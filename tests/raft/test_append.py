"""What a follower's memory holds, and who was heard; claims of the checklist."""

from roost.raft import (
    ProgressState,
)
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    AppendHeld,
)
from roost.sim.cores.cores import CoreCluster
from tests.raft.test_core import answers, entry
from tests.raft.test_membership import follower_with, seeded


def test_a_follower_that_cannot_apply_takes_no_more_than_its_memory_allows() -> None:
    """Checklist 98; scylla #31402."""
    core = follower_with(
        [],
        1,
        cache_bytes_max=100,
        message_bytes_max=100,
        tail_bytes_max=250,
        inflight_bytes_max=100,
    )
    core.step(AppendEntries(1, 2, 0, 0, 2, (entry(1, 1, bytes(100)), entry(2, 1, bytes(100)))))
    assert answers(core) == [AppendAccepted(1, 1, 2)]  # committed, handed out, not applied
    core.step(AppendEntries(1, 2, 2, 1, 2, (entry(3, 1, bytes(40)), entry(4, 1, bytes(40)))))
    assert answers(core) == [AppendHeld(1, 1, 3)]
    core.applied(2)
    core.step(AppendEntries(1, 2, 3, 1, 2, (entry(4, 1, bytes(40)),)))
    assert answers(core) == [AppendAccepted(1, 1, 4)]


def test_the_leader_waits_for_a_heartbeat_before_it_sends_to_a_full_follower() -> None:
    """Checklist 98."""
    network = seeded(3, 1)
    core = network.nodes[1].core
    first = network.propose(1, b"a")
    network.settle()
    network.propose(1, b"b")
    network.flying.clear()
    core.step(AppendHeld(core.term, 2, first))
    network.collect(network.nodes[1])
    assert network.flying == []
    assert core.progress()[2].state is ProgressState.PROBE
    network.tick(1)
    network.settle()
    assert network.nodes[2].core.last_index == core.last_index


def test_a_peer_was_heard_once_it_answered_and_not_for_long() -> None:
    """Peers count as active after an election and between two looks; that is no sign of life."""
    cluster = CoreCluster(3)
    core = cluster.elect(1)
    assert core.was_heard(1)
    assert core.was_heard(2)
    assert not core.was_heard(4)
    assert not cluster.nodes[2].core.was_heard(1), "only a leader hears"
    cluster.cut |= {(3, 1)}
    for _ in range(core.config.election_ticks):
        cluster.tick(1)
        cluster.settle()
    assert core.was_heard(2)
    assert core.was_heard(3)
    cluster.tick(1)
    cluster.settle()
    assert core.was_heard(2)
    assert not core.was_heard(3)


def test_after_an_election_nobody_was_heard_who_said_nothing() -> None:
    cluster = CoreCluster(3)
    cluster.crash(3)
    core = cluster.elect(1)
    assert core.peers[3].is_active
    assert core.was_heard(2)
    assert not core.was_heard(3)
