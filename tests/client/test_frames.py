"""Answers as frames and tables, and frames as points; where Arrow and those libraries are there."""

import asyncio
import math
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import roost
import roost.aio
from roost.client.series import BadPoint
from roost.client.series.framed import points_of
from roost.errors import PackageMissing

try:
    from roost.arrow import pa
except PackageMissing as missing:
    pytest.skip(f"nothing is known of Arrow here: {missing}", allow_module_level=True)

pytestmark = pytest.mark.slow
T0 = 1_711_756_800 * 10**9
HOUR = 3600 * 10**9


def library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        pytest.skip(f"nothing is known of {name} here: it is not installed")


def listed(points: Sequence[tuple[str, Any, Any]]) -> dict[str, list[tuple[int, float]]]:
    return {
        name: [
            (int(np.datetime64(at, "ns").astype(np.int64)) if at.dtype.kind == "M" else int(at), it)
            for at, it in zip(np.asarray(times), values.tolist(), strict=True)
        ]
        for name, times, values in points
    }


EXPECTED = {"x": [(T0, 1.0), (T0 + HOUR, 2.0)], "y": [(T0, 3.0)]}


def test_tables_of_arrow_are_points_wide_and_long() -> None:
    times = pa.array([T0, T0 + HOUR], pa.timestamp("ns", "Europe/Prague"))
    wide = pa.table({"time": times, "x": [1, 2], "y": pa.array([3.0, None])})
    assert listed(points_of(wide, "time", "")) == EXPECTED
    long = pa.table(
        {
            "at": pa.chunked_array([times, times]),
            "of": pa.chunked_array([["x", "x"], ["y", "y"]]).dictionary_encode(),
            "value": pa.chunked_array([[1.0, 2.0], [3.0, None]]),
        }
    )
    assert listed(points_of(long, "at", "of")) == EXPECTED
    kept = listed(points_of(pa.table({"time": [1], "x": [math.nan]}), "time", ""))
    assert math.isnan(kept["x"][0][1]), "NaN is a number that somebody has written"


def test_frames_of_pandas_are_points() -> None:
    pandas = library("pandas")
    times = pandas.to_datetime([T0, T0 + HOUR], utc=True).tz_convert("Asia/Kathmandu")
    frame = pandas.DataFrame({"time": times, "x": [1, 2], "y": [3.0, math.nan]})
    assert listed(points_of(frame, "time", "")) == EXPECTED
    plain = pandas.DataFrame({"time": [T0, T0 + HOUR], "x": [1, 2], "y": [3.0, None]})
    assert listed(points_of(plain, "time", "")) == EXPECTED
    nullable = plain.astype({"y": "Int64"})
    assert listed(points_of(nullable, "time", "")) == EXPECTED
    melted = frame.melt("time", var_name="series")
    melted["series"] = melted["series"].astype("category")
    assert listed(points_of(melted, "time", "series")) == EXPECTED


def test_frames_of_polars_are_points() -> None:
    polars = library("polars")
    times = polars.Series([T0, T0 + HOUR]).cast(polars.Datetime("ns", "UTC"))
    times = times.dt.convert_time_zone("America/New_York")
    frame = polars.DataFrame({"time": times, "x": [1, 2], "y": [3.0, None]})
    assert listed(points_of(frame, "time", "")) == EXPECTED
    long = frame.unpivot(index="time", variable_name="series")
    assert listed(points_of(long, "time", "series")) == EXPECTED


@pytest.mark.parametrize(
    ("columns", "series", "text"),
    [
        ({"x": [1.0]}, "", "'time' is needed"),
        ({"time": ["now"], "x": [1.0]}, "", "times of"),
        ({"time": [1], "x": ["warm"]}, "", "'x' are no numbers"),
        ({"time": [1], "x": [1.0]}, "x", "'value' is needed"),
        ({"time": [1], "x": [5], "value": [1.0]}, "x", "text"),
    ],
)
def test_what_is_no_frame_of_points_is_refused(columns: Any, series: str, text: str) -> None:
    with pytest.raises(BadPoint, match=text):
        points_of(pa.table(columns), "time", series)
    with pytest.raises(BadPoint, match="no frame"):
        points_of(7, "time", "")


def test_what_is_asked_comes_as_a_table_and_goes_back_in(tmp_path: Path) -> None:
    from pyarrow import parquet

    with roost.open(None) as db, db.series.connect(wait_for_server_flush=True) as con:
        con.add_many("a{k=v}", np.arange(48) * HOUR + T0, np.arange(48.0))
        con.add_many("b", [T0], [math.nan])
        con.flush()
        table = con.query("a", "b").to_arrow()
        assert table.schema.names == ["series", "time", "value"]
        assert table.schema.field("time").type == pa.timestamp("ns", "UTC")
        assert table.num_rows == 49
        days = con.query("a").between(T0, T0 + 48 * HOUR).window("1d").aggregate("max", "count")
        asked = days.to_arrow()
        assert asked.column("max").to_pylist() == [23.0, 47.0]
        assert asked.column("count").type == pa.int64()
        assert days.fetch().to_arrow().equals(asked), "two ways to one table"
        days.to_parquet(tmp_path / "days.parquet")
        assert parquet.read_table(tmp_path / "days.parquet").column("count").to_pylist() == [24, 24]
        assert not (tmp_path / "days.parquet.part").exists()
        con.add_frame(table, series="series", prefix="again.")
        con.flush()
        assert con.query("again.a").fetch()[0].columns["value"][-1] == 47.0
        assert con.query("again.b").to_numpy()["again.b"]["time"].tolist() == [T0]
        assert con.query("none").to_arrow().num_rows == 0
        if _has("pandas"):
            assert days.to_pandas()["max"].tolist() == [23.0, 47.0]
            assert con.query("a").fetch().to_pandas()["time"].dt.tz is not None
        if _has("polars"):
            assert days.to_polars()["max"].to_list() == [23.0, 47.0]


def _has(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    return True


def test_long_answers_come_batch_by_batch_and_for_asyncio_too(tmp_path: Path) -> None:
    async def story() -> None:
        async with roost.aio.open(None) as db:
            async with db.series.connect(wait_for_server_flush=True) as con:
                await con.add_many("a", np.arange(50_000) + T0, np.arange(50_000.0))
            question = db.series.query("a")
            sizes = [it.num_rows async for it in question.batches()]
            assert len(sizes) > 1 and sum(sizes) == 50_000
            await question.to_parquet(tmp_path / "a.parquet")
            table = await question.to_arrow()
            assert table.column("value").to_numpy().tolist() == list(range(50_000))
            assert len((await question.to_numpy())["a"]["value"]) == 50_000

    asyncio.run(story())


def test_a_member_without_arrow_is_asked_for_another_form(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise PackageMissing("Arrow needs pyarrow: pip install it")

    monkeypatch.setattr("roost.series.asking._arrow", missing)
    with roost.open(None) as db, db.series.connect(wait_for_server_flush=True) as con:
        con.add("a", T0, 1.5)
        con.flush()
        assert con.query("a").to_arrow().to_pylist()[0]["value"] == 1.5
