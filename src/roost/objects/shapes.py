"""What objects answer with, where it is more than a value."""

from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Taken(Generic[V]):
    """All values of a sequence, and the version of which they are."""

    values: list[V]
    version: int


@dataclass(frozen=True, slots=True)
class Versioned(Generic[V]):
    """A value, None when there is none, and its version."""

    value: V | None
    version: int


@dataclass(frozen=True, slots=True)
class Leading:
    """Who leads: what it says of itself, and its fencing token."""

    value: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCounts:
    """One machine on this member, for metrics; `lag_commands` are known, and not carried out."""

    applied_index: int
    lag_commands: int
    is_stopped: bool
    snapshot_index: int
    snapshot_bytes: int
    snapshot_has_failed: bool
    slow_command_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineStatus:
    """One machine on this member.

    `applied_index` is the command that this copy has carried out last, `last_index` the newest that
    is known here.  Commands up to `snapshot_index` are in the snapshot.  `stopped` says why the
    copy has stopped, `snapshot_failure` why there was no snapshot when there should have been; ""
    = that is not so.  `slow_command_count` held the member up for longer than `Limits.hold_s`.
    """

    name: str
    applied_index: int
    last_index: int
    snapshot_index: int
    snapshot_bytes: int
    stopped: str
    snapshot_failure: str
    slow_command_count: int
