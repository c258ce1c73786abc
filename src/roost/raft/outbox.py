"""What is on its way out of the core, and what went out and is not back yet."""

from collections import deque
from dataclasses import dataclass, field

from roost.raft.messages import Message
from roost.raft.types import HardState, Snapshot


@dataclass(slots=True)
class Outbox:
    """What the next Ready takes along, and what earlier ones took."""

    # The newest hard state that a Ready took: what differs from it must go out before anything
    # that rests on it.
    hard_state: HardState
    # These promise nothing that a crash could undo.
    messages: list[tuple[int, Message]] = field(default_factory=list)
    # These leave when the Ready that takes them is durable, and all before it; see `State.reply`.
    messages_after_persist: list[tuple[int, Message]] = field(default_factory=list)
    # A snapshot to fetch that the driver has not heard of.
    # None = the driver knows of the newest.
    fresh_offer: Snapshot | None = None
    # Readys taken, and reported durable: 0 <= persisted_count <= taken_count.
    taken_count: int = 0
    persisted_count: int = 0
    # (last index, bytes) of what was handed out to be applied and is not, oldest first, and the
    # sum of the bytes.
    apply_sizes: deque[tuple[int, int]] = field(default_factory=deque)
    unapplied_bytes: int = 0
    # Changes of the configuration handed out and not yet taken into force, ascending.
    handed_changes: deque[int] = field(default_factory=deque)

    def note_handed(self, last_index: int, size: int) -> None:
        """Entries up to `last_index` were handed out to be applied."""
        # A batch, not an entry: what is handed over at once is nearly always applied at once.
        self.apply_sizes.append((last_index, size))
        self.unapplied_bytes += size

    def note_applied(self, index: int) -> None:
        """Everything up to `index` is applied."""
        # Whole batches only: a part that is applied frees nothing yet, so that the count errs on
        # the side of asking for less.
        sizes = self.apply_sizes
        while sizes and sizes[0][0] <= index:
            self.unapplied_bytes -= sizes.popleft()[1]
        assert self.unapplied_bytes >= 0, "only what was handed out is given back"
        # The driver calls `apply_change` for each before it says `applied`; one that it forgot
        # would leave this node deciding by a configuration that the others have left.
        changes = self.handed_changes
        assert not changes or changes[0] > index, "a change is in force before it is applied"

    def forget_handed(self) -> None:
        """What was handed out to be applied never will be: a snapshot replaced it."""
        # Else `applied` would be waited for that never comes, and no entry be handed out again.
        self.unapplied_bytes = 0
        self.apply_sizes.clear()
        self.handed_changes.clear()

    def invariants(self) -> None:
        """What holds between any two calls of the core."""
        assert 0 <= self.persisted_count <= self.taken_count, "only what was taken is durable"
        assert self.unapplied_bytes >= 0, "only what was handed out is given back"
