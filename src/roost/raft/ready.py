"""What a core asks of the world; see `core` for the order in which to do it."""

from collections.abc import Sequence
from dataclasses import dataclass

from roost.raft.messages import Message
from roost.raft.types import Entry, HardState, Snapshot


@dataclass(frozen=True, slots=True)
class ReadReady:
    """A read started with `token` is linearizable once `index` is applied."""

    token: int
    index: int


class Ready:
    """What the core asks of the world.  Fields are in the order to do them."""

    __slots__ = (
        "committed",
        "entries",
        "hard_state",
        "messages",
        "messages_after_persist",
        "number",
        "reads",
        "reads_failed",
        "snapshot",
        "snapshots_wanted",
    )

    def __init__(
        self,
        *,
        messages: list[tuple[int, Message]],
        hard_state: HardState | None,
        entries: list[Entry],
        messages_after_persist: list[tuple[int, Message]],
        committed: tuple[Entry, ...],
        reads: list[ReadReady],
        reads_failed: list[int],
        number: int,
        snapshot: Snapshot | None = None,
        snapshots_wanted: Sequence[int] = (),
    ) -> None:
        """All of it at once."""
        # To whom, and what; they may leave before anything of this Ready is durable.
        self.messages = messages
        # None = as in the Ready before.
        self.hard_state = hard_state
        # Contiguous.  Where they begin at or below an earlier Ready's end, they replace what it
        # wrote from there on.
        self.entries = entries
        # In a field of their own, so that to send them too early takes an effort.
        self.messages_after_persist = messages_after_persist
        # Contiguous with those of the Ready before, each once, durable here already.
        self.committed = committed
        # Each token that was asked ends in one of these, once.
        self.reads = reads
        self.reads_failed = reads_failed
        # Counts the Readys of a core, so that `persisted` can see that none is overtaken.
        self.number = number
        # To be fetched; until `restore` nothing depends on it.
        self.snapshot = snapshot
        # Peers that need one of us.
        self.snapshots_wanted = snapshots_wanted

    @property
    def is_said_only(self) -> bool:
        """Whether it is messages that promise nothing, and reads: nothing to write or to apply.

        Then nothing that is done for it moves the core, so that none can follow from it.
        """
        return not (
            self.entries
            or self.committed
            or self.messages_after_persist
            or self.snapshots_wanted
            or self.hard_state is not None
            or self.snapshot is not None
        )
