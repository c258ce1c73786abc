"""`db.series`: the client's face of time series, on the member in the same process."""

import asyncio
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import roost
import roost.aio
from roost.client import series as client
from roost.client.series import BadPoint, SeriesRefused
from roost.faces import Closed
from roost.testing.ports import free_ports

BEGIN = datetime(2024, 3, 30, tzinfo=UTC)
T0 = int(BEGIN.timestamp()) * 10**9
HOUR = 3600 * 10**9


def test_the_founding_lines_work_without_a_port(tmp_path: Path) -> None:
    with roost.open(tmp_path / "data") as db:
        with db.series.connect(wait_for_server_flush=True) as con:
            with con.series("sensor1.heat") as s:
                for hour in range(48):
                    s.add(BEGIN + timedelta(hours=hour), float(hour))
            days = db.series.query("sensor1.heat").between(BEGIN, T0 + 100 * HOUR)
            found = days.window("1d", tz="Europe/Prague").aggregate("max", "count").fetch()
            assert found[0].columns == {"max": [22, 45, 47], "count": [23, 23, 2]}
            con.add_many("other{k=v}", np.arange(3), np.arange(3))
        # The end of a connection is a flush, and the database goes on.
        assert con.query("other").fetch()[0].columns["value"] == [0, 1, 2]
        with db.series.connect() as con:
            assert con.last(tag="k=v") == {"other{k=v}": (2, 2.0)}
            assert con.tag("sensor1.heat", add=["temp:C"]) == {"temp": "C"}
            assert [it["name"] for it in con.listed(tag="temp:C")] == ["sensor1.heat"]
            assert con.delete("other{k=v}", 0, 2, dry_run=True) == 2
            assert con.delete("other{k=v}", 0, 2) == 2
            assert con.query("other").to_csv(tmp_path / "x.csv").splitlines()[1:] == [
                b"other{k=v},1970-01-01T00:00:00.000000002Z,2.0"
            ]
            con.delete_series("other{k=v}")
            with pytest.raises(SeriesRefused) as caught:
                con.delete_series("other{k=v}")
            assert (caught.value.status, caught.value.kind) == (404, "no_series")
    with roost.open(tmp_path / "data") as db:
        assert len(db.series.query("sensor1.heat").fetch()[0]) == 48


def test_errors_of_points_come_at_close() -> None:
    with roost.open(None) as db:
        con = db.series.connect()
        with pytest.raises(BadPoint):
            con.add("a", "yesterday", 1.0)
        with con.series("bad{a}") as s:
            s.add(1, 1.0)
        with pytest.raises(SeriesRefused, match=r"bad\{"):
            con.close()
        con.close()


QUESTIONS: list[Any] = [
    lambda it: it,
    lambda it: it.between(T0, T0 + 2 * HOUR),
    lambda it: it.window("1h").aggregate("count", "mean", "min", "max", "first", "last", "p90"),
    lambda it: it.between(T0, T0 + 9 * HOUR).window("1h").aggregate("mean", "count").fill("null"),
    lambda it: it.between(T0, T0 + 9 * HOUR).window("2h").aggregate("sum", "sum").fill("linear"),
    lambda it: it.window("1d", tz="Asia/Kathmandu").aggregate("stddev", "range").group_by("k"),
    lambda it: it.auto(points=3).aggregate("max"),
]


def test_answers_are_those_of_http() -> None:
    async def story() -> None:
        (port,) = free_ports(1)
        async with roost.aio.open(None) as db:
            await db.serve([f"http://127.0.0.1:{port}"])
            far = client.aio.connect(f"127.0.0.1:{port}")
            async with db.series.connect() as con:
                for name in ("a", "a{k=v}", 'a{k="x y"}'):
                    values = [1.5, math.nan, 3.0, math.inf, -7.25]
                    await con.add_many(name, [T0 + it * HOUR // 2 for it in range(5)], values)
                await con.add("a", T0 + 7 * HOUR, 1.0)
            for ask in QUESTIONS:
                ours = await ask(db.series.query("a")).fetch()
                theirs = await ask(far.query("a")).fetch()
                assert len(ours)
                assert ours == theirs
                csv = await ask(db.series.query("a")).to_csv()
                assert csv == await ask(far.query("a")).to_csv()
            for wrong in (far.query("a"), db.series.query("a")):
                with pytest.raises(SeriesRefused) as caught:
                    await wrong.window("1 apple").fetch()
                assert (caught.value.status, caught.value.kind) == (400, "bad_window")
            await far.close()

    asyncio.run(story())


def test_points_are_told_as_they_come() -> None:
    async def story() -> None:
        async with roost.aio.open(None) as db, db.series.connect() as con:
            await con.add("a", 0, 0.0)
            await con.flush()
            live = con.tail("a")
            coming = asyncio.ensure_future(anext(live))
            time = 0
            while not coming.done():
                time += 1
                await con.add("a", time, 1.5)
                await con.flush()
            told = await coming
            assert (told.name, told.values, told.has_missed) == ("a", [1.5], False)
            assert 1 <= told.times[0] <= time
            await live.aclose()
            with pytest.raises(SeriesRefused) as caught:
                await anext(con.tail("nobody"))
            assert caught.value.status == 404

    asyncio.run(story())


def test_a_connection_ends_with_the_database_and_says_so() -> None:
    async def story() -> None:
        db = await roost.aio.open(None)
        con = db.series.connect(wait_for_server_flush=True)
        await con.add("a", 1, 1.0)
        await con.flush()
        await db.close()
        await con.add("a", 2, 1.0)
        with pytest.raises(Closed):
            await con.flush()
        with pytest.raises(Closed):
            await con.query("a").fetch()
        con.abandon()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(story())
