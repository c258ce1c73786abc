"""The asyncio face of replicated objects, and of a database that has them."""

from roost.objects.aio.barriers import Barrier
from roost.objects.aio.database import Database
from roost.objects.aio.deques import Deque
from roost.objects.aio.dicts import Counter, Dict, Keyed
from roost.objects.aio.handle import Handle
from roost.objects.aio.lists import List
from roost.objects.aio.locks import Leader, Lock, Semaphore, Turned
from roost.objects.aio.machines import MachineHandle
from roost.objects.aio.objects import Objects
from roost.objects.aio.opening import open_database
from roost.objects.aio.queues import PriorityQueue
from roost.objects.aio.registers import Register
from roost.objects.aio.sets import Set

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
