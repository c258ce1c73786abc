"""The asyncio face of a database."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from roost.database.blocking.database import Attempt, Database, Local, Reads, View
from roost.database.blocking.derived import Derivable, DerivedTree
from roost.database.blocking.observation import Events, Observable, Observation
from roost.database.blocking.opening import open_database
from roost.database.blocking.trees import MultiTree, Queue, ReadMultiTree, ReadTree, Tree

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
