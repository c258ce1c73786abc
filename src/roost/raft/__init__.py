"""The consensus core: Raft without clock, chance or device."""

from roost.raft import codec
from roost.raft.confchange import (
    Change,
    ChangeKind,
    Transition,
    decode_change,
    encode_change,
    encode_configuration,
)
from roost.raft.core import Core, CoreConfig, Dice, ReadReady, Ready
from roost.raft.errors import (
    BadCoreConfig,
    ChangeRefused,
    CorruptState,
    DropReason,
    LogLost,
    MalformedMessage,
    ProposalDropped,
    TransferRefused,
)
from roost.raft.log import Storage
from roost.raft.messages import Message
from roost.raft.progress import ProgressState, ProgressStatistics
from roost.raft.quorum import has_quorum
from roost.raft.types import Configuration, Entry, EntryKind, HardState, Role, Snapshot

__all__ = [
    "BadCoreConfig",
    "Change",
    "ChangeKind",
    "ChangeRefused",
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
    "Snapshot",
    "Storage",
    "TransferRefused",
    "Transition",
    "codec",
    "decode_change",
    "encode_change",
    "encode_configuration",
    "has_quorum",
]
