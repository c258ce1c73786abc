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


@dataclass(slots=True)
class Ready:
    """What the core asks of the world.  Fields are in the order to do them."""

    # To whom, and what; they may leave before anything of this Ready is durable.
    messages: list[tuple[int, Message]]
    # None = as in the Ready before.
    hard_state: HardState | None
    # Contiguous.  Where they begin at or below an earlier Ready's end, they replace what it wrote
    # from there on.
    entries: list[Entry]
    # In a field of their own, so that to send them too early takes an effort.
    messages_after_persist: list[tuple[int, Message]]
    # Contiguous with those of the Ready before, each once, durable here already.
    committed: tuple[Entry, ...]
    # Each token that was asked ends in one of these, once.
    reads: list[ReadReady]
    reads_failed: list[int]
    # Counts the Readys of a core, so that `persisted` can see that none is overtaken.
    number: int
    # To be fetched; until `restore` nothing depends on it.
    snapshot: Snapshot | None = None
    # Peers that need one of us.
    snapshots_wanted: Sequence[int] = ()

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
