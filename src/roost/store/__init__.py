"""Ordered trees: layers in memory over LMDB, transactions, write sets, the keeper."""

from roost.store.catalog import Tree
from roost.store.errors import (
    BadTreeName,
    MalformedWriteSet,
    StoreBroken,
    StoreError,
    StoreForeign,
    UnknownTree,
    ValueCorrupt,
)
from roost.store.keeper import InlineKeeper, Keeper, ProcessKeeper
from roost.store.store import Store, StoreConfig, StoreStatistics
from roost.store.txn import Txn
from roost.store.view import View
from roost.store.write_set import Changes, Write

__all__ = [
    "BadTreeName",
    "Changes",
    "InlineKeeper",
    "Keeper",
    "MalformedWriteSet",
    "ProcessKeeper",
    "Store",
    "StoreBroken",
    "StoreConfig",
    "StoreError",
    "StoreForeign",
    "StoreStatistics",
    "Tree",
    "Txn",
    "UnknownTree",
    "ValueCorrupt",
    "View",
    "Write",
]
