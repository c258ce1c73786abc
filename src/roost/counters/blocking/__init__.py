"""Counters of a member in this process, that blocks: `db.counters` of `roost.aio.open`."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from roost.counters.blocking.counters import Batch, Counters
from roost.counters.blocking.later import Later

__all__ = ["Batch", "Counters", "Later"]
