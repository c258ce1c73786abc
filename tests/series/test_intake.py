"""Points that come at the same time are one record; none is lost, doubled or told too early."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from roost.database import MemberLost, Refused
from roost.series import intake
from roost.series.engine import Engine
from roost.series.errors import BAD_SERIES, STAGING_FULL, BadPoints
from roost.series.extra import np
from roost.series.intake import Intake, Points
from roost.series.names import Info, Tag
from roost.series.queries import Query, collected, run
from roost.series.records import POINTS_MAX
from roost.sim.members.loop import until_idle
from roost.tasks import Tasks
from tests.database.databases import Databases, with_databases

pytestmark = pytest.mark.slow


def points(rows: Sequence[tuple[str, int, float]]) -> Points:
    """Points as somebody brings them."""
    names = sorted({name for name, _, _ in rows})
    return Points(
        [Info(it) for it in names],
        np.array([names.index(name) for name, _, _ in rows]),
        np.array([time for _, time, _ in rows], np.int64),
        np.array([value for _, _, value in rows], np.float64),
    )


async def held(engine: Engine, name: str) -> dict[int, float]:
    parts = await collected(run(engine, Query(names=(name,), start=-(1 << 60), stop=1 << 60)))
    return {
        time: value
        for part in parts
        for time, value in zip(part.times.tolist(), part.values[0].tolist(), strict=True)
    }


def test_whoever_waits_at_the_same_time_shares_a_record(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        engine = Engine(cluster.databases[0])
        for position in (1, 2):
            Engine(cluster.databases[position])
        taking = Intake(engine)
        await taking.add(points([("a", 0, 0.0), ("b", 0, 0.0)]))
        tasks = Tasks()
        adding = [
            tasks.start(taking.add(points([("ab"[it % 2], it, float(it))]))) for it in range(1, 100)
        ]
        numbers = await asyncio.gather(*adding)
        assert set(numbers) == {2}
        assert await held(engine, "a") == {it: float(it) for it in range(0, 100, 2)}
        assert len(await held(engine, "b")) == 51
        assert (taking.point_count, taking.record_count) == (101, 2)
        await taking.close()

    with_databases(tmp_path, story)


def test_many_points_are_several_records_in_their_order(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        engine = Engine(cluster.databases[0])
        taking = Intake(engine)
        count = POINTS_MAX + 10
        times = np.arange(count, dtype=np.int64)
        times[-1] = 0  # the last of all is over the first
        given = Points(
            [Info("a")], np.zeros(count, np.int64), times, np.arange(count, dtype=np.float64)
        )
        assert await taking.add(given) == 2
        assert (await held(engine, "a"))[0] == float(count - 1)
        nothing = Points([], np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        assert await taking.add(nothing) == 0
        await taking.close()

    with_databases(tmp_path, story, size=1)


def test_names_of_thousands_are_looked_up_over_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys of all series of a request were made in one step: a tenth of a second for all it may."""
    monkeypatch.setattr(intake, "NAMES_A_TURN", 50)

    async def story(cluster: Databases) -> None:
        engine = Engine(cluster.databases[0])
        taking = Intake(engine)
        given = points([(f"s{it:03}", it, float(it)) for it in range(500)])
        assert await taking.add(given) == 1
        looked_up: list[int] = []
        some_sids = taking._some_sids

        async def counted(series: Sequence[Info]) -> list[int]:
            looked_up.append(len(series))
            return await some_sids(series)

        monkeypatch.setattr(taking, "_some_sids", counted)
        assert await taking.add(given) == 2
        assert looked_up == [50] * 10
        # A series that is deleted amid it has its number looked up again.
        deleting = Tasks().start(engine.delete_series(b"s003"))
        assert await taking.add(given) > 2
        await deleting
        assert await taking.add(given) > 3
        assert await held(engine, "s003") == {3: 3.0}
        assert await held(engine, "s499") == {499: 499.0}
        await taking.close()

    with_databases(tmp_path, story, size=1)


def test_a_series_that_was_deleted_is_made_anew(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        engine = Engine(cluster.databases[0])
        taking = Intake(engine)
        await taking.add(points([("a", 1, 1.0), ("b", 1, 1.0)]))
        await engine.delete_series(b"a")
        await taking.add(points([("a", 2, 2.0), ("b", 2, 2.0)]))
        assert await held(engine, "a") == {2: 2.0}
        assert await held(engine, "b") == {1: 1.0, 2: 2.0}
        await taking.close()

    with_databases(tmp_path, story, size=1)


def test_what_is_refused_is_told_to_those_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "FULL_S", 1.0)

    async def story(cluster: Databases) -> None:
        engine = Engine(cluster.databases[0])
        taking = Intake(engine)
        one = points([("a", 1, 1.0)])
        disordered = Info("a", [Tag("z", "1"), Tag("b", "1")])
        bad = Points([disordered], one.places, one.times, one.values)
        with pytest.raises(Refused) as caught:
            await taking.add(bad)
        assert caught.value.code == BAD_SERIES
        with pytest.raises(BadPoints):
            await taking.add(points([("a", (1 << 63) - 1, 1.0)]))
        # One generation is frozen, and nobody seals it; the other one fills up.
        await taking.add(points([("a", 1, 1.0)]))
        await engine.freeze()
        full = 1 << 19
        chunk = np.arange(POINTS_MAX, dtype=np.int64)
        for _ in range(full // POINTS_MAX):
            await taking.add(Points([Info("a")], chunk * 0, chunk, chunk.astype(np.float64)))
        with pytest.raises(Refused) as caught:
            await taking.add(points([("a", 5, 5.5)]))
        assert caught.value.code == STAGING_FULL
        tasks = Tasks()
        late = tasks.start(taking.add(points([("a", 5, 5.5)])))
        while await engine.seal_slice():
            continue
        await late
        assert (await held(engine, "a"))[5] == 5.5
        await taking.close()

    with_databases(tmp_path, story, size=1)


def test_so_many_points_wait_and_whoever_has_more_waits_for_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "WAITING_POINTS_MAX", 10)

    async def story(cluster: Databases) -> None:
        engine = Engine(cluster.databases[0])
        taking = Intake(engine)
        tasks = Tasks()
        adding = [
            tasks.start(taking.add(points([("a", 10 * it + place, 1.0) for place in range(4)])))
            for it in range(20)
        ]
        most = 0
        while not all(it.done() for it in adding):
            await asyncio.sleep(0)
            most = max(most, sum(len(it.times) for it in taking._waiting))
        assert most <= 10
        assert len(await held(engine, "a")) == 80
        # More than all the room there is, is taken alone.
        await taking.add(points([("b", it, 1.0) for it in range(30)]))
        assert len(await held(engine, "b")) == 30
        await taking.close()

    with_databases(tmp_path, story, size=1)


def test_at_the_end_whoever_waits_is_told_that_nobody_knows(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        engine = Engine(cluster.databases[0])
        taking = Intake(engine)
        await taking.add(points([("a", 1, 1.0)]))
        tasks = Tasks()
        adding = tasks.start(taking.add(points([("a", 2, 1.0)])))
        await until_idle()
        if not adding.done():
            await taking.close()
            with pytest.raises(MemberLost):
                await adding

    with_databases(tmp_path, story, size=1)
