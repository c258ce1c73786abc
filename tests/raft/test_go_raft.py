"""Defects of go-raft that our core's other tests do not show by themselves.

All 17, and who shows each, stand in docs/explanation/go-raft.md: the numbers are its rows.
"""

import pytest

from roost.errors import PeerFault
from roost.raft import Configuration, Role, codec
from roost.raft.messages import AppendEntries, AppendRejected, VoteReply, VoteRequest
from roost.raft.quorum import Verdict, tally
from roost.sim.cores.cores import CoreCluster
from tests.raft.cores import answers, core_with, entry, seeded


def test_a_voter_that_was_killed_behind_its_vote_gives_no_second_one() -> None:
    """1: its term after a restart was that of its last entry, and its vote was nobody's."""
    network = CoreCluster(3)
    voter = network.nodes[2]
    voter.core.step(VoteRequest(7, 1, 0, 0))
    network.collect(voter)
    network.persist(voter)
    assert [codec.decode(it.body) for it in network.flying] == [VoteReply(7, 2, is_granted=True)]
    network.crash(2)
    network.restart(2)
    network.flying.clear()
    voter.core.step(VoteRequest(7, 3, 9, 6))
    network.collect(voter)
    network.persist(voter)
    assert [codec.decode(it.body) for it in network.flying] == [VoteReply(7, 2, is_granted=False)]


def test_a_second_leader_of_a_term_is_its_senders_fault_and_ends_nobody() -> None:
    """4: the process that served reads ended by a panic."""
    network = seeded()
    leader = network.nodes[1].core
    term, last = leader.term, leader.last_index
    with pytest.raises(PeerFault):
        leader.step(AppendEntries(term, 2, last, term, 0, (entry(last + 1, term),)))
    assert (leader.role, leader.term, leader.last_index) == (Role.LEADER, term, last)
    network.propose(1, b"it goes on")
    network.settle()
    assert network.nodes[3].applied[-1].payload == b"it goes on"


def test_a_position_beyond_the_end_is_answered_with_where_the_end_is() -> None:
    """10: who was asked for what it did not have ended by a panic."""
    core = core_with([entry(1, 1), entry(2, 1)], 1)
    core.step(AppendEntries(1, 2, 1_000_000, 1, 0, ()))
    (answer,) = answers(core)
    assert isinstance(answer, AppendRejected)
    assert (answer.prev_index, answer.hint_index) == (1_000_000, 2)


class Watched(CoreCluster):
    """Knows the bytes of entries in each append to node 3."""

    sizes: tuple[int, ...] = ()

    def deliver(self, position: int) -> None:
        flying = self.flying[position]
        message = codec.decode(flying.body)
        if flying.to == 3 and flying.to not in self.down and isinstance(message, AppendEntries):
            self.sizes += (sum(len(it.payload) for it in message.entries),)
        super().deliver(position)


@pytest.mark.slow
def test_a_hundred_thousand_entries_leave_in_messages_of_a_bounded_size() -> None:
    """10: who began from the first entry was sent all of them at once."""
    bytes_max = 64 << 10
    network = Watched(3, message_bytes_max=bytes_max)
    leader = network.elect(1)
    network.crash(3)
    for _ in range(1000):
        for _ in range(100):
            leader.propose(b"0123456789")
        network.settle()
    network.restart(3)
    for _ in range(leader.last_index):
        network.tick(1)
        network.settle()
        if len(network.nodes[3].applied) == leader.last_index:
            break
    assert len(network.nodes[3].applied) > 100_000
    assert sum(network.sizes) >= 1_000_000
    assert max(network.sizes) <= bytes_max


@pytest.mark.parametrize("granted", [(1, 2), (1, 2, 3), (1, 2, 3, 4, 5)])
def test_an_election_that_has_more_votes_than_it_needs_is_won(granted: tuple[int, ...]) -> None:
    """15: it had to have exactly as many, and a cluster that had shrunk meanwhile had more."""
    shrunk = Configuration(voters=(1, 2, 3))
    assert tally(shrunk, dict.fromkeys(granted, True)) is Verdict.WON
