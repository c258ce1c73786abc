"""Questions against brute force: windows, fills and groups of points in blocks and staged."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, tzinfo
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.series import content as content_module
from roost.series import queries, selecting
from roost.series import reading as reading_module
from roost.series.content import STEP_RANGES, STEP_ROWS, Content
from roost.series.draft import spend_nothing
from roost.series.effects import Effects, Thinning
from roost.series.engine import TURN_ROWS
from roost.series.errors import BadWindow
from roost.series.extra import np
from roost.series.generations import RECORD_ROWS
from roost.series.names import Info, Tag
from roost.series.queries import (
    AGGREGATES,
    AGGREGATES_MAX,
    PAGE_ROWS,
    Fill,
    Part,
    Query,
    check,
    collected,
    run,
)
from roost.series.reading import CONTENT_ROWS, NAME_ROWS, Reading, open_reading
from roost.series.records import batch, encode_batch
from roost.series.registry import declare, delete_points, thin
from roost.series.slicing import SERIES_ROWS, Slicing
from roost.series.staging import append, freeze
from roost.series.tables import Ranges
from roost.series.trees import Trees
from roost.series.windows import Calendar, Fixed, Unit, Window, edges
from roost.testing.patience import PATIENCE_S
from tests.series.memory_trees import Member, here

T = TypeVar("T")
SECOND, HOUR = 10**9, 3600 * 10**9
BEGIN = 1_711_800_000 * SECOND  # the night of 2024-03-30, in which clocks go forward in Europe
ALL = (*AGGREGATES, "median", "p90")


class Asked:
    """What `run` asks of an engine, of a member without a cluster."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.reading_count = self.aside_count = 0

    def reading(self) -> "Asked":
        return self

    async def __aenter__(self) -> Any:
        self.reading_count += 1
        return await self.member.reading()

    async def __aexit__(self, *exc: object) -> None:
        """Nothing is held."""

    async def aside(self, work: Callable[[], T]) -> T:
        self.aside_count += 1
        return work()


def ask(member: Member, query: Query) -> list[Part]:
    return asyncio.run(collected(run(Asked(member), query)))  # type: ignore[arg-type]  # a fake


Points = dict[int, float]


def filled(tables: Sequence[Points], *, sealed: float, labels: Sequence[str] = "xy") -> Member:
    """A member with series `s{k=...}`, of which a part is sealed."""
    member = Member()
    infos = [Info("s", [Tag("k", labels[it % 2]), Tag("n", str(it))]) for it in range(len(tables))]
    told = member.run(declare, infos)
    rows = [(sid, time, value) for sid, table in zip(told.sids, tables, strict=True)
            for time, value in table.items()]  # fmt: skip
    cut = int(len(rows) * sealed)
    for part, is_sealed in ((rows[:cut], True), (rows[cut:], False)):
        if part:
            sids, times, values = zip(*part, strict=True)
            record = batch(np.array(sids), np.array(times), np.array(values, np.float64))
            member.run(append, told.epoch, encode_batch(record))
        if is_sealed:
            asyncio.run(member.seal())
    return member


def expected(points: Points, start: int, stop: int, window: Window, tz: tzinfo) -> dict[int, Any]:
    """By each window's beginning, its numbers in the order of time."""
    bounds = edges(window, start, stop, tz).tolist()
    found: dict[int, list[float]] = {}
    for time in sorted(points):
        if start <= time < stop and not np.isnan(points[time]):
            place = int(np.searchsorted(bounds, time, side="right")) - 1
            found.setdefault(bounds[place], []).append(points[time])
    return found


def summed(values: list[float]) -> list[float]:
    held = np.array(values)
    return [
        len(held), held.sum(), held.mean(), held.min(), held.max(), held.max() - held.min(),
        held.std(), held[0], held[-1], np.median(held), np.percentile(held, 90),
    ]  # fmt: skip


tables = st.dictionaries(
    st.integers(0, 400).map(lambda it: BEGIN + it * 600 * SECOND),
    st.one_of(st.integers(-1000, 1000).map(float), st.just(float("nan"))),
    max_size=120,
)
windows = st.sampled_from(
    [Fixed(HOUR), Fixed(7 * 60 * SECOND), Fixed(86_400 * SECOND), Calendar(Unit.DAY),
     Calendar(Unit.WEEK), Calendar(Unit.MONTH)]
)  # fmt: skip
zones = st.sampled_from([UTC, ZoneInfo("Europe/Prague"), ZoneInfo("Asia/Kathmandu")])
cuts = st.integers(-10, 410).map(lambda it: BEGIN + it * 600 * SECOND)


@given(tables, st.floats(0, 1), windows, zones, cuts, cuts)
def test_windows_are_what_brute_force_says(
    points: Points, sealed: float, window: Window, tz: tzinfo, first: int, second: int
) -> None:
    start, stop = min(first, second), max(first, second) + 1
    (part,) = ask(
        filled([points], sealed=sealed),
        Query(names=("s",), start=start, stop=stop, window=window, tz=tz, aggregates=ALL),
    )
    wanted = expected(points, start, stop, window, tz)
    assert part.times.tolist() == sorted(wanted)
    for place, begin in enumerate(sorted(wanted)):
        assert np.allclose(part.values[:, place], summed(wanted[begin]), atol=1e-9)


def went_up(points: Points, start: int, stop: int, window: Window) -> dict[int, float]:
    """By each window that has numbers, by how much a counter has gone up in it."""
    bounds = edges(window, start, stop, UTC).tolist()
    found: dict[int, float] = {}
    last: float | None = None
    for time in sorted(points):
        value = points[time]
        if np.isnan(value) or time >= stop:
            continue
        if time >= start:
            step = 0.0 if last is None else value - last if value >= last else value
            begin = bounds[int(np.searchsorted(bounds, time, side="right")) - 1]
            found[begin] = found.get(begin, 0.0) + step
        last = value
    return found


@settings(max_examples=40)
@given(st.lists(tables, min_size=1, max_size=2), st.floats(0, 1), windows, cuts, cuts)
def test_counters_go_up_by_what_brute_force_says(
    given_tables: list[Points], sealed: float, window: Window, first: int, second: int
) -> None:
    start, stop = min(first, second), max(first, second) + 1
    query = Query(names=("s",), start=start, stop=stop, window=window, group="none",
                  aggregates=("increase", "rate", "count"))  # fmt: skip
    (part,) = ask(filled(given_tables, sealed=sealed), query)
    wanted: dict[int, float] = {}
    for points in given_tables:
        for begin, step in went_up(points, start, stop, window).items():
            wanted[begin] = wanted.get(begin, 0.0) + step
    assert part.times.tolist() == sorted(wanted)
    bounds = edges(window, start, stop, UTC)
    for place, begin in enumerate(sorted(wanted)):
        end = int(bounds[np.searchsorted(bounds, begin) + 1])
        seconds = (min(end, stop) - max(begin, start)) / 1e9
        rates = [wanted[begin], wanted[begin] / seconds]
        assert np.allclose(part.values[:2, place], rates, atol=1e-9)


def test_what_is_made_of_points_is_not_known_where_they_are_gone() -> None:
    day = 86_400 * SECOND
    begin = BEGIN // day * day
    member = filled([{begin + it * HOUR: float(it) for it in range(72)}], sealed=1)
    member.run(thin, [Thinning(1, begin + 2 * day)])
    for _ in range(2):
        (part,) = ask(member, Query(
            names=("s",), start=begin, stop=begin + 3 * day, window=Fixed(day),
            aggregates=("count", "increase", "p50", "last"),
        ))  # fmt: skip
        assert part.values[0].tolist() == [24, 24, 24]
        assert np.isnan(part.values[1:3, :2]).all()
        # Of the first number that is left nothing is known.
        assert part.values[1:, 2].tolist() == [23.0, 59.5, 71.0]
        asyncio.run(member.seal())


@given(st.lists(tables, min_size=2, max_size=4), st.floats(0, 1), windows)
def test_series_that_are_merged_are_as_one(
    given_tables: list[Points], sealed: float, window: Window
) -> None:
    stop = BEGIN + 500 * 600 * SECOND
    parts = ask(
        filled(given_tables, sealed=sealed),
        Query(names=("s",), start=BEGIN, stop=stop, window=window, group="k",
              aggregates=("count", "sum", "min", "max", "stddev", "p90")),
    )  # fmt: skip
    assert [it.labels for it in parts] == [[Tag("k", "x")], [Tag("k", "y")]]
    for part, those in zip(parts, (given_tables[::2], given_tables[1::2]), strict=True):
        found: dict[int, list[float]] = {}
        for points in those:
            for begin, values in expected(points, BEGIN, stop, window, UTC).items():
                found.setdefault(begin, []).extend(values)
        assert part.times.tolist() == sorted(found)
        for place, begin in enumerate(sorted(found)):
            count, total, _, least, most, _, deviation, *_, p90 = summed(found[begin])
            assert np.allclose(
                part.values[:, place], [count, total, least, most, deviation, p90], atol=1e-9
            )


@given(tables, st.floats(0, 1), st.sampled_from(["kept", "deleted"]), cuts, cuts)
def test_points_are_those_of_the_range(
    points: Points, sealed: float, how: str, first: int, second: int
) -> None:
    start, stop = min(first, second), max(first, second) + 1
    member = filled([points], sealed=sealed)
    held = dict(points)
    if how == "deleted":
        member.run(delete_points, [1], start, stop)
        held = {time: value for time, value in points.items() if not start <= time < stop}
    (part,) = ask(member, Query(names=("s",), start=BEGIN - HOUR, stop=stop + HOUR))
    wanted = {time: held[time] for time in sorted(held) if BEGIN - HOUR <= time < stop + HOUR}
    assert part.times.tolist() == list(wanted)
    assert np.array_equal(part.values[0], np.array(list(wanted.values())), equal_nan=True)


def test_many_points_come_in_pages_each_of_one_state() -> None:
    count = PAGE_ROWS + 1000
    member = filled([{BEGIN + it * SECOND: float(it) for it in range(16_000)}], sealed=1)
    member2 = member.run(declare, [Info("s", [Tag("k", "x"), Tag("n", "0")])])
    times = np.arange(16_000, count, dtype=np.int64) * SECOND + BEGIN
    record = batch(np.ones(len(times), np.int64), times, np.arange(16_000, count, dtype=np.float64))
    member.run(append, member2.epoch, encode_batch(record))
    asked = Asked(member)
    query = Query(names=("s",), start=BEGIN, stop=BEGIN + count * SECOND)
    (part,) = asyncio.run(collected(run(asked, query)))  # type: ignore[arg-type]  # a fake
    assert part.values[0].tolist() == list(range(count))
    assert asked.reading_count >= 3


def test_gaps_are_filled_as_asked() -> None:
    points = {BEGIN: 1.0, BEGIN + HOUR: 3.0, BEGIN + 4 * HOUR: 6.0}
    member = filled([points], sealed=0.5)

    def rows(fill: Fill) -> list[list[float | None]]:
        (part,) = ask(
            member,
            Query(names=("s",), start=BEGIN - HOUR, stop=BEGIN + 6 * HOUR, window=Fixed(HOUR),
                  aggregates=("mean", "count"), fill=fill),
        )  # fmt: skip
        return [[None if np.isnan(it) else it for it in row] for row in part.values.tolist()]

    none = None
    counts = [0, 1, 1, 0, 0, 1, 0]
    assert rows(Fill.NONE) == [[1, 3, 6], [1, 1, 1]]
    assert rows(Fill.NULL) == [[none, 1, 3, none, none, 6, none], counts]
    assert rows(Fill.PREVIOUS) == [[none, 1, 3, 3, 3, 6, 6], counts]
    assert rows(Fill.LINEAR) == [[none, 1, 3, 4, 5, 6, none], counts]


def test_series_are_chosen_by_names_labels_and_tags() -> None:
    member = filled([{BEGIN: 1.0}, {BEGIN: 2.0}, {BEGIN: 3.0}], sealed=0)
    whole: dict[str, Any] = {"start": BEGIN, "stop": BEGIN + 1}

    def chosen(**given: Any) -> list[float]:
        return [it.values[0, 0] for it in ask(member, Query(**whole, **given))]

    assert chosen(names=("s",)) == [1, 3, 2], "by their labels"
    assert chosen(names=("s{k=x}",)) == [1, 3]
    assert chosen(names=("s{k=x,n=2}", "s{n=0}")) == [3, 1]
    assert chosen(tags=(Tag("k", "y"),)) == [2]
    assert chosen(names=("s",), tags=(Tag("k", "x"), Tag("n", "2"))) == [3]
    assert chosen(names=("other",)) == []
    assert chosen(tags=(Tag("k", "z"),)) == []


def test_of_many_series_of_a_name_those_with_a_label_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    member = Member()
    infos = [Info("s", [Tag("k", str(it % 2)), Tag("n", str(it))]) for it in range(600)]
    # What is a tag of one series is a label of another one.
    infos += [Info("s", [Tag("n", "x")], [Tag("n", "7")]), Info("other", [Tag("n", "7")])]
    epoch, sids = 0, list[int]()
    for begin in range(0, len(infos), 50):
        told = member.run(declare, infos[begin : begin + 50])
        epoch, sids = told.epoch, [*sids, *told.sids]
    record = batch(np.array(sids), np.full(len(sids), BEGIN), np.arange(len(sids), dtype=float))
    member.run(append, epoch, encode_batch(record))
    looked_at: list[int] = []
    read = Trees.read_info

    async def counted(trees: Trees, sid: int) -> Info | None:
        looked_at.append(sid)
        return await read(trees, sid)

    monkeypatch.setattr(Trees, "read_info", counted)

    def chosen(name: str) -> list[float]:
        query = Query(names=(name,), start=BEGIN, stop=BEGIN + 1)
        return [float(it.values[0, 0]) for it in ask(member, query)]

    assert chosen("s{n=7}") == [7]
    assert len(looked_at) < 10, "two for the label, and the one that is asked"
    in_order = sorted(range(1, 600, 2), key=str)
    assert chosen("s{k=1}") == in_order, "more than are looked at one by one"


@pytest.mark.parametrize(
    "given_query",
    [
        {"names": ("s",), "start": 1, "stop": 1},
        {"start": 0, "stop": 1},
        {"names": ("s",), "start": 0, "stop": 1, "aggregates": ("middle",)},
        {"names": ("s",), "start": 0, "stop": 1, "aggregates": ("p101",)},
        {"names": ("s",), "start": 0, "stop": 1, "group": "k"},
        {"names": ("s",), "start": 0, "stop": 1, "fill": Fill.NULL},
        {"names": ("s",), "start": 0, "stop": 1, "window": Fixed(1), "group": "k",
         "aggregates": ("first",)},
        {"names": ("s",), "start": 0, "stop": 10**18, "window": Fixed(1)},
        {"names": ("s",), "start": 0, "stop": 1, "aggregates": ("p5",) * (AGGREGATES_MAX + 1)},
    ],
)  # fmt: skip
def test_questions_without_an_answer_are_refused(given_query: dict[str, Any]) -> None:
    with pytest.raises(BadWindow):
        check(Query(**given_query))


def test_too_many_series_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "SERIES_MAX", 2)
    member = filled([{BEGIN: 1.0}, {BEGIN: 2.0}, {BEGIN: 3.0}], sealed=0)
    asked: list[dict[str, Any]] = [
        {"names": ("s",)},
        {"tags": (Tag("k", "x"),), "names": ("s", "s")},
    ]
    for given_query in asked:
        with pytest.raises(BadWindow):
            ask(member, Query(start=0, stop=1, **given_query))


@given(tables, st.floats(0, 1))
def test_the_last_point_is_the_last(points: Points, sealed: float) -> None:
    member = filled([points], sealed=sealed)

    async def last() -> tuple[list[int], list[float]]:
        content: Content | None = await (await member.reading()).content(1)
        assert content is not None
        table = await content.last_point()
        return table.times.tolist(), table.values.tolist()

    times, values = asyncio.run(last())
    assert times == sorted(points)[-1:]
    assert np.array_equal(values, [points[it] for it in times], equal_nan=True)


@pytest.mark.parametrize("sids", [[], [3], [3, 4, 5, 9], [1, 3, 5000], [4, 4000, 4001]])
def test_many_are_read_as_one_by_one(sids: list[int]) -> None:
    member = filled([{BEGIN: float(it)} for it in range(6)], sealed=0.5)
    trees = member.trees

    async def both() -> tuple[object, object]:
        single = [(await trees.read_info(it), await trees.read_state(it)) for it in sids]
        return single, await trees.read_many(sids)

    single, many = asyncio.run(both())
    assert many == single


async def costs(member: Member, work: Callable[[Reading], Awaitable[object]]) -> list[int]:
    """What some work spends, one time after the other."""
    spent: list[int] = []

    async def spend(rows: int) -> None:
        spent.append(rows)

    await work(await open_reading(member.trees, member.records, spend, here))
    return spent


def test_whatever_is_looked_for_costs_as_much_as_it_takes() -> None:
    """A list of 10,000 series was one step of 1.4 s, and 2,000 names of nothing 36 ms."""
    member = filled([{BEGIN: float(it)} for it in range(6)], sealed=0.5)
    for it in range(100):
        record = batch(np.array([1]), np.array([BEGIN + it]), np.array([1.0]))
        member.run(append, 0, encode_batch(record))

    async def content(reading: Reading) -> None:
        for sid in range(1, 7):
            assert await reading.content(sid) is not None

    async def nothing(reading: Reading) -> None:
        assert [it async for it in selecting.select(reading, ["none"] * 100, [])] == []

    async def windows(reading: Reading) -> None:
        found = await reading.content(1)
        assert found is not None
        starts = np.arange(40_000) * HOUR
        spent = len(await found.summed(Ranges(starts, starts + HOUR)))
        assert spent <= 2

    spent = asyncio.run(costs(member, content))
    assert sum(spent) >= 100 * RECORD_ROWS + 6 * (CONTENT_ROWS + 100 // 2)
    assert sum(asyncio.run(costs(member, nothing))) >= 100 * NAME_ROWS
    spent = asyncio.run(costs(member, windows))
    assert len([it for it in spent if it > STEP_ROWS]) >= 40_000 // STEP_RANGES
    assert max(spent) < 2 * TURN_ROWS


@pytest.mark.parametrize("aggregate", ["p90", "increase", "mean"])
def test_of_what_is_made_of_each_point_there_is_a_bound(
    aggregate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 2 million points percentiles were one step of 0.3 s, and all of them were kept."""
    member = filled([{BEGIN + it: float(it) for it in range(50)}] * 2, sealed=0.5, labels="xx")
    query = Query(names=("s",), start=BEGIN, stop=BEGIN + 100, window=Fixed(10), group="k",
                  aggregates=(aggregate,))  # fmt: skip
    whole = ask(member, query)
    monkeypatch.setattr(queries, "ASIDE_ROWS", 5)
    monkeypatch.setattr(queries, "KEPT_ROWS", 1)
    asked = Asked(member)
    found = asyncio.run(collected(run(asked, query)))  # type: ignore[arg-type]  # a fake
    assert asked.aside_count >= 2
    assert [it.values.tolist() for it in found] == [it.values.tolist() for it in whole]
    monkeypatch.setattr(queries, "READ_POINTS_MAX", 49)
    if aggregate == "mean":
        ask(member, query)
    else:
        with pytest.raises(BadWindow, match="shorter range"):
            ask(member, query)


def test_many_points_that_are_staged_are_put_in_order_on_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    member, asides = filled([{BEGIN + it: 1.0 for it in range(40)}], sealed=0), list[int]()

    async def aside(work: Callable[[], Effects]) -> Effects:
        asides.append(1)
        return work()

    async def story() -> int:
        reading = await open_reading(member.trees, member.records, spend_nothing, aside)
        content = await reading.content(1)
        assert content is not None
        monkeypatch.setattr(content_module, "PIECE_POINTS", 7)
        pieces = [len(it) async for it in content.points(BEGIN, BEGIN + HOUR)]
        assert max(pieces) == 7
        return sum(pieces)

    assert asyncio.run(story()) == 40
    assert asides == []
    monkeypatch.setattr(reading_module, "ASIDE_POINTS", 39)
    assert asyncio.run(story()) == 40
    assert asides == [1]


def test_who_is_slow_to_take_a_page_keeps_that_and_nothing_of_what_it_was_read_from() -> None:
    """Of half a million staged points each of a crowd that read nothing kept a copy, 8 MiB."""
    held: list[Any] = []

    class Noting(Asked):
        async def __aenter__(self) -> Any:
            reading = await super().__aenter__()
            held.append(weakref.ref(reading))
            return reading

    async def story() -> None:
        count = 3 * PAGE_ROWS
        member = Member()
        told = member.run(declare, [Info("s")])
        for begin in range(0, count, PAGE_ROWS):
            times = BEGIN + np.arange(begin, begin + PAGE_ROWS)
            record = batch(np.full(PAGE_ROWS, told.sids[0]), times, times.astype(float))
            member.run(append, told.epoch, encode_batch(record))
        query = Query(names=("s",), start=BEGIN, stop=BEGIN + HOUR)
        rows = 0
        async for page in run(Noting(member), query):  # type: ignore[arg-type]  # a fake
            rows += len(page[0].times)
            while any(it() is not None for it in held):  # iterators are closed in turns to come
                gc.collect()
                await asyncio.sleep(0)
            base = page[0].times.base
            assert base is None or len(base) <= 2 * PAGE_ROWS
        assert rows == count

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_a_series_counts_where_turns_are_counted() -> None:
    member = filled([{BEGIN: float(it)} for it in range(40)], sealed=0)
    member.run(freeze)
    spent = 0

    async def spend(rows: int) -> None:
        nonlocal spent
        spent += rows

    asyncio.run(Slicing(member.trees, member.records, here, spend).slice())
    assert spent >= 40 * SERIES_ROWS
