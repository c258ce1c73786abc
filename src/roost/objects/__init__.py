"""Replicated objects: what `db.objects` makes; `roost.objects.aio` has the same for asyncio."""

from roost.objects.blocking import (
    Barrier,
    Counter,
    Database,
    Deque,
    Dict,
    Leader,
    List,
    Lock,
    Objects,
    PriorityQueue,
    Register,
    Semaphore,
    Set,
)
from roost.objects.errors import (
    AlreadyHeld,
    BarrierBroken,
    LeaseLost,
    NotHeld,
    QueueEmpty,
    QueueFull,
    WaitedTooLong,
)
from roost.objects.shapes import Leading, Taken, Versioned

__all__ = [
    "AlreadyHeld",
    "Barrier",
    "BarrierBroken",
    "Counter",
    "Database",
    "Deque",
    "Dict",
    "Leader",
    "Leading",
    "LeaseLost",
    "List",
    "Lock",
    "NotHeld",
    "Objects",
    "PriorityQueue",
    "QueueEmpty",
    "QueueFull",
    "Register",
    "Semaphore",
    "Set",
    "Taken",
    "Versioned",
    "WaitedTooLong",
]
