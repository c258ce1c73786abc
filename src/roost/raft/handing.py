"""Handing out: what a Ready takes along, and what comes back from the disk and the state machine.

Why the parts of a Ready must be done in their order stands in `core`.
"""

from roost.raft import append, election, fence, membership
from roost.raft.outbox import Outbox
from roost.raft.ready import Ready
from roost.raft.state import State
from roost.raft.types import Entry, EntryKind, HardState


def take(state: State) -> Ready | None:
    """Hand over what there is to do; None when there is nothing."""
    log, outbox, leading, reads = state.log, state.outbox, state.leading, state.reads
    if leading is not None and leading.has_unsent:
        leading.has_unsent = False
        append.broadcast(state)
    hard_state = _take_hard_state(state, outbox)
    entries = log.take_unhanded() if log.handed_index < log.last_index else []
    committed: tuple[Entry, ...] = ()
    if log.applying_index < log.commit_index:
        committed = _take_committed(state)
    if not (
        outbox.messages
        or outbox.messages_after_persist
        or entries
        or committed
        or hard_state is not None
        or reads.ready
        or reads.failed
        or outbox.fresh_offer is not None
        or (leading is not None and leading.snapshots_wanted)
    ):
        return None
    outbox.taken_count += 1
    ready = Ready(
        outbox.messages,
        hard_state,
        entries,
        outbox.messages_after_persist,
        committed,
        reads.take_ready(),
        reads.take_failed(),
        outbox.taken_count,
    )
    outbox.messages = []
    outbox.messages_after_persist = []
    if outbox.fresh_offer is not None:
        ready.snapshot, outbox.fresh_offer = outbox.fresh_offer, None
    if leading is not None and leading.snapshots_wanted:
        ready.snapshots_wanted, leading.snapshots_wanted = leading.snapshots_wanted, []
    log.note_outstanding(has_entries=bool(entries))
    return ready


def _take_hard_state(state: State, outbox: Outbox) -> HardState | None:
    """The hard state, if it is not what was handed out last (checklist 140)."""
    if state.log.change_indexes:
        _note_committed_change(state)
    saved = outbox.hard_state
    if (
        saved.term == state.term
        and saved.vote == state.vote
        and saved.change_index == state.known_change[0]
    ):
        return None
    assert state.term >= saved.term, "terms never decrease"
    assert state.term > saved.term or saved.vote in (0, state.vote), "one vote a term"
    outbox.hard_state = HardState(state.term, state.vote, *state.known_change)
    return outbox.hard_state


def _note_committed_change(state: State) -> None:
    index = state.log.committed_change_index
    if index > state.known_change[0]:
        term = state.log.term_at(index)
        assert term is not None, "what is committed and not applied is not compacted"
        state.known_change = (index, term)


def _take_committed(state: State) -> tuple[Entry, ...]:
    outbox = state.outbox
    room = state.config.apply_bytes_max - outbox.unapplied_bytes
    if room <= 0:
        return ()
    committed = state.log.take_committed(room)
    if committed:
        size = sum(len(entry.payload) for entry in committed)
        outbox.note_handed(committed[-1].index, size)
        for entry in committed:
            if entry.kind is EntryKind.CONFIGURATION:
                outbox.handed_changes.append(entry.index)
        if state.leading is not None:
            # Never below zero: what earlier leaders proposed was not counted by this one.
            uncommitted_bytes = state.leading.uncommitted_bytes - size
            state.leading.uncommitted_bytes = max(0, uncommitted_bytes)
    return committed


def on_persisted(state: State, ready: Ready) -> None:
    """`ready`, the oldest one not yet reported, is durable."""
    state.outbox.persisted_count += 1
    assert ready.number == state.outbox.persisted_count, "Readys become durable in order"
    moved = state.log.note_persisted()
    if state.is_fenced:
        fence.lift_if_due(state)
    if ready.hard_state is not None:
        election.on_vote_durable(state, ready.hard_state)
    if moved and state.leading is not None:
        append.commit(state)


def on_applied(state: State, index: int) -> None:
    """The state machine has applied everything up to `index`."""
    state.log.applied_to(index)
    state.outbox.note_applied(index)
    if state.configuration.auto_leave:
        membership.leave_if_due(state)
