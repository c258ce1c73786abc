"""The bench of time series: what it writes is what it says, and what is refused is no figure."""

import asyncio

import numpy as np
import pytest
from bench.found import Found
from bench.series import Bench, logged
from bench.series_floor import FLOOR, PUT_P99_MS_MAX, held, shortfall
from bench.series_load import BEGIN_S, Drive, drive, lines_of, values_of
from bench.series_memory import filled
from bench.series_servers import Roost


def test_lines_are_the_points_that_they_are_made_of() -> None:
    lines = lines_of([0, 1, 0], [BEGIN_S, BEGIN_S, BEGIN_S + 1]).splitlines()
    values = values_of(np.array([0, 1, 0]), np.array([0, 0, 1]))
    assert [float(it.split(b"v=")[1].split()[0]) for it in lines] == values.tolist()
    assert lines[1].startswith(b"m,host=1 v=")
    assert lines[2].endswith(b" %d" % (BEGIN_S + 1))


def test_a_rate_is_of_points_and_a_wait_of_requests() -> None:
    found = Drive(1000, 2.0, 0.5, [float(it) for it in range(1, 101)])
    assert found.rate == 500
    assert found.cpu_us == 500
    assert 99 <= found.p99_ms <= 101


def test_less_than_is_promised_fails() -> None:
    def said(rate: float, put_ms: float) -> str:
        return shortfall(Found("floor", "roost x 3", {}, {"points/s": rate, "put p99 ms": put_ms}))

    assert said(FLOOR * 0.999, PUT_P99_MS_MAX) == ""
    assert "20,000 points/s" in said(20_000.0, 1.0)
    assert "one took 51 ms" in said(FLOOR, 51.0)


@pytest.mark.slow
def test_the_log_of_a_member_has_the_staged_points_and_what_comes_of_them() -> None:
    said = asyncio.run(logged(2, 1, 1000, 4000))
    assert said["points"] == 4000
    assert 0.5 < said["of it staged"] < said["B a point"] < 8


@pytest.mark.slow
@pytest.mark.cluster
def test_questions_are_answered_by_all_rows_and_what_is_refused_ends_the_row() -> None:
    bench = Bench(1, 0.005, lambda _text: None)
    found = [it for it in bench.query() if "roost" in it.load]
    assert [it.load.partition(",")[0] for it in found[1:]] == ["hours", "days"]
    server = Roost()
    server.start()
    try:
        floor = held(server, 0.4, lambda _text: None)
        assert floor.says["puts"] > 1
        assert floor.says["points/s"] > 0
        passes = list(filled(server, 3, 200, 2))
        assert [it.load for it in passes] == ["3 series, 300 points", "3 series, 600 points"]
        assert server.answered({"name": "hour2"}) == 200
        with pytest.raises(RuntimeError, match="400"):
            drive(server, [b"no line"], 1)
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.cluster
def test_single_points_and_long_series_are_asked_of_a_server() -> None:
    bench = Bench(1, 0.002, lambda _text: None)
    ones = next(it for it in bench.ones() if "roost" in it.load)
    assert ones.says["points/s"] > 0
    loads = [
        it.load for it in bench.long() if "influx" not in it.load and "victoria" not in it.load
    ]
    assert len(loads) == 7
    assert loads[-1] == "2,500 points deleted"


def test_points_of_blocks_are_all_decoded() -> None:
    (found,) = Bench(1, 0.01, lambda _text: None).blocks()
    assert found.says["points/s"] > 0
    assert 0 < found.says["B a point"] < 8
