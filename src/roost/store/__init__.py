"""Ordered trees: layers in memory over LMDB, transactions, write sets, the keeper."""

from roost.store.catalog import (
    CATALOG_ID,
    GUID_KEY,
    METADATA_ID,
    STORAGE_VERSION,
    Tree,
    check_name,
)
from roost.store.errors import (
    BadTreeName,
    DiskFull,
    HeldViewLost,
    MalformedWriteSet,
    PageCorrupt,
    StoreBroken,
    StoreCorrupt,
    StoreError,
    StoreForeign,
    StoreSuspect,
    UnknownTree,
    ValueCorrupt,
)
from roost.store.held import HeldView
from roost.store.keeper import InlineKeeper, Keeper, ProcessKeeper
from roost.store.scrub import ScrubReport, scrub
from roost.store.snapshot import (
    SnapshotFile,
    copy_base,
    digest_of,
    read_applied,
    read_applied_file,
    read_metadata,
)
from roost.store.store import (
    BOOTSTRAP_INDEX,
    BOOTSTRAP_TERM,
    Store,
    StoreConfig,
    StoreStatistics,
)
from roost.store.txn import Txn
from roost.store.view import View
from roost.store.write_set import DELETE_FROM, Changes, Write, encode_put

__all__ = [
    "BOOTSTRAP_INDEX",
    "BOOTSTRAP_TERM",
    "CATALOG_ID",
    "DELETE_FROM",
    "GUID_KEY",
    "METADATA_ID",
    "STORAGE_VERSION",
    "BadTreeName",
    "Changes",
    "DiskFull",
    "HeldView",
    "HeldViewLost",
    "InlineKeeper",
    "Keeper",
    "MalformedWriteSet",
    "PageCorrupt",
    "ProcessKeeper",
    "ScrubReport",
    "SnapshotFile",
    "Store",
    "StoreBroken",
    "StoreConfig",
    "StoreCorrupt",
    "StoreError",
    "StoreForeign",
    "StoreStatistics",
    "StoreSuspect",
    "Tree",
    "Txn",
    "UnknownTree",
    "ValueCorrupt",
    "View",
    "Write",
    "check_name",
    "copy_base",
    "digest_of",
    "encode_put",
    "read_applied",
    "read_applied_file",
    "read_metadata",
    "scrub",
]
