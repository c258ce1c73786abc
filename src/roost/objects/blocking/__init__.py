"""The asyncio face of replicated objects, and of a database that has them."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from roost.objects.blocking.barriers import Barrier
from roost.objects.blocking.database import Database
from roost.objects.blocking.deques import Deque
from roost.objects.blocking.dicts import Counter, Dict, Keyed
from roost.objects.blocking.handle import Handle
from roost.objects.blocking.lists import List
from roost.objects.blocking.locks import Leader, Lock, Semaphore, Turned
from roost.objects.blocking.machines import MachineHandle
from roost.objects.blocking.objects import Objects
from roost.objects.blocking.opening import open_database
from roost.objects.blocking.queues import PriorityQueue
from roost.objects.blocking.registers import Register
from roost.objects.blocking.sets import Set

__all__ = [
    "Barrier",
    "Counter",
    "Database",
    "Deque",
    "Dict",
    "Handle",
    "Keyed",
    "Leader",
    "List",
    "Lock",
    "MachineHandle",
    "Objects",
    "PriorityQueue",
    "Register",
    "Semaphore",
    "Set",
    "Turned",
    "open_database",
]
