"""The client for time series: what it sends, and what is there when a block has ended."""

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from struct import unpack_from
from typing import Any

import numpy as np
import pytest

from roost.client import series
from roost.client.credentials import Credentials
from roost.client.errors import OutcomeUnknown, Unreachable
from roost.client.series import BadPoint, SeriesRefused, aio, points
from roost.client.series.members import Members
from roost.client.series.points import FRAME_POINTS_MAX, Buffer, names_frames, nanoseconds
from roost.client.series.questions import Asked
from roost.series.frames import ColumnFrames, Flush
from roost.series.intake import Points
from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until
from roost.testing.ports import free_ports

BEGIN = datetime(2024, 3, 30, tzinfo=UTC)
T0 = int(BEGIN.timestamp()) * 10**9
HOUR = 3600 * 10**9


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (5, 5),
        (BEGIN, T0),
        (BEGIN.astimezone(timezone(timedelta(hours=5, minutes=45))), T0),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1000),
        (np.datetime64("2024-03-30T00:00:00"), T0),
        (np.int64(7), 7),
    ],
)
def test_moments_are_nanoseconds(time: Any, expected: int) -> None:
    assert nanoseconds(time) == expected


@pytest.mark.parametrize("time", [1.5, "now", None, True, datetime(2024, 1, 1), np.float64(1)])  # noqa: DTZ001 - that is it
def test_what_is_no_moment_is_refused(time: Any) -> None:
    with pytest.raises(BadPoint):
        nanoseconds(time)


@pytest.mark.parametrize("name", ["", "{host=a}", "cpu{host=a", "cpu{", "a\nb"])
def test_what_no_member_reads_as_a_name_is_refused_before_it_is_sent(name: str) -> None:
    """It would be sent again with each new stream, and nothing behind it be taken."""
    buffer = Buffer()
    with pytest.raises(BadPoint, match="no name of a series"):
        buffer.number(name)
    assert buffer.names == []


def test_points_that_nobody_was_sent_are_certainly_not_there() -> None:
    (port,) = free_ports(1)
    con = series.connect(f"127.0.0.1:{port}", timeout_s=0.1)
    con.add("a", 1, 1.0)
    with pytest.raises(Unreachable, match="no point was sent"):
        con.close()


def test_points_are_frames_that_a_member_reads() -> None:
    buffer = Buffer()
    one, two = buffer.number("a"), buffer.number("b")
    assert buffer.number("a") == one
    buffer.add(one, 1, 1.5)
    buffer.add(two, BEGIN, 2)
    buffer.add_many(one, np.arange(3), np.arange(3, dtype=np.float32))
    assert buffer.add_many(two, [BEGIN], [7]) == 6
    frames = ColumnFrames()
    list(frames.feed(b"".join(names_frames(buffer.names))))
    (points,) = frames.feed(b"".join(buffer.take()))
    assert [it.name for it in points.series] == ["a", "b"]  # type: ignore[union-attr]  # it is points
    assert points.times.tolist() == [1, T0, 0, 1, 2, T0]  # type: ignore[union-attr]  # it is points
    assert points.values.tolist() == [1.5, 2, 0, 1, 2, 7]  # type: ignore[union-attr]  # it is points
    assert (len(buffer), buffer.take()) == (0, [])


def test_many_points_are_several_frames() -> None:
    buffer = Buffer()
    buffer.add_many(0, np.arange(FRAME_POINTS_MAX + 1), np.zeros(FRAME_POINTS_MAX + 1))
    assert [unpack_from("<I", it, 5)[0] for it in buffer.take()] == [FRAME_POINTS_MAX, 1]


def test_many_names_are_several_frames() -> None:
    """After another member was found all of them went in one, which no member takes."""
    names = [f'disk.used{{host="a machine of many",place={it}}}' for it in range(21_000)]
    frames = ColumnFrames()
    parts = list(names_frames(names))
    assert len(parts) > 1
    for it in parts:
        list(frames.feed(it))
    assert len(frames._infos) == len(names)


class _Stream:
    """A member that takes points, and says at once that they are durable."""

    status = 200

    def __init__(self) -> None:
        self.frames = ColumnFrames()
        self.told: dict[str, list[float]] = {}
        self._lines: deque[bytes] = deque()

    async def send(self, data: bytes) -> None:
        for event in self.frames.feed(data):
            if isinstance(event, Flush):
                self._lines.append(json.dumps({"flushed": event.number}).encode())
            elif isinstance(event, Points):
                for place, value in zip(event.places.tolist(), event.values.tolist(), strict=True):
                    self.told.setdefault(event.series[place].name, []).append(value)

    async def line(self) -> bytes:
        return self._lines.popleft()

    def close(self) -> None:
        """It has nothing."""


class _Way:
    def __init__(self) -> None:
        self.streams: list[_Stream] = []

    async def stream(self) -> _Stream:
        self.streams.append(_Stream())
        return self.streams[-1]


def test_more_series_than_a_request_may_name_go_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that had named more than 131,072 was refused for ever."""
    monkeypatch.setattr(points, "NAMES_MAX", 3)
    way = _Way()

    async def story() -> None:
        async with aio.Connection(way, wait_for_server_flush=False, timeout_s=5.0) as con:  # type: ignore[arg-type]  # enough of one
            for it in range(10):
                await con.add(f"s{it}", it, float(it))
                await con.add("s0", 100 + it, 0.5)

    asyncio.run(story())
    assert all(len(it.frames._infos) <= 3 for it in way.streams)
    told = [
        (name, value) for it in way.streams for name, values in it.told.items() for value in values
    ]
    assert sorted(told) == sorted([(f"s{it}", float(it)) for it in range(10)] + [("s0", 0.5)] * 10)


@pytest.mark.parametrize(
    ("times", "values"),
    [([1], []), ([1], ["x"]), (np.array([1.5]), [1]), ([1 << 63], [1]), (["x"], [1])],
)
def test_what_are_no_points_are_refused_and_nothing_of_them_stays(times: Any, values: Any) -> None:
    buffer = Buffer()
    with pytest.raises((BadPoint, OverflowError)):
        buffer.add_many(0, times, values)
    with pytest.raises(BadPoint):
        buffer.add(0, 1, "x")  # type: ignore[arg-type]  # that is it
    assert len(buffer) == 0


def test_a_question_without_series_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(BadPoint):
        Asked().target()


def test_nobody_there_is_told_within_the_time(tmp_path: Path) -> None:
    del tmp_path
    (port,) = free_ports(1)
    with pytest.raises(Unreachable):
        series.query("a", endpoints=f"127.0.0.1:{port}").fetch()


NOT_NOW = b'{"error": "not_executed", "message": "this member stops"}'


async def ask_of(*answers: bytes | None, in_pieces: bool = False) -> dict[str, Any]:
    """A question to members that each answer with a status and a body; None = one is stopped."""
    over = asyncio.Event()

    def serving(said: bytes | None) -> Any:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if said is None:
                await over.wait()
            else:
                status, body = said.split(b" ", 1)
                head = b"HTTP/1.1 %s X\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
                writer.write(head + body)
            writer.close()

        return serve

    servers = [await asyncio.start_server(serving(it), "127.0.0.1", 0) for it in answers]
    endpoints = [f"127.0.0.1:{it.sockets[0].getsockname()[1]}" for it in servers]
    try:
        members = Members(endpoints, credentials=Credentials(), timeout_s=0.2)
        if in_pieces:
            pieces = [it async for it in members.pieces("/series/query?name=a")]
            return dict(json.loads(b"".join(pieces)))
        return await members.ask_json("GET", "/series/query?name=a")
    finally:
        over.set()
        for it in servers:
            it.close()


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("first", [b"503 " + NOT_NOW, b"429 " + NOT_NOW, None])
def test_who_cannot_answer_just_now_is_left_for_the_next(
    first: bytes | None, *, in_pieces: bool
) -> None:
    answer = asyncio.run(ask_of(first, b'200 {"series": []}', in_pieces=in_pieces))
    assert answer == {"series": []}


@pytest.mark.parametrize("in_pieces", [False, True])
def test_when_nobody_can_just_now_their_words_are_told(*, in_pieces: bool) -> None:
    with pytest.raises(SeriesRefused, match="this member stops") as refused:
        asyncio.run(ask_of(b"503 " + NOT_NOW, b"503 " + NOT_NOW, in_pieces=in_pieces))
    assert (refused.value.status, refused.value.kind) == (503, "not_executed")


def test_when_all_are_stopped_it_is_said_of_each_and_for_how_long_was_waited() -> None:
    with pytest.raises(OutcomeUnknown, match=r"127.0.0.1:\d+: no whole answer within 0.2 s"):
        asyncio.run(ask_of(None))
    with pytest.raises(Unreachable, match=r"127.0.0.1:\d+: no answer within 0.2 s"):
        asyncio.run(ask_of(None, in_pieces=True))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("series"), 3) as started:
        started.leader()
        yield started


@pytest.mark.slow
@pytest.mark.cluster
def test_the_founding_lines_work(three: Cluster) -> None:
    endpoints = ",".join(three.endpoints)
    with series.connect(endpoints, wait_for_server_flush=True) as con:
        with con.series("sensor1.heat") as s:
            for hour in range(48):
                s.add(BEGIN + timedelta(hours=hour), float(hour))
        assert con.last("sensor1.heat") == {"sensor1.heat": (T0 + 47 * HOUR, 47.0)}
        con.add("sensor2.heat", BEGIN, 1.0)
        con.add_many("sensor2.heat", [T0 + HOUR], [2.0])
        frame = Frame(time=np.array([T0, T0 + 1]), x=np.array([5.0, 6.0]), y=np.array([7, 8]))
        con.add_frame(frame, prefix="frame.")
        con.flush()
        question = con.query("sensor1.heat").between(BEGIN, T0 + 100 * HOUR)
        days = question.window("1d", tz="Europe/Prague").aggregate("max", "min", "count").fetch()
        assert days[0].columns["count"] == [23, 23, 2], "clocks go forward on the 31st"
        assert question.auto(points=10).aggregate("count").fetch()[0].columns["count"]
        assert con.query("sensor2.heat").fetch()[0].columns["value"] == [1, 2]
        assert con.query("frame.x", "frame.y").fetch().to_columns() == {
            "series": ["frame.x"] * 2 + ["frame.y"] * 2, "time": [T0, T0 + 1] * 2,
            "value": [5, 6, 7, 8],
        }  # fmt: skip
        held = con.query("sensor2.heat").fetch()[0].to_numpy()
        assert held["time"][0] == np.datetime64("2024-03-30")
        assert held["value"].dtype == np.float64


class Frame:
    """What is asked of a frame of pandas, polars or Arrow."""

    def __init__(self, **columns: Any) -> None:
        self.columns = list(columns)
        self._held = columns

    def __getitem__(self, name: str) -> Any:
        return self._held[name]


@pytest.mark.slow
@pytest.mark.cluster
def test_everything_else_that_is_asked_of_series(three: Cluster, tmp_path: Path) -> None:
    with series.connect(three.endpoints) as con:
        con.add_many('t.a{host="x y"}', [1, 2, 3], [1, 2, 3])
        con.add("t.b", 1, 1.0)
        con.flush()
        assert con.tag("t.b", add=["temp:C"]) == {"temp": "C"}
        assert [it["name"] for it in con.listed(tag="temp:C")] == ["t.b"]
        assert [it["points"] for it in con.listed(prefix="t.", counts=True)] == [3, 1]
        assert con.query().by_tag("temp:C").fetch()[0].name == "t.b"
        assert con.delete("t.a", 1, 3, dry_run=True) == 2
        assert con.delete("t.a", 1, 3) == 2
        assert con.query("t.a").to_csv(tmp_path / "a.csv").splitlines()[1].endswith(b",3.0")
        assert (tmp_path / "a.csv").exists()
        con.dedup("t.highest", "max")
        con.add_many("t.highest", [1, 1], [2.0, 1.0])
        con.flush()
        assert con.last("t.highest") == {"t.highest": (1, 2.0)}
        con.note("is moved in May", tag="temp:C")
        assert con.notes() == [{"tag": "temp=C", "note": "is moved in May"}]
        con.note(None, tag="temp:C")
        con.retain("30d", tag="temp:C")
        assert con.rules() == [{"tag": "temp=C", "keep_s": 2592000.0}]
        con.retain(None, tag="temp:C")
        con.delete_series("t.b")
        with pytest.raises(SeriesRefused) as caught:
            con.delete_series("t.b")
        assert (caught.value.status, caught.value.kind) == (404, "no_series")
        with pytest.raises(SeriesRefused):
            con.query("t.a").window("1 apple").fetch()
        assert con.statistics()["series_made"] >= 2


@pytest.mark.slow
@pytest.mark.cluster
def test_points_are_told_as_they_come(three: Cluster) -> None:
    async def story() -> None:
        async with aio.connect(three.endpoints) as con:
            await con.add("live", 0, 0.0)
            await con.flush()
            live = con.tail("live")
            coming = asyncio.ensure_future(anext(live))
            while not coming.done():
                await con.add("live", 1, 1.5)
                await con.flush()
            assert (await coming).values == [1.5]
            await live.aclose()
            with pytest.raises(SeriesRefused):
                await anext(con.tail("nobody"))

    asyncio.run(story())


@pytest.mark.slow
@pytest.mark.cluster
def test_errors_come_at_close_without_waiting(three: Cluster) -> None:
    con = series.connect(three.endpoints)
    with con.series("bad{a}") as s:
        s.add(1, 1.0)
    with pytest.raises(SeriesRefused):
        con.close()


@pytest.mark.slow
@pytest.mark.cluster
def test_points_are_sent_again_to_another_member_when_one_is_killed(three: Cluster) -> None:
    async def story() -> None:
        async with aio.connect(three.endpoints, wait_for_server_flush=True) as con:
            for begin in range(0, 30_000, 1000):
                times = np.arange(begin, begin + 1000) * 10**9
                async with con.series("kept") as s:
                    await s.add_many(times, times / 1e9)
                if begin == 10_000:
                    three.kill(0)
                if begin == 20_000:
                    three.start(0)
                await con.add(f"new{begin}", 1, 1.0)
            answer = await con.query("kept").fetch()
            assert answer[0].columns["value"] == list(range(30_000))
            assert len(await con.listed(prefix="new")) >= 29

    asyncio.run(story())
    wait_until(lambda: len(three.running) == 3)
