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
    # Here, and not in `propose`: whatever was proposed since the last Ready goes in one message to
    # each peer, and one write.
    if leading is not None and leading.has_unsent:
        leading.has_unsent = False
        append.broadcast(state)
    if log.change_indexes:
        _note_committed_change(state)
    # Against what was handed out last, durable or not: the disk does things in order, so that the
    # next Ready need not repeat what the one before it takes there (checklist 140).
    hard_state, saved = None, outbox.hard_state
    if (
        saved.term != state.term
        or saved.vote != state.vote
        or saved.change_index != state.known_change[0]
    ):
        # Whole, though one number differs: term and vote are one record, of which no half is ever
        # on a disk.
        hard_state = _take_hard_state(state, outbox)
    entries = log.take_entries() if log.handed_index < log.last_index else []
    committed: tuple[Entry, ...] = ()
    # Only what an *earlier* Ready made durable: those of this one are not, whoever committed them.
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
        messages=outbox.messages,
        hard_state=hard_state,
        entries=entries,
        messages_after_persist=outbox.messages_after_persist,
        committed=committed,
        reads=reads.take_ready() if reads.ready else [],
        reads_failed=reads.take_failed() if reads.failed else [],
        number=outbox.taken_count,
    )
    # New lists, not emptied ones: the Ready that was handed out keeps these while its disk writes,
    # and a message that is added to them later would leave with the wrong Ready.
    outbox.messages = []
    outbox.messages_after_persist = []
    if outbox.fresh_offer is not None:
        # Said once: a driver that is told again would begin the fetch again.
        ready.snapshot, outbox.fresh_offer = outbox.fresh_offer, None
    if leading is not None and leading.snapshots_wanted:
        ready.snapshots_wanted, leading.snapshots_wanted = leading.snapshots_wanted, []
    # Also for a Ready without entries: `persisted` counts Readys, not entries.
    log.note_outstanding(has_entries=bool(entries))
    return ready


def _take_hard_state(state: State, outbox: Outbox) -> HardState:
    saved = outbox.hard_state
    assert state.term >= saved.term, "terms never decrease"
    assert state.term > saved.term or saved.vote in (0, state.vote), "one vote a term"
    outbox.hard_state = HardState(state.term, state.vote, *state.known_change)
    return outbox.hard_state


def _note_committed_change(state: State) -> None:
    index = state.log.committed_change_index
    # Becomes durable with the next hard state, before anything that was decided by the change
    # leaves (record 0005).
    if index > state.known_change[0]:
        term = state.log.term_at(index)
        assert term is not None, "what is committed and not applied is not compacted"
        state.known_change = (index, term)


def _take_committed(state: State) -> tuple[Entry, ...]:
    outbox = state.outbox
    # Bounds what waits for the state machine, and what is read of the log in one step: the next
    # call comes with `applied`.
    room = state.config.apply_bytes_max - outbox.unapplied_bytes
    if room <= 0:
        return ()
    committed = state.log.take_committed(room, state.config.apply_count_max)
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
    # In this order: what the disk has, decides whether the fence may fall, a vote count, an entry
    # commit.  Each asks the log only, and none undoes another.
    moved = state.log.note_persisted()
    if state.is_fenced:
        fence.lift_if_due(state)
    if ready.hard_state is not None:
        election.on_vote_durable(state, ready.hard_state)
    # Our own copy counts from here on, like a peer's acceptance (checklist 76).
    if moved and state.leading is not None:
        append.commit(state)


def on_applied(state: State, index: int) -> None:
    """The state machine has applied everything up to `index`."""
    # The log first: whether a joint configuration may be left asks what is applied.
    state.log.applied_to(index)
    state.outbox.note_applied(index)
    # The joint configuration itself has just been applied, or what kept it from being left.
    if state.configuration.auto_leave:
        membership.leave_if_due(state)
