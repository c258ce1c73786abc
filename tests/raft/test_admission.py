"""No message ends a node, and none uses up the terms (D15 of docs/architecture.md)."""

from itertools import product
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost import raft
from roost.raft import (
    COUNT_MAX,
    Configuration,
    Core,
    CoreConfig,
    CorruptState,
    HardState,
    Message,
    admission,
    conversations,
)
from roost.raft.admission import (
    ADMISSION,
    RESTORED_TERM,
    TERM_LEAP_MAX,
    Admission,
    Standing,
    reach,
    restored,
)
from roost.raft.handler import Handler
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    AppendHeld,
    AppendRejected,
    Heartbeat,
    HeartbeatReply,
    PreVoteReply,
    PreVoteRequest,
    ReadIndexReply,
    ReadIndexRequest,
    Restarted,
    SnapshotFailed,
    SnapshotOffer,
    TimeoutNow,
    TransferRequest,
    VoteReply,
    VoteRequest,
)
from roost.raft.state import State
from roost.sim.cores.cores import SeededDice
from roost.sim.cores.storage import MemoryStorage
from tests.raft.liar import LyingStorm

TERMS = st.integers(0, COUNT_MAX)
OWN_TERM = 5
TERM_AT = {Standing.NONE: 0, Standing.LOWER: 3, Standing.EQUAL: OWN_TERM, Standing.HIGHER: 8}
WITHOUT_TERM = (ReadIndexRequest, TransferRequest)
KINDS: tuple[type[Message], ...] = get_args(Message)


def message_of(kind: type[Message], term: int) -> Message:
    """One of its kind from node 2; a refusal, where it may be one."""
    made: dict[type[Message], Message] = {
        PreVoteRequest: PreVoteRequest(term, 2, 0, 0),
        PreVoteReply: PreVoteReply(term, 2, is_granted=False),
        VoteRequest: VoteRequest(term, 2, 0, 0),
        VoteReply: VoteReply(term, 2, is_granted=False),
        AppendEntries: AppendEntries(term, 2, 0, 0, 0),
        AppendAccepted: AppendAccepted(term, 2, 0),
        AppendHeld: AppendHeld(term, 2, 0),
        AppendRejected: AppendRejected(term, 2, 0, 0, 0),
        Restarted: Restarted(term, 2, 1),
        Heartbeat: Heartbeat(term, 2, 0, 0),
        HeartbeatReply: HeartbeatReply(term, 2, 0),
        ReadIndexRequest: ReadIndexRequest(2, 1),
        ReadIndexReply: ReadIndexReply(term, 2, 1, 0),
        TimeoutNow: TimeoutNow(term, 2, 0, 0),
        TransferRequest: TransferRequest(2, 3),
        SnapshotOffer: SnapshotOffer(term, 2, 1, 1, 0, Configuration(voters=(1, 2, 3))),
        SnapshotFailed: SnapshotFailed(term, 2, 1),
    }
    return made[kind]


class Listener:
    """A core in OWN_TERM whose conversations only note what reaches them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.core = Core(
            CoreConfig(id=1),
            dice=SeededDice(1),
            storage=MemoryStorage(),
            hard_state=HardState(OWN_TERM, 0),
            configuration=Configuration(voters=(1, 2, 3)),
            applied_index=0,
        )
        self.handled: list[Message] = []
        heard: tuple[Handler, ...] = (self._note,)
        monkeypatch.setattr(
            "roost.raft.core.HANDLERS", dict.fromkeys(conversations.HANDLERS, heard)
        )

    def _note(self, _state: State, message: Message) -> None:
        self.handled.append(message)

    def outcome(self, message: Message) -> tuple[bool, int, int]:
        """Whether it was handled, and the term and the leader from then on."""
        self.core.step(message)
        return self.handled == [message], self.core.term, self.core.leader_id

    def said(self) -> list[Message]:
        ready = self.core.take_ready()
        return [] if ready is None else [it for _, it in ready.messages_after_persist]


def test_every_kind_has_a_row_for_every_standing_it_can_have() -> None:
    with_term = [it for it in KINDS if it not in WITHOUT_TERM]
    standings = (Standing.LOWER, Standing.EQUAL, Standing.HIGHER)
    expected = {*product(with_term, standings), *product(WITHOUT_TERM, (Standing.NONE,))}
    assert set(ADMISSION) == expected
    assert set(conversations.HANDLERS) == set(KINDS), "and whoever is let in has a conversation"


@pytest.mark.parametrize(
    ("kind", "standing"), ADMISSION, ids=lambda it: getattr(it, "__name__", None) or it.value
)
def test_a_node_does_what_the_row_says(
    kind: type[Message], standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thesis §3.3: "if a server receives a request with a stale term number, it rejects"."""
    listener, term = Listener(monkeypatch), TERM_AT[standing]
    outcome = listener.outcome(message_of(kind, term))
    expected = {
        Admission.HANDLE: (True, OWN_TERM, 0),
        Admission.DROP: (False, OWN_TERM, 0),
        Admission.TELL_TERM: (False, OWN_TERM, 0),
        Admission.REFUSE: (False, OWN_TERM, 0),
        Admission.MOVE: (True, term, 0),
        Admission.FOLLOW: (True, term, 2),
        Admission.UNLESS_GRANTED: (True, term, 0),
        Admission.UNLESS_LED: (True, term, 0),
    }
    row = ADMISSION[kind, standing]
    assert outcome == expected[row]
    said = {
        Admission.TELL_TERM: [HeartbeatReply(OWN_TERM, 1, 0)],
        Admission.REFUSE: [PreVoteReply(OWN_TERM, 1, is_granted=False)],
    }
    assert listener.said() == said.get(row, [])


def test_a_granted_pre_vote_moves_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells of a term that nobody has yet (checklist 13)."""
    granted = PreVoteReply(8, 2, is_granted=True)
    assert Listener(monkeypatch).outcome(granted) == (True, OWN_TERM, 0)


def test_who_hears_a_leader_is_moved_by_no_candidate_but_that_of_a_transfer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thesis §4.2.3: a server "within the minimum election timeout of hearing from a current

    leader … does not update its term or grant its vote".
    """
    for is_transfer, expected in ((False, (False, OWN_TERM, 3)), (True, (True, 8, 0))):
        listener = Listener(monkeypatch)
        listener.core.state.follow(3)
        assert listener.outcome(VoteRequest(8, 2, 0, 0, is_transfer)) == expected


def test_a_leap_of_terms_is_not_handled_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(monkeypatch)
    reached = OWN_TERM + TERM_LEAP_MAX
    assert listener.outcome(Heartbeat(reached + 1, 2, 0, 0)) == (False, reached, 0)


def test_the_table_of_the_design_is_the_table_of_the_code() -> None:
    standings = (Standing.LOWER, Standing.EQUAL, Standing.HIGHER)
    rows = ["| message | lower | equal | higher |", "|---|---|---|---|"]
    for kind in sorted(set(KINDS) - set(WITHOUT_TERM), key=KINDS.index):
        cells = (ADMISSION[kind, it].value for it in standings)
        rows.append(f"| `{kind.__name__}` | {' | '.join(cells)} |")
    design = Path(raft.__file__).parent / "DESIGN.md"
    assert "\n".join(rows) in design.read_text(), "\n".join(["the table is", *rows])


def test_checks_are_asked_of_messages_with_a_term_only() -> None:
    """Requests contradict nothing: whoever asks may be behind, or ahead."""
    assert set(admission.CHECKS).isdisjoint(WITHOUT_TERM)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_a_node_says_the_others_go_on(seed: int) -> None:
    """Handled, or refused and then nothing has changed; `LyingStorm` sees to both."""
    storm = LyingStorm(seed)
    storm.run_lying(400)
    assert storm.handled


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 140, 10))
def test_whatever_a_node_says_for_long_the_others_go_on(first: int) -> None:
    for seed in range(first, first + 10):
        LyingStorm(seed).run_lying(4000)


@given(TERMS, TERMS)
def test_a_message_moves_a_term_a_little_or_to_where_restored_ones_begin(own: int, on: int) -> None:
    term = min(COUNT_MAX, own + on)
    reached = reach(own, term)
    assert own <= reached <= term
    if term - own <= TERM_LEAP_MAX:
        assert reached == term
    assert reached - own <= TERM_LEAP_MAX or reached - RESTORED_TERM <= TERM_LEAP_MAX


def test_a_node_that_is_far_behind_gets_there() -> None:
    for far in (10 * TERM_LEAP_MAX + 5, RESTORED_TERM, RESTORED_TERM + 10 * TERM_LEAP_MAX):
        term = 7
        for _ in range(12):
            term = reach(term, far)
        assert term == far


def test_a_term_beyond_all_is_given_up_for_one_that_nobody_voted_in() -> None:
    ruined = HardState(2**64 - 1, 777, 5, 2)
    assert restored(ruined, last_term=9) == HardState(RESTORED_TERM, 0, 5, 2)
    assert restored(HardState(COUNT_MAX, 3), last_term=9) == HardState(COUNT_MAX, 3)


def test_a_restored_term_is_above_that_of_every_entry() -> None:
    """An older attack may have brought the log itself up there."""
    last_term = RESTORED_TERM + 3
    assert restored(HardState(2**64 - 1), last_term).term == last_term + TERM_LEAP_MAX
    with pytest.raises(CorruptState, match="no election can follow"):
        restored(HardState(2**64 - 1), 2**64 - 2)
