"""Ordered trees: layers in memory over LMDB, transactions, write sets, the keeper."""

from roost.store.catalog import (
    CATALOG_ID,
    GUID_KEY,
    METADATA_ID,
    PARTS_ID,
    STORAGE_VERSION,
    Tree,
    check_name,
)
from roost.store.columns import (
    CONSTANT,
    COUNTER,
    ESCAPED_KEY,
    KEY,
    MEASURED_KEY,
    Column,
    Piece,
)
from roost.store.differences import Difference, Differences, Records
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
from roost.store.keeper import InlineKeeper, Keeper
from roost.store.keeper_process import ProcessKeeper
from roost.store.layer import Layer, TreeLayer
from roost.store.long_write import (
    LAYER_BYTES_MAX,
    Assembly,
    Long,
    LongChanges,
    Parts,
    Steps,
    close_layer,
    encode_effect,
    is_effect,
)
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
from roost.store.walk import Walk
from roost.store.write_set import DELETE_FROM, DELETE_RANGE, PUT, Changes, Write, encode_put

__all__ = [
    "BOOTSTRAP_INDEX",
    "BOOTSTRAP_TERM",
    "CATALOG_ID",
    "CONSTANT",
    "COUNTER",
    "DELETE_FROM",
    "DELETE_RANGE",
    "ESCAPED_KEY",
    "GUID_KEY",
    "KEY",
    "LAYER_BYTES_MAX",
    "MEASURED_KEY",
    "METADATA_ID",
    "PARTS_ID",
    "PUT",
    "STORAGE_VERSION",
    "Assembly",
    "BadTreeName",
    "Changes",
    "Column",
    "Difference",
    "Differences",
    "DiskFull",
    "HeldView",
    "HeldViewLost",
    "InlineKeeper",
    "Keeper",
    "Layer",
    "Long",
    "LongChanges",
    "MalformedWriteSet",
    "PageCorrupt",
    "Parts",
    "Piece",
    "ProcessKeeper",
    "Records",
    "ScrubReport",
    "SnapshotFile",
    "Steps",
    "Store",
    "StoreBroken",
    "StoreConfig",
    "StoreCorrupt",
    "StoreError",
    "StoreForeign",
    "StoreStatistics",
    "StoreSuspect",
    "Tree",
    "TreeLayer",
    "Txn",
    "UnknownTree",
    "ValueCorrupt",
    "View",
    "Walk",
    "Write",
    "check_name",
    "close_layer",
    "copy_base",
    "digest_of",
    "encode_effect",
    "encode_put",
    "is_effect",
    "read_applied",
    "read_applied_file",
    "read_metadata",
    "scrub",
]
