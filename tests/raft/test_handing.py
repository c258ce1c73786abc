"""What a Ready takes along, once and in order, beside a model that keeps plain lists."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roost.raft import (
    Configuration,
    CoreConfig,
    Entry,
    EntryKind,
    HardState,
    ProposalDropped,
    Ready,
    Snapshot,
    handing,
)
from roost.raft.messages import Heartbeat
from roost.raft.state import State
from roost.sim.cores.cores import SeededDice
from roost.sim.cores.storage import MemoryStorage

APPLY_BYTES = 20
APPLY_COUNT = 3


def state_of(voters: tuple[int, ...] = (1,), term: int = 1) -> tuple[State, MemoryStorage]:
    """A node and its disk."""
    storage = MemoryStorage()
    state = State(
        CoreConfig(id=1, apply_bytes_max=APPLY_BYTES, apply_count_max=APPLY_COUNT),
        dice=SeededDice(1),
        storage=storage,
        hard_state=HardState(term, 0),
        configuration=Configuration(voters=voters),
        applied_index=0,
        is_fenced=False,
    )
    return state, storage


def taken(state: State) -> Ready:
    ready = handing.take(state)
    assert ready is not None
    return ready


def write(state: State, storage: MemoryStorage, ready: Ready) -> None:
    """The disk has it."""
    storage.write(ready.entries)
    handing.on_persisted(state, ready)


def lead(state: State, storage: MemoryStorage) -> None:
    """Win, alone: its own vote is all there is, once it is durable."""
    state.become_candidate()
    write(state, storage, taken(state))
    assert state.leading is not None


class Model:
    """A single voter: what was proposed, handed to the disk, durable, handed out, applied."""

    def __init__(self) -> None:
        self.state, self.storage = state_of()
        lead(self.state, self.storage)
        # The empty entry that begins the term.
        self.log: list[bytes] = [b""]
        self.waiting: list[Ready] = []
        self.handed = self.durable = self.given = self.applied = 0

    def propose(self, size: int) -> None:
        payload = bytes([len(self.log) % 256]) * size
        self.state.append_own(EntryKind.NORMAL, payload)
        self.log.append(payload)

    def take(self) -> None:
        before = self.unapplied
        ready = handing.take(self.state)
        if ready is None:
            assert self.handed == len(self.log), "an entry waits, and nobody is told"
            is_full = self.unapplied >= APPLY_BYTES or self.given - self.applied >= APPLY_COUNT
            assert self.given == self.durable or is_full
            return
        assert [it.payload for it in ready.entries] == self.log[self.handed :]
        self.handed = len(self.log)
        payloads = [it.payload for it in ready.committed]
        assert payloads == self.log[self.given : self.given + len(payloads)]
        assert len(payloads) <= APPLY_COUNT
        if payloads:
            assert before < APPLY_BYTES
            # One entry that is larger goes alone, or it would never go.
            size = sum(map(len, payloads))
            assert before + size <= APPLY_BYTES or len(payloads) == 1
        self.given += len(payloads)
        assert self.given <= self.durable, "what is applied is durable here"
        self.waiting.append(ready)

    @property
    def unapplied(self) -> int:
        return self.state.outbox.unapplied_bytes

    def persist(self) -> None:
        if self.waiting:
            ready = self.waiting.pop(0)
            write(self.state, self.storage, ready)
            self.durable += len(ready.entries)

    def apply(self, count: int) -> None:
        self.applied = min(self.given, self.applied + count)
        handing.on_applied(self.state, self.applied)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("propose"), st.integers(0, 30)),
        st.tuples(st.sampled_from(["take", "persist"]), st.just(0)),
        st.tuples(st.just("apply"), st.integers(1, 4)),
    ),
    max_size=60,
)


@given(STEPS)
@example([*[("propose", 0)] * 3, ("take", 0), ("persist", 0), ("take", 0)])
def test_each_entry_goes_to_the_disk_once_and_to_the_state_machine_once_when_it_is_there(
    steps: list[tuple[str, int]],
) -> None:
    model = Model()
    for step, size in steps:
        match step:
            case "propose":
                model.propose(size)
            case "take":
                model.take()
            case "persist":
                model.persist()
            case _:
                model.apply(size)
        model.state.invariants()
    for _ in range(2 * len(model.log) + 2):
        model.take()
        model.persist()
        model.apply(len(model.log))
    assert model.applied == len(model.log), "nothing is left behind"
    assert model.unapplied == 0
    assert handing.take(model.state) is None


def test_where_there_is_nothing_to_do_there_is_no_ready() -> None:
    state, _ = state_of((1, 2, 3))
    assert handing.take(state) is None
    assert state.outbox.taken_count == 0, "and none is waited for"


def test_term_and_vote_go_whole_and_once() -> None:
    """Checklist 140: they are one record, of which no half is ever on a disk."""
    state, _ = state_of((1, 2, 3))
    state.become_follower(2, 3)
    assert taken(state).hard_state == HardState(2, 0)
    assert handing.take(state) is None
    state.vote = 3
    assert taken(state).hard_state == HardState(2, 3)
    assert handing.take(state) is None, "though none of it is durable yet"


@pytest.mark.parametrize(("term", "vote"), [(2, 0), (3, 2), (3, 0)])
def test_a_term_that_falls_or_a_second_vote_never_reaches_a_disk(term: int, vote: int) -> None:
    state, _ = state_of((1, 2, 3))
    state.become_follower(3, 0)
    state.vote = 3
    taken(state)
    state.term, state.vote = term, vote
    with pytest.raises(AssertionError, match=r"never decrease|one vote"):
        handing.take(state)


def test_a_message_leaves_with_the_ready_that_took_it_and_no_other() -> None:
    """The Ready keeps its lists while its disk writes."""
    state, _ = state_of((1, 2, 3))
    early, late = (Heartbeat(term=1, sender=1, commit_index=0, token=it) for it in (1, 2))
    state.send(2, early)
    state.reply(3, early)
    first = taken(state)
    state.send(2, late)
    state.reply(3, late)
    second = taken(state)
    assert (first.messages, first.messages_after_persist) == ([(2, early)], [(3, early)])
    assert (second.messages, second.messages_after_persist) == ([(2, late)], [(3, late)])
    assert handing.take(state) is None


def test_a_snapshot_is_offered_to_the_driver_once() -> None:
    """A driver that is told again would begin the fetch again."""
    state, _ = state_of((1, 2, 3))
    offer = Snapshot(index=9, term=1, sender=2, configuration=state.configuration)
    state.outbox.fresh_offer = offer
    assert taken(state).snapshot == offer
    assert handing.take(state) is None


def test_readys_become_durable_in_order() -> None:
    state, storage = state_of((1, 2, 3))
    state.become_follower(2, 3)
    first = taken(state)
    state.vote = 3
    second = taken(state)
    with pytest.raises(AssertionError, match="in order"):
        handing.on_persisted(state, second)
    state.outbox.persisted_count = 0
    write(state, storage, first)
    write(state, storage, second)


def test_a_vote_of_ones_own_counts_when_it_is_durable_and_not_before() -> None:
    """Thesis Figure 3.1: "Updated on stable storage before responding to RPCs"."""
    state, storage = state_of()
    state.become_candidate()
    ready = taken(state)
    assert ready.hard_state == HardState(2, 1)
    assert state.leading is None
    write(state, storage, ready)
    assert state.leading is not None


def test_what_this_leader_proposed_counts_until_it_is_committed() -> None:
    state, storage = state_of()
    lead(state, storage)
    assert state.leading is not None
    state.append_own(EntryKind.NORMAL, b"x" * 10)
    state.leading.uncommitted_bytes = 10
    write(state, storage, taken(state))
    committed = taken(state).committed
    assert [it.payload for it in committed] == [b"", b"x" * 10]
    assert state.leading.uncommitted_bytes == 0


def test_a_change_of_the_configuration_is_waited_for_and_is_on_the_disk_as_committed() -> None:
    """Record 0005: durable before anything that was decided by the change leaves."""
    state, storage = state_of()
    lead(state, storage)
    index = state.append_own(EntryKind.CONFIGURATION, b"")
    write(state, storage, taken(state))
    ready = taken(state)
    assert ready.hard_state == HardState(2, 1, index, 2)
    assert ready.committed[-1] == Entry(index, 2, EntryKind.CONFIGURATION, b"")
    assert list(state.outbox.handed_changes) == [index]
    with pytest.raises(AssertionError, match="in force"):
        handing.on_applied(state, index)


def test_a_proposal_to_who_does_not_lead_leaves_nothing_to_hand_out() -> None:
    state, _ = state_of((1, 2, 3))
    with pytest.raises(ProposalDropped):
        state.check_may_propose()
    assert handing.take(state) is None
