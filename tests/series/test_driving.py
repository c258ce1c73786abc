"""What a member does for time series by itself: whoever leads seals, and only what is due."""

import asyncio
from pathlib import Path

import pytest

from roost.errors import RoostError
from roost.series import driving
from roost.series.driving import EXPIRE_S, Driver
from roost.series.engine import Engine
from roost.series.intake import Intake
from roost.series.retention import Policy, of_series
from roost.sim.members.loop import pass_time
from roost.tasks import Tasks
from tests.database.databases import Databases, with_databases
from tests.series.test_intake import held, points

pytestmark = pytest.mark.slow
HOUR = 3600 * 10**9
FREEZE_S = 10.0  # here: three members take as long as they have heartbeats


def test_the_leader_freezes_and_seals_what_has_been_staged_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "FREEZE_S", FREEZE_S)

    async def story(cluster: Databases) -> None:
        engines = [Engine(it) for it in cluster.databases.values()]
        drivers = [Driver(it) for it in engines]
        tasks = Tasks()
        for it in drivers:
            tasks.start(it.run())
        taking = Intake(engines[0])
        await taking.add(points([("a", it, 1.0) for it in range(100)]))
        begun_s = engines[0].clock_s()
        while (await engines[0].head()).active.record_count:
            await pass_time(1.0)
        assert FREEZE_S <= engines[0].clock_s() - begun_s < FREEZE_S + 5
        while (await engines[0].head()).frozen is not None:
            await pass_time(1.0)
        assert [it.slice_count > 0 for it in drivers] == [it.is_leader for it in engines]
        assert len(await held(engines[1], "a")) == 100
        # Nothing is there any more: nothing is frozen.
        number = (await engines[0].head()).active.number
        await pass_time(2 * FREEZE_S)
        assert (await engines[0].head()).active.number == number
        await tasks.close()
        await taking.close()

    with_databases(tmp_path, story)


def test_another_leader_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        engines = {place: Engine(it) for place, it in cluster.databases.items()}
        leader = next(place for place, it in engines.items() if it.is_leader)
        taking = Intake(engines[leader])
        for begin in range(0, 40_000, 10_000):
            await taking.add(
                points([(f"s{it % 50}", it, 1.0) for it in range(begin, begin + 10_000)])
            )
        await engines[leader].freeze()
        assert await engines[leader].seal_slice()
        assert (await engines[leader].head()).mark.sid
        await cluster.crash(leader)
        del engines[leader]
        await cluster.leader()
        tasks = Tasks()
        for it in engines.values():
            tasks.start(Driver(it).run())
        left = next(iter(engines.values()))
        while (await left.head()).frozen is not None:
            await pass_time(1.0)
        assert len(await held(left, "s7")) == 800
        await tasks.close()

    with_databases(tmp_path, story)


def test_what_is_too_old_goes_by_itself(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        engine = Engine(cluster.databases[0])
        taking, tasks = Intake(engine), Tasks()
        now = engine.now_ns()
        await taking.add(points([("a", now - it * HOUR, 1.0) for it in range(100)]))
        await engine.freeze()
        while await engine.seal_slice():
            continue
        await engine.keep(of_series(b"a"), Policy(10 * HOUR))
        tasks.start(Driver(engine).run())
        while len(await held(engine, "a")) > 20:
            await pass_time(1.0)
        assert engine.now_ns() - now < 3 * EXPIRE_S * 10**9
        assert 9 <= len(await held(engine, "a")) <= 11
        await tasks.close()
        await taking.close()

    with_databases(tmp_path, story, size=1)


def test_what_fails_is_said_and_done_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(cluster: Databases) -> None:
        db = cluster.databases[0]
        engine = Engine(db)
        taking, tasks = Intake(engine), Tasks()
        await taking.add(points([("a", 1, 1.0)]))
        await engine.freeze()
        broken = Engine(db)
        calls = 0

        async def seal_slice() -> bool:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise RoostError("something is damaged")
            return await engine.seal_slice()

        broken.seal_slice = seal_slice  # type: ignore[method-assign]  # what is damaged at first
        tasks.start(Driver(broken).run())
        while (await engine.head()).frozen is not None:
            await pass_time(1.0)
        assert calls > 1
        assert "cannot be sealed" in caplog.text
        await tasks.close()
        await taking.close()

    with_databases(tmp_path, story, size=1)


def test_a_database_that_is_closed_is_driven_no_more_and_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(cluster: Databases) -> None:
        database = next(iter(cluster.databases.values()))
        driving_it = asyncio.ensure_future(Driver(Engine(database)).run())
        await pass_time(2.0)
        await database.close()
        await driving_it

    with_databases(tmp_path, story)
    assert "sealed" not in caplog.text
