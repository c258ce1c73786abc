"""The asyncio face of a database."""

from roost.database.aio.database import Attempt, Database, Local, Reads, View
from roost.database.aio.opening import open_database
from roost.database.aio.trees import MultiTree, Queue, ReadTree, Tree

__all__ = [
    "Attempt",
    "Database",
    "Local",
    "MultiTree",
    "Queue",
    "ReadTree",
    "Reads",
    "Tree",
    "View",
    "open_database",
]
