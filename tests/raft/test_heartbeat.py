"""Heartbeats and their answers."""

import pytest

from roost.errors import DeviceFault
from roost.raft import (
    LogLost,
)
from roost.raft.messages import (
    Heartbeat,
    HeartbeatReply,
)
from roost.sim.cores.cores import CoreCluster
from tests.raft.cores import answers, core_with, entry


def test_a_stale_leader_learns_the_newer_term() -> None:
    """Thesis §3.3: who "discovers that its term is out of date" reverts to follower state.

    Checklist 15.
    """
    core = core_with([], 5)
    core.step(Heartbeat(3, 2, 0, 0))
    assert answers(core) == [HeartbeatReply(5, 1, 0)]
    assert core.leader_id == 0


def test_a_leader_that_counts_on_lost_entries_is_told_so() -> None:
    """It may rely on them: we said that they were durable.

    Checklist 71.
    """
    core = core_with([entry(1, 1)], 1)
    with pytest.raises(LogLost) as raised:
        core.step(Heartbeat(1, 2, 5, 0))
    assert isinstance(raised.value, DeviceFault), "our own disk's fault, not the leader's"


def test_a_heartbeat_answer_never_raises_the_match() -> None:
    """To answer one takes no log at all.

    Checklist 82.
    """
    network = CoreCluster(3)
    core = network.elect(1)
    network.propose(1, b"x")
    before = core.progress()[2].match_index
    core.step(HeartbeatReply(core.term, 2, 0))
    assert core.progress()[2].match_index == before


def test_heartbeats_are_as_rare_as_they_are_set() -> None:
    network = CoreCluster(3, heartbeat_ticks=3)
    network.elect(1)
    network.tick(1, 2)
    assert network.flying == []
    network.tick(1)
    assert len(network.flying) == 2


def test_peers_that_are_told_the_same_are_sent_the_same_object() -> None:
    """Then it is encoded once, however many they are."""
    network = CoreCluster(3)
    core = network.elect(1)
    network.propose(1, b"x")
    network.settle()
    core.read_index(7)
    ready = core.take_ready()
    assert ready is not None
    [(_, one), (_, other)] = ready.messages
    assert isinstance(one, Heartbeat)
    assert one is other


def test_a_peer_is_told_of_the_commit_index_only_as_far_as_it_holds_the_log() -> None:
    network = CoreCluster(3)
    core = network.elect(1)
    network.settle()
    held = core.progress()[3].match_index
    network.cut = {(1, 3), (3, 1)}
    index = network.propose(1, b"x")
    network.settle({1, 2})
    core.read_index(7)
    ready = core.take_ready()
    assert ready is not None
    told = {to: it.commit_index for to, it in ready.messages if isinstance(it, Heartbeat)}
    assert told == {2: index, 3: held}
