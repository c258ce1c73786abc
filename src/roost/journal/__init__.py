"""The durable log of one member: entries, hard state, identity."""

from roost.journal.batch import Batch, JournalConfig
from roost.journal.disk import Disk, OsDisk
from roost.journal.errors import (
    DirectoryLocked,
    EntryTooLarge,
    JournalBroken,
    JournalDamaged,
    JournalError,
    UnknownFormat,
    UnsafePermissions,
    WrongIdentity,
)
from roost.journal.identity import (
    Identity,
    is_in_use,
    load_identity,
    lock_directory,
    peek_identity,
    replace_identity,
)
from roost.journal.journal import Journal
from roost.journal.life import has_lived
from roost.journal.privacy import check_private, exposure_of
from roost.journal.record import PAYLOAD_BYTES_MAX
from roost.journal.twin import Twin, peek_record

__all__ = [
    "PAYLOAD_BYTES_MAX",
    "Batch",
    "DirectoryLocked",
    "Disk",
    "EntryTooLarge",
    "Identity",
    "Journal",
    "JournalBroken",
    "JournalConfig",
    "JournalDamaged",
    "JournalError",
    "OsDisk",
    "Twin",
    "UnknownFormat",
    "UnsafePermissions",
    "WrongIdentity",
    "check_private",
    "exposure_of",
    "has_lived",
    "is_in_use",
    "load_identity",
    "lock_directory",
    "peek_identity",
    "peek_record",
    "replace_identity",
]
