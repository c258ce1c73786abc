"""Whatever comes late, twice, over others, is deleted or thinned: sums and points are exact.

A model keeps each series as a dictionary, and as a time the horizon to which it was thinned: what
is before it is there for windows that have its whole quarter, and never as a point.  Beside it the
rows of all levels are held to their rule after each slice, blocks to their sizes, and reads to what
they may look at.
"""

import math
import random
from collections.abc import Iterator
from datetime import UTC
from itertools import pairwise
from struct import Struct

import numpy as np
import pytest

from roost.series import (
    blocks,
    content,
    draft,
    head,
    levels,
    records,
    registry,
    sealing,
    slicing,
    staging,
    tables,
)
from roost.series.blocks import Block
from roost.series.content import Content
from roost.series.effects import Deletion, Thinning, widened
from roost.series.levels import POINTS, QUARTER_NS, ROLLUPS, Level
from roost.series.names import Info
from roost.series.summaries import COUNT, FIRST, LAST, LEAST, MOST, SUM, deviations, means
from roost.series.tables import TIME_MIN, TIME_STOP, Ranges
from roost.series.windows import Calendar, Fixed, Unit, Window, edges, zone
from tests.series.memory_trees import Member, now

MINUTE = 60 * 10**9
DAY = 24 * 60 * MINUTE
# Behind a change of clocks in Europe, and over the end of a partition.
BEGIN = 1_711_756_800 * 10**9
ZONES = ("UTC", "Europe/Prague", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few points are many: blocks are full, generations frozen and slices cut."""
    monkeypatch.setattr(blocks, "BYTES_MAX", 400)
    monkeypatch.setattr(blocks, "FULL_BYTES", 250)
    monkeypatch.setattr(blocks, "ROWS_MAX", 32)
    monkeypatch.setattr(blocks, "FULL_ROWS", 20)
    monkeypatch.setattr(blocks, "STATISTICS_MIN", 8)
    monkeypatch.setattr(sealing, "BYTES_MAX", 400)
    monkeypatch.setattr(sealing, "SMALL_MAX", 4)
    monkeypatch.setattr(sealing, "ROW_NUMBERS_MIN", 4)
    monkeypatch.setattr(sealing, "ROWS_POINTS", 30)
    monkeypatch.setattr(sealing, "STEP_DAYS", 1)
    monkeypatch.setattr(slicing, "STEP_POINTS", 24)
    monkeypatch.setattr(slicing, "SLICE_POINTS", 40)
    monkeypatch.setattr(slicing, "STEP_PARTITIONS", 2)
    monkeypatch.setattr(levels, "PARTITION_BITS", 47)
    monkeypatch.setattr(levels, "_FIRST_PARTITION", -(1 << 16))
    monkeypatch.setattr(slicing, "PARTITION_BITS", 47)
    monkeypatch.setattr(levels, "KEY", Struct(">IIQ"))
    monkeypatch.setattr(head, "GENERATION_RECORDS_MAX", 6)
    monkeypatch.setattr(content, "GAP_BUCKETS", 8)


class Story:
    """Series beside their models, and chance."""

    def __init__(self, seed: int, *, thins: bool) -> None:
        self.dice = random.Random(seed)
        self.thins = thins
        self.member = Member()
        infos = [Info("a"), Info("b", keeps_highest=True), Info("c")]
        self.infos = dict(zip(self.member.run(registry.declare, infos).sids, infos, strict=True))
        self.models: dict[int, dict[int, float]] = {sid: {} for sid in self.infos}
        self.newest = dict.fromkeys(self.infos, BEGIN)
        self.horizons = dict.fromkeys(self.infos, TIME_MIN)
        self.slice_count = 0

    def value(self) -> float:
        dice = self.dice
        if dice.random() < 0.03:
            return dice.choice([math.nan, -0.0, 0.0])
        return round(1e6 + dice.gauss(0, 5), 2)

    def time(self, sid: int) -> int:
        """Mostly behind all others, at times late or one that there is already."""
        dice, model = self.dice, self.models[sid]
        chance = dice.random()
        if chance < 0.12 and model:
            return dice.choice(list(model))
        if chance < 0.25:
            return dice.randrange(BEGIN - DAY, self.newest[sid] + 1)
        step = 3 * MINUTE if dice.random() < 0.98 else dice.randrange(1, 2 * DAY)
        self.newest[sid] += step
        return self.newest[sid]

    async def append(self) -> None:
        rows = []
        for _ in range(self.dice.randint(1, 60)):
            sid = self.dice.choice(list(self.infos))
            rows.append((sid, self.time(sid), self.value()))
        sids, times, values = (list(it) for it in zip(*rows, strict=True))
        batch = records.batch(np.array(sids), np.array(times), np.array(values))
        await self.stage(staging.append, 0, records.encode_batch(batch))
        for sid, time, value in rows:
            if time < self.horizons[sid]:
                continue
            held = self.models[sid].get(time)
            if held is not None and self.infos[sid].keeps_highest and not _is_higher(value, held):
                continue
            self.models[sid][time] = value

    async def stage(self, operation: object, *given: object) -> None:
        while self.member.run(head.read_head).is_full:
            if not await self.slice():
                break
        self.member.run(operation, *given)  # type: ignore[arg-type]  # one of two operations

    async def delete(self) -> None:
        dice = self.dice
        sid = dice.choice(list(self.infos))
        start = dice.randrange(BEGIN - DAY, self.newest[sid] + 1)
        stop = start + dice.choice([1, 5 * MINUTE, 60 * MINUTE, 3 * DAY])
        if dice.random() < 0.1:
            start, stop = TIME_MIN, TIME_STOP
        await self.stage(registry.delete_points, [sid], start, stop)
        model = self.models[sid]
        start, stop = widened(Deletion(sid, start, stop), self.horizons[sid])
        for time in [it for it in model if start <= it < stop]:
            del model[time]

    async def thin(self) -> None:
        sid = self.dice.choice(list(self.infos))
        horizon = self.dice.randrange(BEGIN - DAY, self.newest[sid] + DAY) // DAY * DAY
        await self.stage(registry.thin, [Thinning(sid, horizon)])
        self.horizons[sid] = max(self.horizons[sid], horizon)

    async def slice(self) -> bool:
        if await self.member.slice() is None:
            return False
        self.slice_count += 1
        if self.slice_count % 4 == 0:
            await self.check_rows()
        return True

    async def step(self) -> None:
        chance = self.dice.random()
        if chance < 0.5:
            await self.append()
        elif chance < 0.6:
            await self.delete()
        elif chance < 0.64 and self.thins:
            await self.thin()
        elif chance < 0.68:
            self.member.run(staging.freeze)
        elif chance < 0.85:
            await self.slice()
        else:
            await self.check_windows()

    async def contents(self) -> Iterator[Content]:
        reading = await self.member.reading()
        found = [await reading.content(sid) for sid in self.infos]
        assert all(found)
        return iter([it for it in found if it is not None])

    async def check_windows(self) -> None:
        dice = self.dice
        windows: list[Window] = [
            Fixed(MINUTE * dice.choice([7, 15, 60, 240])), Fixed(DAY),
            Calendar(Unit.DAY), Calendar(Unit.WEEK), Calendar(Unit.MONTH),
        ]  # fmt: skip
        window = dice.choice(windows)
        name = dice.choice(ZONES)
        for sid, found in zip(self.infos, await self.contents(), strict=True):
            stop = self.newest[sid] + dice.randrange(1, DAY)
            start = dice.randrange(BEGIN - 2 * DAY, stop)
            if isinstance(window, Fixed):
                start = max(start, stop - 1000 * window.width_ns)
            bounds = edges(window, start, stop, UTC if name == "UTC" else zone(name))
            rows = await found.summed(Ranges(bounds[:-1], bounds[1:]))
            horizon = self.horizons[sid]
            _compare(rows, bounds, self.models[sid], horizon)
            held = [it async for it in found.points(start, stop)]
            begin = max(start, horizon)
            wanted = {it: v for it, v in self.models[sid].items() if begin <= it < stop}
            _compare_points(held, wanted)

    async def check_marks(self) -> None:
        """All is sealed: nothing stays staged, and each series has gone on to its newest point."""
        assert not self.member.memory.rows[head.STAGED_TREE]
        for sid, model in self.models.items():
            state = await self.member.trees.read_state(sid)
            assert state.last >= max(model, default=TIME_MIN)
            assert state.first <= min(model, default=TIME_STOP)
            assert state.horizon == self.horizons[sid]
            assert state.pending < sealing.ROWS_POINTS
            assert state.summed // QUARTER_NS <= state.last // QUARTER_NS

    async def check_rows(self, *, is_sealed: bool = False) -> None:
        """Each bucket before `summed` of what is in blocks has an exact row, or few numbers.

        Where points are gone it is known of what, when all is sealed; and each quarter has one.
        """
        drafts = self.member.trees.drafts(draft.spend_nothing)
        for sid in self.infos:
            state = await self.member.trees.read_state(sid)
            held = Content(drafts, sid, state)
            points = await _blocks(held, POINTS)
            _check_sizes(points)
            times = np.concatenate([it.times for it in points] or [np.empty(0, np.int64)])
            values = np.concatenate([it.values for it in points] or [np.empty(0)])
            assert not len(times) or state.first <= times[0]
            assert not len(times) or times[-1] <= state.last
            model = dict(zip(times.tolist(), values.tolist(), strict=True))
            assert min(model, default=TIME_STOP) >= state.horizon
            if is_sealed:
                assert sorted(model) == sorted(it for it in self.models[sid] if it >= state.horizon)
                model = self.models[sid]
            for level in ROLLUPS:
                width = level.width_ns
                rows = tables.joined(await _blocks(held, level), 7)
                assert (rows.times[1:] > rows.times[:-1]).all()
                if not is_sealed:
                    rows = rows.at(rows.times >= state.horizon)
                buckets: dict[int, list[float]] = {}
                for time, value in sorted(model.items()):
                    is_thin = width == QUARTER_NS and time < state.horizon
                    is_closed = time // width < state.summed // width
                    if not math.isnan(value) and (is_closed or is_thin):
                        buckets.setdefault(time // width * width, []).append(value)
                kept = {
                    it: held
                    for it, held in buckets.items()
                    if len(held) >= 4 or (width == QUARTER_NS and it < state.horizon)
                }
                assert rows.times.tolist() == sorted(kept)
                assert rows.columns[COUNT].tolist() == [len(kept[it]) for it in sorted(kept)]
                sums = [math.fsum(kept[it]) for it in sorted(kept)]
                assert np.allclose(rows.columns[SUM], sums, rtol=1e-12)


def _is_higher(value: float, held: float) -> bool:
    """In doubt the later one, which is the same then."""
    if math.isnan(value) or math.isnan(held):
        return math.isnan(held)
    return (value, math.copysign(1, value)) >= (held, math.copysign(1, held))


async def _blocks(held: Content, level: Level) -> list[tables.Table]:
    chain = held.chain(level)
    # Of partitions before and behind there are too many to look at.
    start, stop = BEGIN - 2 * DAY, BEGIN + 400 * DAY
    found: list[Block] = [it async for it in chain.span(start, stop)]
    assert all(before.last < it.first for before, it in pairwise(found))
    assert all(len(it.body) <= blocks.BYTES_MAX or it.row_count == 1 for it in found)
    return [chain.decode(it) for it in found]


def _check_sizes(held: list[tables.Table]) -> None:
    """Blocks are merged: those that are small do not become many."""
    count = sum(map(len, held))
    assert len(held) <= 12 + count / 5 + 3


def _compare(rows: tables.Table, bounds: np.ndarray, model: dict[int, float], horizon: int) -> None:
    wanted: dict[int, list[float]] = {}
    for time in sorted(model):
        place = int(np.searchsorted(bounds, time, side="right")) - 1
        if time < horizon:
            quarter = time // QUARTER_NS * QUARTER_NS
            ends = np.searchsorted(bounds, (quarter, quarter + QUARTER_NS - 1), side="right")
            if ends[0] != ends[1]:
                continue
        if 0 <= place < len(bounds) - 1 and not math.isnan(model[time]):
            wanted.setdefault(place, []).append(model[time])
    held = rows.columns
    assert rows.times.tolist() == sorted(wanted)
    assert held[COUNT].tolist() == [len(wanted[it]) for it in sorted(wanted)]
    for column, brute in ((LEAST, min), (MOST, max)):
        assert held[column].tolist() == [brute(wanted[it]) for it in sorted(wanted)]
    assert held[FIRST].tolist() == [wanted[it][0] for it in sorted(wanted)]
    assert held[LAST].tolist() == [wanted[it][-1] for it in sorted(wanted)]
    sums = np.array([math.fsum(wanted[it]) for it in sorted(wanted)])
    assert np.allclose(held[SUM], sums, rtol=1e-12)
    assert np.allclose(means(rows), sums / held[COUNT], rtol=1e-12)
    brute_deviations = [float(np.std(wanted[it])) for it in sorted(wanted)]
    assert np.allclose(deviations(rows), brute_deviations, rtol=1e-9, atol=1e-9)


def _compare_points(held: list[tables.Table], wanted: dict[int, float]) -> None:
    times = [time for it in held for time in it.times.tolist()]
    assert times == sorted(wanted)
    values = np.concatenate([it.values for it in held] or [np.empty(0)])
    assert values.tobytes() == np.array([wanted[it] for it in times], np.float64).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(7))
def test_windows_and_points_are_those_of_brute_force(seed: int) -> None:
    async def told() -> None:
        story = Story(seed, thins=seed >= 3)
        for _ in range(100):
            await story.step()
        await story.check_windows()
        await story.member.seal()
        await story.check_rows(is_sealed=True)
        await story.check_marks()
        await story.check_windows()

    now(told())
