"""Points in Arrow's streams, and answers as such; over the requests that carry them."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roost.errors import PackageMissing
from roost.series.errors import BadPoints
from roost.series.frames import PAUSE, Aside, Event, Flush
from roost.series.intake import Points
from roost.series.spelling import Precision
from tests.series.test_interface import Asked, with_interface

try:
    from roost.arrow import Batches, pa
    from roost.series.arrow import ArrowFrames
except PackageMissing as missing:
    pytest.skip(f"nothing is known of Arrow here: {missing}", allow_module_level=True)

ARROW = "application/vnd.apache.arrow.stream"
BEGIN = 1_700_000_000
SECOND = 10**9


def stream(*batches: Any, flush: int | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    said = None if flush is None else {"flush": str(flush)}
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for it in batches:
            writer.write_batch(it, custom_metadata=said)
    return bytes(sink.getvalue())


def read(data: bytes) -> Any:
    reading = Batches()
    found = [it.rows for it in reading.feed(data)]
    reading.end()
    return pa.Table.from_batches(found, schema=reading.schema)


def events_of(data: bytes, unit: Precision = Precision.NS) -> Iterator[Event]:
    """What comes of a stream, with what is done on a thread done here."""
    for it in _noting(ArrowFrames(unit), data):
        if not isinstance(it, Aside):
            yield it


def points_in(batch: Any, unit: Precision = Precision.NS) -> list[tuple[str, int, float]]:
    found = []
    for it in events_of(stream(batch), unit):
        if it == PAUSE:
            continue
        assert isinstance(it, Points)
        names = [info.name for info in it.series]
        rows = zip(it.places.tolist(), it.times.tolist(), it.values.tolist(), strict=True)
        found += [(names[place], time, value) for place, time, value in rows]
    return found


def test_what_is_large_is_read_on_a_thread() -> None:
    """Issue 14: a batch of 8 MiB was copied, and all of it looked at, in one step."""
    batch = pa.record_batch({"time": pa.array(range(40_000)), "a": pa.array([1.0] * 40_000)})
    whole = stream(batch)
    asides = [it for it in _noting(ArrowFrames(Precision.NS), whole) if isinstance(it, Aside)]
    assert len(asides) == 1
    assert sum(len(it.times) for it in events_of(whole) if isinstance(it, Points)) == 40_000
    small = list(ArrowFrames(Precision.NS).feed(stream(batch.slice(0, 100))))
    assert not any(isinstance(it, Aside) for it in small)
    names = pa.array([f"s{it}" for it in range(60_000)]).dictionary_encode()
    few = pa.record_batch(
        {"name": names.take(pa.array([1])), "time": pa.array([1]), "value": pa.array([1.0])}
    )
    assert any(isinstance(it, Aside) for it in _noting(ArrowFrames(Precision.NS), stream(few)))
    wide = stream(pa.record_batch({f"a{it}": pa.array([1.0]) for it in range(4000)}))
    with pytest.raises(BadPoints, match="no column time"):
        list(_noting(ArrowFrames(Precision.NS), wide))


def _noting(frames: ArrowFrames, data: bytes) -> Iterator[Event]:
    for it in frames.feed(data):
        if isinstance(it, Aside):
            it.run()
        yield it


def test_rows_are_points_and_those_without_a_value_are_none() -> None:
    batch = pa.record_batch(
        {
            "name": pa.array(["b", "a", "b", "a"]).dictionary_encode(),
            "time": pa.array([1, 2, 3, 4], pa.timestamp("ms", "Europe/Prague")),
            "value": pa.array([1, None, 3, 4], pa.int32()),
        }
    )
    ms = 10**6
    assert points_in(batch) == [("b", ms, 1.0), ("b", 3 * ms, 3.0), ("a", 4 * ms, 4.0)]
    plain = batch.set_column(0, "series", batch.column(0).cast(pa.large_string()))
    assert points_in(plain) == points_in(batch)


def test_columns_are_series_and_whole_times_are_of_the_unit() -> None:
    batch = pa.record_batch(
        {
            "time": pa.array([1, 2], pa.int32()),
            "x": pa.array([0.5, None]),
            "y": pa.array([None, 1 << 60], pa.int64()),
        }
    )
    assert points_in(batch, Precision.S) == [("x", SECOND, 0.5), ("y", 2 * SECOND, float(1 << 60))]


def test_thousands_of_series_are_read_over_turns() -> None:
    wide = pa.record_batch({"time": [1], **{f"s{it}": [float(it)] for it in range(250)}})
    long = pa.record_batch(
        {"series": [f"s{it}" for it in range(1200)], "time": [1] * 1200, "value": [1.0] * 1200}
    )
    for batch, count, pause_count in ((wide, 250, 2), (long, 1200, 3)):
        *pauses, points = events_of(stream(batch))
        assert pauses == [PAUSE] * pause_count
        assert isinstance(points, Points)
        assert len(points) == len(points.series) == count
    much = pa.record_batch({"time": range(20_000), **{it: [1.0] * 20_000 for it in "abc"}})
    events = list(events_of(stream(much)))
    assert [len(it) for it in events if isinstance(it, Points)] == [40_000, 20_000]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"series": ["a"], "value": [1.0]}, "no column time"),
        ({"time": ["now"], "value": [1.0]}, "time is string"),
        ({"time": [1], "series": ["a"], "value": [1.0], "more": [1.0]}, "columns beside series"),
        ({"time": [1], "series": [5], "value": [1.0]}, "series is int64"),
        ({"time": [1], "x": [[1.0]]}, "x is list"),
        ({"time": [1], "x": [None]}, "x is null"),
        ({"time": [1 << 63 >> 1, 1 << 62], "series": ["a", None], "value": [1.0, 1.0]}, "name"),
        ({"time": [(1 << 63) - 1], "x": [1.0]}, "1678"),
        ({"time": [1, None], "x": [1.0, 2.0]}, "without a time"),
    ],
)
def test_what_are_no_points_is_refused(columns: dict[str, Any], text: str) -> None:
    with pytest.raises(BadPoints, match=text):
        points_in(pa.record_batch(columns))


@pytest.mark.slow
def test_a_stream_is_durable_where_it_says_flush_and_answers_come_as_arrow(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        times = pa.array(np.arange(100) * SECOND + BEGIN * SECOND).cast(pa.timestamp("ns", "UTC"))
        names = pa.array(["a{k=v}", "b"] * 50).dictionary_encode()
        values = pa.array([float(it) if it != 4 else float("nan") for it in range(100)])
        batch = pa.record_batch({"series": names, "time": times, "value": values})

        async def body() -> AsyncIterator[bytes]:
            data = stream(batch, flush=3)
            for begin in range(0, len(data), 1000):
                yield data[begin : begin + 1000]

        said = await ask.stream("/series/append", body(), content_type=ARROW)
        assert [it.get("flushed") for it in said] == [3, None]
        assert said[-1]["points"] == 100
        status, data = await ask.raw("GET", "/series/query?name=a&name=b", accept=ARROW)
        assert status == 200
        table = read(data)
        assert table.schema.field("time").type == pa.timestamp("ns", "UTC")
        assert table.num_rows == 100
        assert table.column("series").to_pylist() == ["a{k=v}"] * 50 + ["b"] * 50
        held = table.column("value").to_numpy()
        assert np.isnan(held[2]) and held[3] == 6.0, "NaN is a point"
        target = f"/series/query?name=b&start={BEGIN}&end={BEGIN + 200}&precision=s&window=100s"
        _, data = await ask.raw("GET", f"{target}&agg=count,max&fill=null&format=arrow")
        assert read(data).to_pydict() == {
            "series": ["b", "b"], "time": [BEGIN, BEGIN + 100], "count": [50, 0],
            "max": [99.0, None],
        }  # fmt: skip
        _, data = await ask.raw("GET", "/series/query?name=none&format=arrow")
        assert read(data).schema.names == ["series", "time"]

    with_interface(tmp_path, story)


@pytest.mark.slow
def test_faults_of_a_stream_of_arrow_are_told_with_what_was_taken(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        good = pa.record_batch({"time": pa.array([1]), "x": pa.array([1.0])})

        async def body() -> AsyncIterator[bytes]:
            yield stream(good)[:-8]
            yield b"and nothing of Arrow's"

        (said,) = await ask.stream("/series/append", body(), content_type=ARROW)
        assert (said["error"], said["points"]) == ("bad_points", 1)
        status, data = await ask.raw("GET", "/series?format=arrow")
        assert (status, json.loads(data)["error"]) == (400, "bad_request")

    with_interface(tmp_path, story)


def test_a_flush_is_a_number() -> None:
    good = pa.record_batch({"time": pa.array([1]), "x": pa.array([1.0])})
    events = list(events_of(stream(good, flush=9)))
    assert events[1:] == [Flush(9)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, good.schema) as writer:
        writer.write_batch(good, custom_metadata={"flush": "soon"})
    with pytest.raises(BadPoints, match="whole number"):
        list(events_of(bytes(sink.getvalue())))
