"""Counters of a member in this process, for asyncio: `db.counters` of `roost.aio.open`."""

from roost.counters.aio.counters import Batch, Counters
from roost.counters.aio.later import Later

__all__ = ["Batch", "Counters", "Later"]
