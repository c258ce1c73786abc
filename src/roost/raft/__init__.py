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
from roost.raft.config import CoreConfig, Dice
from roost.raft.core import Core
from roost.raft.errors import (
    BadCoreConfig,
    ChangeRefused,
    Contradiction,
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
from roost.raft.ready import ReadReady, Ready
from roost.raft.types import (
    COUNT_MAX,
    Configuration,
    Count,
    Entry,
    EntryKind,
    HardState,
    Id,
    Role,
    Snapshot,
)

__all__ = [
    "COUNT_MAX",
    "BadCoreConfig",
    "Change",
    "ChangeKind",
    "ChangeRefused",
    "Configuration",
    "Contradiction",
    "Core",
    "CoreConfig",
    "CorruptState",
    "Count",
    "Dice",
    "DropReason",
    "Entry",
    "EntryKind",
    "HardState",
    "Id",
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
