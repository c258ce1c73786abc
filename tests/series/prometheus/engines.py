"""What Prometheus' rooms ask of an engine, of a member without a cluster."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from roost.series.engine import Engine
from roost.series.extra import Ints, np
from roost.series.names import Info, Tag
from roost.series.prometheus import subqueries
from roost.series.prometheus.functions import Value
from roost.series.prometheus.loading import Budget
from roost.series.prometheus.parsing import parsed
from roost.series.prometheus.plan import Plan
from roost.series.records import batch, encode_batch
from roost.series.registry import declare
from roost.series.staging import append
from tests.series.memory_trees import Member
from tests.series.prometheus.model import Series

R = TypeVar("R")
SECOND, LOOKBACK = 10**9, 300 * 10**9


class FakeEngine:
    """Reads a member; `aside` is here and now."""

    def __init__(self, member: Member, now_ns: int = 0) -> None:
        self.member = member
        self.now = now_ns
        self.seconds = 0.0
        self.reading_count = 0

    @asynccontextmanager
    async def reading(self) -> Any:
        self.reading_count += 1
        yield await self.member.reading()

    async def aside(self, work: Callable[[], R]) -> R:
        return work()

    def clock_s(self) -> float:
        return self.seconds

    def now_ns(self) -> int:
        return self.now


def engine_of(series: Series, *, sealed: float = 0.5) -> Engine:
    """An engine with some series, of which a part is sealed."""
    member = Member()
    infos = [
        Info(dict(labels)["__name__"], [Tag(*it) for it in labels if it[0] != "__name__"])
        for labels in series
    ]
    told = member.run(declare, infos)
    rows = [(sid, *point) for sid, points in zip(told.sids, series.values(), strict=True)
            for point in points]  # fmt: skip
    cut = int(len(rows) * sealed)
    for part in (rows[:cut], rows[cut:]):
        if part:
            sids, times, values = zip(*part, strict=True)
            record = batch(np.array(sids), np.array(times), np.array(values, np.float64))
            member.run(append, told.epoch, encode_batch(record))
            if part is rows[:cut] or not sealed:
                asyncio.run(member.seal())
    return FakeEngine(member)  # type: ignore[return-value]  # as much of one as is asked for


def value_of(engine: Engine, plan: Plan, steps: Ints, timeout_s: float = 1e9) -> Value:
    """What a plan comes to."""
    budget = Budget(engine.clock_s, timeout_s)
    return asyncio.run(subqueries.value_of(plan, engine, steps, budget))


def ask(engine: Engine, text: str, steps: Sequence[int]) -> Value:
    """What a query comes to."""
    return value_of(engine, parsed(text, LOOKBACK), np.array(steps, np.int64))
