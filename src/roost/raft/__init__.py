"""The consensus core: Raft without clock, chance or device."""

from roost.raft import codec
from roost.raft.core import Core, CoreConfig, Dice, ReadReady, Ready
from roost.raft.errors import (
    BadCoreConfig,
    CorruptState,
    DropReason,
    LogLost,
    MalformedMessage,
    ProposalDropped,
)
from roost.raft.log import Storage
from roost.raft.messages import Message
from roost.raft.progress import ProgressState, ProgressStatistics
from roost.raft.types import Configuration, Entry, EntryKind, HardState, Role

__all__ = [
    "BadCoreConfig",
    "Configuration",
    "Core",
    "CoreConfig",
    "CorruptState",
    "Dice",
    "DropReason",
    "Entry",
    "EntryKind",
    "HardState",
    "LogLost",
    "MalformedMessage",
    "Message",
    "ProgressState",
    "ProgressStatistics",
    "ProposalDropped",
    "ReadReady",
    "Ready",
    "Role",
    "Storage",
    "codec",
]
