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

    messages: list[tuple[int, Message]]
    hard_state: HardState | None
    entries: list[Entry]
    messages_after_persist: list[tuple[int, Message]]
    committed: tuple[Entry, ...]
    reads: list[ReadReady]
    reads_failed: list[int]
    # Counts the Readys of a core, so that `persisted` can see that none is overtaken.
    number: int
    snapshot: Snapshot | None = None
    snapshots_wanted: Sequence[int] = ()
