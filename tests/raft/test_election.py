"""Elections: pre-votes, votes, and who counts them."""

import pytest

from roost.raft import (
    Configuration,
    Core,
    CoreConfig,
    Entry,
    EntryKind,
    HardState,
    Message,
    Role,
)
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    Heartbeat,
    PreVoteReply,
    PreVoteRequest,
    ReadIndexReply,
    VoteReply,
    VoteRequest,
)
from roost.sim.cores.cores import CoreCluster, SeededDice
from roost.sim.cores.storage import MemoryStorage
from tests.raft.cores import answers, core_with, entry, follower_with


def test_who_is_in_no_configuration_never_campaigns() -> None:
    """Nobody would count its own vote.

    Checklist 8.
    """
    core = core_with([], 0, voters=(2, 3))
    for _ in range(50):
        core.tick()
    core.campaign()
    assert core.role is not Role.LEADER
    assert core.take_ready() is None


def test_a_pre_vote_changes_neither_term_nor_timer() -> None:
    """Thesis §9.6: a candidate "only increments its term if it first learns" that it could win.

    Checklist 13, 30, 45.
    """
    core = core_with([], 3)
    core.tick()
    core.step(PreVoteRequest(9, 2, 0, 0))
    assert (core.term, core.vote, core.state.elapsed_ticks) == (3, 0, 1)
    assert answers(core) == [PreVoteReply(9, 1, is_granted=True)]


def test_a_rejected_pre_vote_with_a_higher_term_is_believed() -> None:
    """Only the grant names a term that nobody is in; a refusal names the voter's own.

    Checklist 13.
    """
    core = core_with([], 3)
    core.campaign()
    core.step(PreVoteReply(7, 2, is_granted=False))
    assert (core.role, core.term) == (Role.FOLLOWER, 7)


def test_a_lower_pre_vote_is_answered_with_our_term() -> None:
    """Unanswered it would ask in its old term for ever (etcd #8501).

    Checklist 16.
    """
    core = core_with([], 5)
    core.step(PreVoteRequest(3, 2, 9, 3))
    assert answers(core) == [PreVoteReply(5, 1, is_granted=False)]


def test_one_vote_a_term_but_again_for_the_same_candidate() -> None:
    """Thesis §3.4: "Each server will vote for at most one candidate in a given term".

    Checklist 21, 29.
    """
    core = core_with([], 1)
    for sender, granted in [(2, True), (3, False), (2, True)]:
        core.step(VoteRequest(2, sender, 0, 0))
        assert answers(core) == [VoteReply(2, 1, granted)]


@pytest.mark.parametrize(
    ("last_term", "last_index", "granted"),
    [(1, 9, False), (2, 1, False), (2, 2, True), (3, 1, True)],
)
def test_votes_go_to_logs_at_least_as_new(
    last_term: int, last_index: int, *, granted: bool
) -> None:
    """Thesis §3.6.1: "the log with the later term is more up-to-date", and of two such the longer.

    Checklist 29, 62.
    """
    """Checklist 29, 62."""
    core = core_with([entry(1, 2), entry(2, 2)], 2)
    core.step(VoteRequest(5, 2, last_index, last_term))
    assert answers(core) == [VoteReply(5, 1, granted)]


def test_a_vote_leaves_only_after_it_is_durable() -> None:
    """Thesis §3.8: votes are persisted "to prevent the server from voting twice in the same term".

    Checklist 27, 73; J11.
    """
    core = core_with([], 1)
    core.step(VoteRequest(2, 2, 0, 0))
    ready = core.take_ready()
    assert ready is not None
    assert ready.hard_state == HardState(2, 2)
    assert ready.messages == []
    assert ready.messages_after_persist == [(2, VoteReply(2, 1, is_granted=True))]


def test_our_own_vote_counts_only_when_durable() -> None:
    """Two of three voted for it, and it leads only with its own, which is the same promise.

    Checklist 27.
    """
    network = CoreCluster(3)
    core = network.nodes[1].core
    core.campaign()
    network.collect(network.nodes[1])
    core.step(PreVoteReply(1, 2, is_granted=True))
    network.collect(network.nodes[1])
    core.step(VoteReply(1, 2, is_granted=True))
    assert core.role.name == "CANDIDATE"
    network.persist(network.nodes[1])
    assert core.role.name == "LEADER"


def test_who_hears_a_leader_ignores_candidates() -> None:
    """Thesis §4.2.3: such a server "does not update its term or grant its vote".

    Checklist 33.
    """
    core = core_with([], 1)
    core.step(Heartbeat(1, 2, 0, 0))
    answers(core)
    core.step(VoteRequest(9, 3, 5, 5))
    core.step(PreVoteRequest(9, 3, 5, 5))
    assert core.term == 1
    assert answers(core) == []
    for _ in range(10):
        core.state.elapsed_ticks += 1
    core.step(VoteRequest(9, 3, 5, 5))
    assert core.term == 9


def test_a_transfer_bypasses_the_lease() -> None:
    """Thesis §4.2.3: leadership transfer is why "a special flag" lets a vote through.

    Checklist 33, 121.
    """
    core = core_with([], 1)
    core.step(Heartbeat(1, 2, 0, 0))
    core.step(VoteRequest(2, 3, 0, 0, is_transfer=True))
    assert VoteReply(2, 1, is_granted=True) in answers(core)


def test_the_first_answer_of_a_voter_counts() -> None:
    """A voter that answers twice has not become two voters, nor one of another mind.

    Checklist 34.
    """
    network = CoreCluster(5)
    core = network.nodes[1].core
    core.campaign()
    assert core.role is Role.PRE_CANDIDATE
    core.step(PreVoteReply(core.term, 2, is_granted=False))
    for _ in range(3):
        core.step(PreVoteReply(core.term + 1, 2, is_granted=True))
    assert core.state.votes == {1: True, 2: False}
    assert core.role is Role.PRE_CANDIDATE


def test_a_new_leader_appends_an_empty_entry_of_its_term() -> None:
    """Thesis §6.4: to find out what is committed "it needs to commit an entry from its term".

    Checklist 36.
    """
    network = CoreCluster(3)
    network.elect(2)
    assert network.nodes[2].applied[0].kind is EntryKind.EMPTY


def test_a_single_voter_leads_without_a_network() -> None:
    """It is its own majority: no message is needed, its disk is.

    Checklist 39.
    """
    network = CoreCluster(1)
    core = network.elect(1)
    index = network.propose(1, b"x")
    network.settle()
    assert core.commit_index == index


def test_a_grant_for_another_round_is_not_counted() -> None:
    """It answers another question, though in the same words.

    Checklist 13, 37.
    """
    core = core_with([], 4)
    core.campaign()
    core.step(PreVoteReply(9, 2, True))
    core.step(PreVoteReply(9, 3, True))
    assert (core.role, core.term) == (Role.PRE_CANDIDATE, 4)
    core.step(PreVoteReply(5, 2, True))
    assert core.role is Role.CANDIDATE


@pytest.mark.parametrize(
    ("message", "resets"),
    [
        (AppendEntries(2, 2, 1, 1, 0), True),
        (AppendEntries(2, 2, 9, 2, 0), True),
        (Heartbeat(2, 2, 0, 0), True),
        (VoteRequest(2, 3, 1, 1), False),
        (VoteRequest(2, 3, 0, 0), False),
        (PreVoteRequest(3, 3, 1, 1), False),
        (ReadIndexReply(2, 2, 7, 1), False),
        (AppendAccepted(2, 2, 1), False),
    ],
)
def test_only_the_leader_and_a_real_vote_reset_the_timer(message: Message, *, resets: bool) -> None:
    """Thesis §3.4: a follower waits as long as it hears "from a leader or candidate".

    Checklist 30, 72.
    """
    core = core_with([entry(1, 1)], 2)
    core.step(Heartbeat(2, 2, 0, 0))
    core.tick()
    core.step(message)
    assert (core.state.elapsed_ticks == 0) == resets


def test_a_vote_that_is_given_resets_the_timer_and_one_that_is_not_does_not() -> None:
    """Who refuses has helped nobody to lead (hashicorp #609).

    Checklist 30, 72.
    """
    core = core_with([entry(1, 1)], 2)
    core.tick()
    core.step(VoteRequest(2, 3, 0, 0))
    assert core.state.elapsed_ticks == 1
    core.step(VoteRequest(2, 3, 1, 1))
    assert core.state.elapsed_ticks == 0


def test_a_restarted_voter_knows_which_change_was_committed() -> None:
    """Else it would campaign in a configuration that it helped to leave.

    Checklist 25; record 0005.
    """
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
    """Only the dead leader knew; without this those who are left elect nobody.

    Checklist 43; etcd #12359.
    """
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
