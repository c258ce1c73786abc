"""The asyncio face of a database."""

from roost.database.aio.database import Attempt, Database, Local, Reads, View
from roost.database.aio.derived import Derivable, DerivedTree
from roost.database.aio.observation import Events, Observable, Observation
from roost.database.aio.opening import open_database
from roost.database.aio.trees import MultiTree, Queue, ReadMultiTree, ReadTree, Tree

__all__ = [
    "Attempt",
    "Database",
    "Derivable",
    "DerivedTree",
    "Events",
    "Local",
    "MultiTree",
    "Observable",
    "Observation",
    "Queue",
    "ReadMultiTree",
    "ReadTree",
    "Reads",
    "Tree",
    "View",
    "open_database",
]
