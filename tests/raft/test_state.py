"""The moves that all conversations share: roles, who is believed, and what a quorum commits."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.raft import (
    Configuration,
    CoreConfig,
    CorruptState,
    DropReason,
    Entry,
    EntryKind,
    HardState,
    ProposalDropped,
)
from roost.raft.leading import Transfer
from roost.raft.messages import Heartbeat
from roost.raft.state import State
from roost.sim.cores.storage import MemoryStorage
from tests.raft.cores import entry

BEAT = Heartbeat(term=9, sender=1, commit_index=0, token=0)


class Loaded:
    """Dice that fall as they are told, and remember of how many sides they were."""

    def __init__(self, *falls: int) -> None:
        self.falls = list(falls)
        self.sides: list[int] = []

    def below(self, n: int) -> int:
        self.sides.append(n)
        return self.falls.pop(0) if self.falls else 0


def state_of(
    log: list[Entry] | None = None,
    *,
    term: int = 3,
    vote: int = 0,
    voters: tuple[int, ...] = (1, 2, 3),
    dice: Loaded | None = None,
    is_fenced: bool = False,
    **options: object,
) -> State:
    """A follower, whose disk holds what it has."""
    return State(
        CoreConfig(id=1, **options),  # type: ignore[arg-type]  # a test's options
        dice=dice or Loaded(),
        storage=MemoryStorage(log or []),
        hard_state=HardState(term, vote),
        configuration=Configuration(voters=voters),
        applied_index=0,
        is_fenced=is_fenced,
    )


def leading(log: list[Entry] | None = None, **options: object) -> State:
    state = state_of(log, **options)  # type: ignore[arg-type]  # a test's options
    state.become_candidate()
    state.become_leader()
    return state


MOVES: dict[str, Callable[[State], None]] = {
    "follower": lambda it: it.become_follower(it.term, 2),
    "pre-candidate": State.become_pre_candidate,
    "candidate": State.become_candidate,
    "leader": State.become_leader,
}
# The picture at the top of the module: from a role to all that it may become.
MAY_BECOME = {
    "follower": {"follower", "pre-candidate", "candidate"},
    "pre-candidate": {"follower", "pre-candidate", "candidate"},
    "candidate": {"follower", "pre-candidate", "candidate", "leader"},
    "leader": {"follower"},
}


def in_role(role: str) -> State:
    state = state_of()
    if role == "leader":
        state.become_candidate()
    MOVES[role](state)
    return state


@pytest.mark.parametrize("role", MOVES)
@pytest.mark.parametrize("move", MOVES)
def test_a_role_is_left_for_some_others_only(role: str, move: str) -> None:
    state = in_role(role)
    state.invariants()
    if move not in MAY_BECOME[role]:
        with pytest.raises(AssertionError):
            MOVES[move](state)
        return
    state.votes = {}
    MOVES[move](state)
    state.invariants()


def test_terms_never_decrease() -> None:
    state = state_of(term=3)
    with pytest.raises(AssertionError, match="never decrease"):
        state.become_follower(2, 0)


def test_a_vote_belongs_to_its_term_and_outlives_the_role() -> None:
    """Thesis §3.4: a server votes "for at most one candidate in a given term"."""
    state = state_of(term=3, vote=2)
    state.become_follower(3, 0)
    assert (state.term, state.vote) == (3, 2)
    state.become_candidate()
    assert (state.term, state.vote) == (4, 1)
    state.become_follower(4, 2)
    assert (state.term, state.vote) == (4, 1)
    state.become_follower(5, 2)
    assert (state.term, state.vote) == (5, 0)


def test_a_pre_candidate_moves_neither_term_nor_vote() -> None:
    """Thesis §9.6: it "only increments its term if it first learns" that it could win."""
    state = state_of(term=3, vote=2)
    state.follow(2)
    state.become_pre_candidate()
    assert (state.term, state.vote, state.leader_id) == (3, 2, 0)


def test_a_leader_begins_with_an_entry_of_its_own_and_probes_from_the_end_of_its_log() -> None:
    """Thesis §3.5: it "initializes all nextIndex values to the index just after the last one"."""
    state = leading([entry(1, 1), entry(2, 3)])
    assert state.leading is not None
    assert [it.next_index for it in state.leading.peers.values()] == [3, 3]
    assert state.leading.own_term_first_index == state.log.last_index == 3
    (last,) = state.log.slice(3, 100)
    assert (last.term, last.kind) == (4, EntryKind.EMPTY)


def test_what_a_leader_had_is_gone_when_it_leads_no_more() -> None:
    state = leading()
    state.become_follower(state.term + 1, 2)
    assert state.leading is None
    assert state.transfer_target == 0
    assert not state.is_leader_ready


@pytest.mark.parametrize(("fall", "ticks"), [(0, 10), (9, 19)])
def test_a_timeout_is_drawn_anew_with_every_change(fall: int, ticks: int) -> None:
    """Thesis §3.4: "randomized election timeouts"; from T to 2T - 1."""
    moves: list[Callable[[State], None]] = [
        lambda it: it.become_follower(it.term, 0),
        State.become_pre_candidate,
        State.become_candidate,
        State.become_leader,
    ]
    dice = Loaded(fall, *[fall] * len(moves))
    state = state_of(dice=dice)
    assert state.election_timeout_ticks == ticks
    for move in moves:
        state.election_timeout_ticks = 0
        move(state)
        assert state.election_timeout_ticks == ticks
    assert dice.sides == [10] * (1 + len(moves))


@pytest.mark.parametrize(
    ("quiet", "check_quorum", "leader", "sender", "elapsed", "is_in_lease"),
    [
        (0, True, 2, 3, 9, True),
        (0, True, 2, 3, 10, False),  # for the least that a timeout may be
        (0, True, 2, 2, 0, False),  # the leader itself: it leads no more
        (0, True, 0, 3, 0, False),  # nobody leads
        (0, False, 2, 3, 0, False),
        (1, True, 0, 3, 99, True),  # it may have promised, and cannot remember
        (1, False, 2, 2, 99, True),
    ],
)
def test_who_hears_a_leader_lets_nobody_else_become_one(
    *, quiet: int, check_quorum: bool, leader: int, sender: int, elapsed: int, is_in_lease: bool
) -> None:
    """Thesis §4.2.3: it ignores who asks "within the minimum election timeout"."""
    state = state_of(check_quorum=check_quorum)
    state.quiet_ticks, state.leader_id, state.elapsed_ticks = quiet, leader, elapsed
    assert state.is_in_lease_of_other(sender) is is_in_lease


@pytest.mark.parametrize(("lease_s", "has_promised"), [(0.0, False), (0.5, True)])
def test_a_lease_is_promised_only_where_leases_are_on(
    *, lease_s: float, has_promised: bool
) -> None:
    state = state_of(lease_s=lease_s)
    state.quiet_ticks = 0
    assert not state.has_promised(), "nobody has spoken"
    state.follow(2)
    assert state.has_promised() is has_promised


def test_a_node_that_restarts_keeps_quiet_as_long_as_it_may_have_promised() -> None:
    assert state_of(lease_s=0.5).quiet_ticks == 10
    assert state_of().quiet_ticks == 0


@pytest.mark.parametrize("lacks", ["nothing", "fence", "damage", "voter"])
def test_who_lacks_what_it_promised_does_not_campaign(lacks: str) -> None:
    log = [entry(1, 1)]
    storage = MemoryStorage(log, damaged={1} if lacks == "damage" else set())
    state = State(
        CoreConfig(id=1),
        dice=Loaded(),
        storage=storage,
        hard_state=HardState(1, 0),
        configuration=Configuration(voters=(2, 3) if lacks == "voter" else (1, 2, 3)),
        applied_index=0,
        is_fenced=lacks == "fence",
    )
    assert state.is_promotable is (lacks == "nothing")


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_peer_was_heard_if_it_was_within_an_election_timeout(heard: int, now: int) -> None:
    """0 is never; the model asks what the words say."""
    state = leading()
    assert state.leading is not None
    state.tick_count = max(now, heard)
    state.leading.peers[2].heard_tick = heard
    assert state.was_heard(2) == (heard > 0 and state.tick_count - heard <= 10)
    assert state.was_heard(1), "oneself, always"
    assert not state.was_heard(7), "a stranger, never"


def test_an_answer_counts_in_its_session_and_to_a_leader_only() -> None:
    """Checklist 96: of an earlier session it was true of a node that is not there any more."""
    state = leading()
    assert state.leading is not None
    progress = state.leading.peers[2]
    progress.session = 5
    state.tick_count = 8
    for sender, session in ((2, 4), (2, 6), (7, 5)):
        assert state.peer_answering(sender, session) is None
        assert progress.heard_tick == 0, "nor was it heard"
    assert state.peer_answering(2, 5) is progress
    assert progress.heard_tick == 8
    state.become_follower(state.term + 1, 3)
    assert state.peer_answering(2, 5) is None


def test_two_leaders_in_one_term_are_a_bug() -> None:
    with pytest.raises(AssertionError, match="two leaders"):
        leading().follow(2)


def test_a_leader_that_speaks_again_only_winds_the_clock() -> None:
    dice = Loaded()
    state = state_of(dice=dice)
    state.follow(2)
    drawn = len(dice.sides)
    state.elapsed_ticks = 7
    state.follow(2)
    assert (state.elapsed_ticks, state.leader_id, len(dice.sides)) == (0, 2, drawn)


def test_what_promises_something_waits_for_the_disk_and_what_does_not_goes_now() -> None:
    """Thesis Figure 3.1: "Updated on stable storage before responding to RPCs"."""
    state = state_of()
    state.send(2, BEAT)
    state.reply(3, BEAT)
    assert state.outbox.messages == [(2, BEAT)]
    assert state.outbox.messages_after_persist == [(3, BEAT)]
    for say in (state.send, state.reply):
        with pytest.raises(AssertionError, match="oneself"):
            say(1, BEAT)


def test_a_refused_proposal_says_whether_to_go_elsewhere_or_to_wait() -> None:
    """Who is refused can only do the right thing next if the reason is true.

    Checklist 41, 136, 138.
    """
    nobody, follower, handing_over = state_of(), state_of(), leading()
    follower.follow(2)
    assert handing_over.check_may_propose() is handing_over.leading
    assert handing_over.leading is not None
    handing_over.leading.transfer = Transfer(2)
    assert handing_over.transfer_target == 2
    for state, reason in (
        (nobody, DropReason.NO_LEADER),
        (follower, DropReason.NOT_LEADER),
        (handing_over, DropReason.TRANSFERRING),
    ):
        with pytest.raises(ProposalDropped) as refused:
            state.check_may_propose()
        assert refused.value.reason is reason


@given(
    st.lists(st.integers(1, 4), max_size=6).map(sorted),
    st.lists(st.integers(0, 7), min_size=2, max_size=4),
    st.integers(0, 7),
)
def test_a_quorum_commits_what_is_of_this_term_and_all_before_it(
    terms: list[int], matches: list[int], durable: int
) -> None:
    """Thesis §3.6.2: "only log entries from the leader's current term are committed by counting
    replicas".  The model asks of each index whether a majority holds it.
    """
    voters = tuple(range(1, 2 + len(matches)))
    log = [entry(index, term) for index, term in enumerate(terms, 1)]
    state = leading(log, term=4, voters=voters)
    assert state.leading is not None
    last = state.log.last_index
    held = {1: min(durable, last)}
    state.log.durable_index = state.log.handed_index = held[1]
    for node, match in zip(voters[1:], matches, strict=True):
        held[node] = min(match, last)
        state.leading.peers[node].match_index = held[node]
        assert state.match_of(node) == held[node]
    assert state.match_of(1) == held[1]

    def is_on_a_majority(index: int) -> bool:
        return sum(match >= index for match in held.values()) * 2 > len(voters)

    own = [
        it
        for it in range(1, last + 1)
        if state.log.term_at(it) == state.term and is_on_a_majority(it)
    ]
    had = state.log.commit_index
    assert state.commit_by_quorum() is bool(own)
    assert state.log.commit_index == max(own, default=had)
    assert state.is_leader_ready is bool(own)
    assert not state.commit_by_quorum(), "there is no more"


def test_a_hard_state_below_the_log_is_corruption() -> None:
    with pytest.raises(CorruptState, match="last term 4"):
        state_of([entry(1, 4)], term=3)


def test_a_change_that_the_disk_knows_as_committed_is_committed_again() -> None:
    """Record 0005: before it is applied this node would ask voters that were left."""
    log = [entry(1, 1), entry(2, 1), entry(3, 1)]

    def committed(change_term: int) -> int:
        return State(
            CoreConfig(id=1),
            dice=Loaded(),
            storage=MemoryStorage(log),
            hard_state=HardState(1, 0, 2, change_term),
            configuration=Configuration(voters=(1, 2, 3)),
            applied_index=0,
            is_fenced=False,
        ).log.commit_index

    assert committed(1) == 2
    assert committed(9) == 0, "that is another entry"


def test_what_this_node_proposes_goes_to_the_end_and_is_sent_with_the_next_ready() -> None:
    state = leading([entry(1, 3)])
    assert state.leading is not None
    state.leading.has_unsent = False
    assert state.append_own(EntryKind.NORMAL, b"x") == 3
    assert state.leading.has_unsent
    assert state.log.slice(3, 100) == (Entry(3, state.term, EntryKind.NORMAL, b"x"),)
    with pytest.raises(AssertionError, match="only a leader"):
        state_of().append_own(EntryKind.NORMAL, b"x")
