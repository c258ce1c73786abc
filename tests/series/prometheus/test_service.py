"""Prometheus' interfaces over HTTP: Grafana's calls, remote write and read, faults."""

import asyncio
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

pytest.importorskip("promql_parser")

from cramjam import snappy

from roost.call import Code
from roost.errors import ModelRefused, NoLeader, OutcomeUnknown, Overloaded
from roost.exchange import Answer
from roost.proto import prometheus_pb2 as pb
from roost.series import describing, interface
from roost.series.errors import SeriesUnavailable
from roost.series.prometheus import api, loading, matching, remote_read, remote_write
from roost.series.prometheus.errors import BadQuery
from roost.series.prometheus.remote_write import RemoteWrite, Written
from tests.series.test_interface import Asked, with_interface
from tests.steps import steps_of

pytestmark = pytest.mark.slow
BEGIN = 1_700_000_000
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
FORM = "application/x-www-form-urlencoded"
Sample = tuple[int, float]


def written(series: Mapping[str, Sequence[Sample]], **extra: Any) -> bytes:
    """A request of remote write; series as `name{label=value,...}`, moments in milliseconds."""
    request = pb.WriteRequest()
    for text, samples in series.items():
        name, _, rest = text.rstrip("}").partition("{")
        pairs = [it.partition("=")[::2] for it in rest.split(",") if it]
        labels = [("__name__", name), *pairs] if name else pairs
        request.timeseries.add(
            labels=[
                pb.Label(name=key.encode(), value=value.encode()).SerializeToString()
                for key, value in labels
            ],
            samples=[pb.Sample(timestamp=time, value=value) for time, value in samples],
            **extra,
        )
    return packed(request.SerializeToString())


def packed(data: bytes) -> bytes:
    return bytes(snappy.compress_raw(data))


async def put(ask: Asked, series: dict[str, Sequence[Sample]], **headers: str) -> tuple[int, str]:
    status, body = await ask.raw("POST", "/api/v1/write", written(series), **headers)
    return status, body.decode()


async def get(ask: Asked, path: str, **given: Any) -> Any:
    """What a query in the path answers; and the same as a form."""
    target = f"/api/v1/{path}"
    query = urlencode({it.rstrip("_"): value for it, value in given.items()}, doseq=True)
    status, body = await ask.raw("GET", f"{target}?{query}" if query else target)
    as_form = await ask.raw("POST", target, query.encode(), content_type=FORM)
    assert as_form == (status, body)
    answer = json.loads(body)
    return answer["data"] if status == 200 else (status, answer["errorType"], answer["error"])


def ms(second: float) -> int:
    return round((BEGIN + second) * 1000)


def minutes(count: int, rise: float = 1.0) -> list[Sample]:
    return [(ms(60 * it), it * rise) for it in range(count)]


def test_what_is_said_of_metrics_is_told_and_written_once(tmp_path: Path) -> None:
    def said(**given: tuple[int, str, str]) -> bytes:
        request = pb.WriteRequest()
        for name, (kind, text, unit) in given.items():
            request.metadata.add(
                type=kind, metric_family_name=name.encode(), help=text.encode(), unit=unit.encode()
            )
        request.metadata.add(type=1, help=b"of no metric")
        request.metadata.add(type=1, metric_family_name=b"bad", help=b"\xff")
        return packed(request.SerializeToString())

    async def story(ask: Asked) -> None:
        up = (2, "Whether it answers.", "")
        body = said(http_requests_total=(1, "Requests.", ""), up=up, later=(99, "x" * 2000, "s"))
        assert (await ask.raw("POST", "/api/v1/write", body))[0] == 204
        told = await get(ask, "metadata")
        assert told == {
            "http_requests_total": [{"type": "counter", "help": "Requests.", "unit": ""}],
            "later": [{"type": "unknown", "help": "x" * 1024, "unit": "s"}],
            "up": [{"type": "gauge", "help": "Whether it answers.", "unit": ""}],
        }
        assert await get(ask, "metadata", metric="up") == {"up": told["up"]}
        assert await get(ask, "metadata", metric="none") == {}
        assert list(await get(ask, "metadata", limit=1)) == ["http_requests_total"]
        # Each minute it is said again: nothing is written, unless it is something else.
        index = (await ask.engine._db.status()).applied_index
        assert (await ask.raw("POST", "/api/v1/write", body))[0] == 204
        assert (await ask.engine._db.status()).applied_index == index
        assert (await ask.raw("POST", "/api/v1/write", said(up=(2, "Is it up?", ""))))[0] == 204
        assert (await get(ask, "metadata", metric="up"))["up"][0]["help"] == "Is it up?"

    with_interface(tmp_path, story)


@pytest.mark.parametrize("kib", [1, 31, 33, 200])
def test_a_description_of_many_bytes_is_kept_like_any_other_and_what_is_none_is_counted(
    kib: int, tmp_path: Path
) -> None:
    """One above 32 KiB was dropped, and nobody was told."""
    text = "é" * (kib << 9)
    request = pb.WriteRequest()
    request.metadata.add(
        type=1, metric_family_name=b"up", help=text.encode(), unit=b"x" + text.encode()
    )
    request.metadata.add(type=1, metric_family_name=b"n" * (kib << 10), help=b"a")
    request.metadata.add(type=1, metric_family_name=b"bad", help=b"\xff" * (kib << 10))
    request.metadata.add(type=2, metric_family_name=b"last", help=b"a")

    async def story(ask: Asked) -> None:
        answer = await ask.interface.answer(
            ask.request("POST", "/api/v1/write", packed(request.SerializeToString()), {})
        )
        assert (answer.status, dict(answer.headers)) == (
            204, {b"x-roost-descriptions-left-out": b"2"}
        )  # fmt: skip
        assert await get(ask, "metadata") == {
            "last": [{"type": "gauge", "help": "a", "unit": ""}],
            "up": [{"type": "counter", "help": text[:1024], "unit": f"x{text}"[:1024]}],
        }

    with_interface(tmp_path, story)


def test_what_prometheus_writes_is_asked_for_as_grafana_asks(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        assert await put(ask, {
            "up{job=api,instance=a:1}": minutes(61),
            "up{job=api,instance=b:1}": minutes(61, 2.0),
            "other{job=db}": [(ms(0), 5.0)],
        }) == (204, "")  # fmt: skip
        # What Grafana asks when a data source is saved and tested, and for its builder of queries.
        assert (await get(ask, "query", query="1+1", time=BEGIN)) == {
            "resultType": "scalar", "result": [BEGIN, "2"]
        }  # fmt: skip
        assert (await get(ask, "status/buildinfo"))["version"].startswith("3.")
        assert await get(ask, "labels", start=BEGIN, end=BEGIN + 60) == [
            "__name__", "instance", "job"
        ]  # fmt: skip
        assert await get(ask, "labels", match="other") == ["__name__", "instance", "job"]
        assert await get(ask, "labels", **{"match[]": ["other"]}) == ["__name__", "job"]
        assert await get(ask, "label/__name__/values") == ["other", "up"]
        assert await get(ask, "label/job/values") == ["api", "db"]
        assert await get(ask, "label/job/values", **{"match[]": ['up{instance=~"a.*"}']}) == ["api"]
        assert await get(ask, "label/nobody/values") == []
        assert await get(ask, "series", **{"match[]": ["up", "other"], "limit": 2}) == [
            {"__name__": "other", "job": "db"},
            {"__name__": "up", "instance": "a:1", "job": "api"},
        ]
        assert await get(ask, "metadata", limit=10) == {}
        # A panel, and one of its points.
        panel = await get(ask, "query_range", query="sum by (job) (rate(up[5m]))",
                          start=BEGIN + 600, end=BEGIN + 720, step="1m")  # fmt: skip
        assert panel["resultType"] == "matrix"
        assert panel["result"][0]["metric"] == {"job": "api"}
        moments, texts = zip(*panel["result"][0]["values"], strict=True)
        assert moments == (BEGIN + 600, BEGIN + 660, BEGIN + 720)
        assert [float(it) for it in texts] == pytest.approx([0.05] * 3)
        one = await get(ask, "query", query="topk(1, up)", time=f"{BEGIN + 60.5}")
        assert one == {"resultType": "vector", "result": [{
            "metric": {"__name__": "up", "instance": "b:1", "job": "api"},
            "value": [BEGIN + 60.5, "2"],
        }]}  # fmt: skip
        sorted_down = await get(ask, "query", query="sort_desc(up)", time=BEGIN + 60)
        assert [it["value"][1] for it in sorted_down["result"]] == ["2", "1"]
        points = await get(ask, "query", query='up{instance="a:1"}[2m]', time=BEGIN + 180)
        assert points["resultType"] == "matrix"
        assert points["result"][0]["values"] == [[BEGIN + 120, "2"], [BEGIN + 180, "3"]]
        assert await get(ask, "query", query='"text"', time=BEGIN) == {
            "resultType": "string", "result": [BEGIN, "text"]
        }  # fmt: skip
        steps = await get(ask, "query_range", query="time() * 1e-9", start="2023-11-14T22:13:20Z",
                          end="2023-11-14T22:13:21Z", step=1)  # fmt: skip
        assert steps["result"][0]["metric"] == {}
        assert len(steps["result"][0]["values"]) == 2
        counts = ask.interface.counts()
        assert counts["samples"] == 123
        assert counts["queries"] > 0

    with_interface(tmp_path, story)


def test_series_of_other_clients_and_their_tags_are_there_too(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        await ask("POST", "/write?precision=s", f"cpu,host=a idle=5 {BEGIN}".encode())
        await ask(
            "POST", "/series/tags", {"name": "cpu.idle{host=a}", "add": ["room:12", "host:other"]}
        )
        found = await get(ask, "query", query='{"cpu.idle", room="12"}', time=BEGIN)
        assert found["result"][0]["metric"] == {"__name__": "cpu.idle", "host": "a", "room": "12"}
        assert (await get(ask, "query", query='{host="other"}', time=BEGIN))["result"] == []
        assert await get(ask, "label/room/values") == ["12"]
        found = await get(ask, "query", query='sum by (room) ({__name__=~"cpu.+"})', time=BEGIN)
        assert found["result"] == [{"metric": {"room": "12"}, "value": [BEGIN, "5"]}]

    with_interface(tmp_path, story)


def test_a_stale_marker_ends_a_series_and_a_plain_nan_does_not(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        nan = float("nan")
        await put(ask, {"x{}": [(ms(0), 1.0), (ms(60), STALE)], "y": [(ms(0), 1.0), (ms(60), nan)]})
        rows = await get(
            ask, "query_range", query='{__name__=~"x|y"}', start=BEGIN, end=BEGIN + 120, step=60
        )
        found = {it["metric"]["__name__"]: it["values"] for it in rows["result"]}
        assert found["x"] == [[BEGIN, "1"]]
        assert found["y"] == [[BEGIN, "1"], [BEGIN + 60, "NaN"], [BEGIN + 120, "NaN"]]
        for name in ("x", "y"):
            rows = await get(ask, "query", query=f"count_over_time({name}[5m])", time=BEGIN + 60)
            assert [it["value"][1] for it in rows["result"]] == ["1"]
        await put(ask, {"x": [(ms(120), 7.0)]})
        rows = await get(ask, "query", query="x", time=BEGIN + 120)
        assert rows["result"][0]["value"][1] == "7"

    with_interface(tmp_path, story)


def test_late_samples_are_taken_and_the_later_written_of_two_counts(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        await put(ask, {"x": [(ms(60), 1.0)]})
        assert (await put(ask, {"x": [(ms(0), 5.0), (ms(60), 2.0)]}))[0] == 204
        rows = await get(ask, "query_range", query="x", start=BEGIN, end=BEGIN + 60, step=60)
        assert rows["result"][0]["values"] == [[BEGIN, "5"], [BEGIN + 60, "2"]]

    with_interface(tmp_path, story)


def test_what_can_never_be_taken_is_400_and_the_rest_is_taken(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        status, text = await put(ask, {
            "good": [(ms(0), 1.0), (10**18, 2.0)], "{a=b}": [(ms(0), 1.0)],
            "long{a=%s}" % ("x" * 300): [(ms(0), 1.0)],
        })  # fmt: skip
        assert status == 400
        assert text.startswith("3 samples were not taken, the others were: ")
        assert "a time out of range" in text
        assert "__name__" in text
        assert (await get(ask, "query", query="good", time=BEGIN))["result"][0]["value"][1] == "1"
        histograms = written({"h": []}, histograms=[b"\x08\x01"], exemplars=[b"\x10\x01"])
        status, body = await ask.raw("POST", "/api/v1/write", histograms)
        assert (status, b"native histograms" in body) == (400, True)
        assert ask.interface.counts()["samples_refused"] == 4
        for body in (b"", b"\xff\xff\xff", packed(b"\x0a\x05x")):
            assert (await ask.raw("POST", "/api/v1/write", body))[0] == 400
        too_long = b"\x80\x80\x80\x20" + bytes(100)
        status, body = await ask.raw("POST", "/api/v1/write", too_long)
        assert (status, b"longer than" in body) == (400, True)
        kind = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
        assert (await put(ask, {"x": []}, content_type=kind))[0] == 415
        assert (await put(ask, {"x": []}, content_encoding="zstd"))[0] == 400
        assert (await ask.raw("GET", "/api/v1/write"))[0] == 405

    with_interface(tmp_path, story)


@pytest.mark.parametrize(
    ("error", "write", "read"),
    [
        (NoLeader("no leader"), 503, "unavailable"),
        (OutcomeUnknown("who knows"), 503, "unavailable"),
        (Overloaded("too much"), 503, "unavailable"),
        (ModelRefused(Code.PERMISSION_DENIED, "no"), 403, "forbidden"),
        (ModelRefused(Code.UNAUTHENTICATED, "who"), 401, "unauthorized"),
    ],
)
def test_what_may_be_taken_later_is_503_and_never_429(
    tmp_path: Path, error: Exception, write: int, read: str
) -> None:
    async def story(ask: Asked) -> None:
        ask.refuses = error
        assert (await put(ask, {"x": [(0, 1.0)]}))[0] == write
        status, kind, text = await get(ask, "query", query="x")
        assert (status, kind, text) == (write, read, str(error))

    with_interface(tmp_path, story)


def read_in_steps(data: bytes) -> tuple[Written, list[int], int]:
    """What a request comes to, the longest of its steps, and how many points it had."""
    found, counts, point_count = Written(), list[int](), 0
    steps = RemoteWrite(None, None).read(data, found)  # type: ignore[arg-type]  # nothing is asked of them
    is_done = False

    def step() -> None:
        nonlocal is_done
        is_done = next(steps, steps) is steps

    while not is_done:
        counts.append(steps_of(step))
        if found.is_full or is_done:
            point_count += len(found.take_points())
    return found, counts, point_count


def test_what_is_written_is_read_over_turns_however_few_series_it_is_of() -> None:
    """Half a million samples of one series, and all that was said of metrics, were one step."""
    samples = [pb.Sample(timestamp=it, value=1.0) for it in range(30_000)]
    label = pb.Label(name=b"__name__", value=b"up").SerializeToString()
    said = [pb.Described(metric_family_name=b"m%d" % it, type=1) for it in range(3000)]
    data = pb.WriteRequest(
        timeseries=[pb.Written(labels=[label], samples=samples)], metadata=said
    ).SerializeToString()
    found, counts, point_count = read_in_steps(data)
    assert point_count == 30_000
    assert len(found.described) == 3000
    assert max(counts) < 24 * remote_write.STEP_SAMPLES


def _field(number: int, content: bytes) -> bytes:
    size, written = len(content), bytes([number << 3 | 2])
    while size >= 0x80:
        size, written = size >> 7, written + bytes([size & 0x7F | 0x80])
    return written + bytes([size]) + content


def test_what_is_written_is_decoded_in_parts_whatever_it_has_many_of() -> None:
    """Issue 14: a request of 32 MiB was decoded in one step, of half a second."""
    name = _field(1, pb.Label(name=b"__name__", value=b"up").SerializeToString())
    samples, nothing = _field(2, b"") * 4000, _field(1, b"")
    for data, wanted in (
        (nothing * 4000, 0),
        (_field(1, samples + name), 4000),  # the name may stand behind them
        (_field(1, nothing * 4000 + samples), 0),
        (_field(1, _field(1, b"x" * 100_000) + samples), 0),
        (_field(1, _field(3, b"") * 4000 + name + samples), 4000),
        (_field(3, b"x" * 100_000) + _field(9, b"x" * 100_000), 0),
        (_field(1, b"x" * 100_000) + b"x" * 100_000, 0),
    ):
        found, counts, point_count = read_in_steps(data)
        assert max(counts) < 24 * remote_write.STEP_SAMPLES
        assert point_count == wanted
        assert found.exemplar_count in (0, 4000)
    for data in (b"\x0a", b"\x0a\x05x", b"\x0b", b"\x80" * 11, b"\x09\0", _field(1, b"\x12\x05")):
        with pytest.raises(BadQuery):
            read_in_steps(data)
    long_sample = _field(1, _field(2, b"\x7a\xa0\x9c\x01" + b"x" * 20_000) * 2)
    assert read_in_steps(long_sample)[2] == 0, "of no name"
    with pytest.raises(BadQuery):
        read_in_steps(_field(1, _field(2, b"x" * 100_000)))


def test_many_series_are_appended_before_all_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Issue 14: to forget a hundred thousand at once took longer than a turn."""
    monkeypatch.setattr(remote_write, "SERIES_MAX", 3)
    monkeypatch.setattr(remote_write, "STEP_SAMPLES", 10)
    monkeypatch.setattr(remote_write, "KNOWN_MAX", 4)

    async def story(ask: Asked) -> None:
        series: dict[str, Sequence[Sample]] = {
            f"up{{host={it}}}": [(1_000, float(it)), (2_000, float(it))] for it in range(12)
        }
        assert (await put(ask, series))[0] == 204
        body = await ask.raw("GET", "/api/v1/query?query=sum(up)&time=2")
        assert json.loads(body[1])["data"]["result"][0]["value"][1] == "66"

    with_interface(tmp_path, story)


class Tree(dict[bytes, bytes]):
    """A tree of an operation's transaction, of which a row is looked at, and never all of it."""

    def count(self) -> int:
        raise AssertionError("that takes as long as to read all of it")

    __iter__ = __len__ = count  # type: ignore[assignment]  # nor is it walked over


class Trees:
    """An operation's transaction."""

    def __init__(self) -> None:
        self.trees: dict[str, Tree] = {}

    def tree(self, name: str) -> Tree:
        return self.trees.setdefault(name, Tree())


def test_metrics_are_described_up_to_a_number_without_being_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever said a new one where there were ten thousand had all of them counted each time."""
    monkeypatch.setattr(describing, "METRICS_MAX", 3)
    txn: Any = Trees()
    said = {b"%d" % it: describing.described(1, "help", "s") for it in range(5)}
    first = [b"0", b"1", b"2"]

    def names() -> list[bytes]:
        return list(txn.trees[describing.METRICS_TREE].keys())

    describing.describe(txn, {b"1": said[b"1"]})
    describing.describe(txn, said)
    assert sorted(names()) == first
    describing.describe(txn, {it: said[it] for it in first})
    describing.describe(txn, {b"1": describing.described(2, "another", "s")})
    describing.describe(txn, said)
    assert sorted(names()) == first
    assert txn.trees[describing.COUNT_TREE].get(b"") == b"\0\0\0\3"


def test_faults_of_queries_have_prometheus_names(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        await put(ask, {"x{a=1}": [(ms(0), 1.0)], "x{a=2}": [(ms(0), 2.0)]})

        async def fault(path: str = "query", **given: Any) -> tuple[int, str]:
            status, kind, text = await get(ask, path, **({"time": BEGIN} | given))
            assert text
            return status, kind

        wrong = (400, "bad_data")
        assert await fault(query="x{") == wrong
        assert await fault(query="") == wrong
        assert await fault(query='x{a=~"("}') == wrong
        assert await fault(query='{a=~".*"}') == wrong
        assert await fault(query="x", time="soon") == wrong
        assert await fault(query="x", time="1e300") == wrong
        assert await fault(query="x[100y]") == wrong
        assert await fault(query="x", timeout="never") == wrong
        assert await fault("series") == wrong
        assert await fault("series", **{"match[]": ["x + 1"]}) == wrong
        assert await fault("labels", limit="many") == wrong
        a_range = {"query": "x", "start": BEGIN, "end": BEGIN + 60}
        assert await fault("query_range", **a_range) == wrong
        assert await fault("query_range", **a_range, step=0) == wrong
        assert await fault("query_range", **(a_range | {"end": BEGIN - 1}), step=1) == wrong
        assert await fault("query_range", **(a_range | {"query": "x[1m]"}), step=1) == wrong
        assert await fault("query_range", **(a_range | {"query": '"x"'}), step=1) == wrong
        status, kind, text = await get(ask, "query_range", **a_range, step="1ms")
        assert (status, kind) == wrong
        assert "exceeded maximum resolution of 11,000 points" in text
        not_here = (422, "execution")
        for query in (
            "x[5m:1m]",
            "hour(x)",
            "count_values('v', x)",
            "x + fill(0) x",
            "mad_over_time(x[5m])",
            "histogram_count(x)",
            "quantile_over_time(x, x[5m])",
        ):
            assert await fault(query=query) in (not_here, wrong), query
        assert await fault(query="predict_linear(x[5m] @ 5, 1)") == not_here
        assert await fault(query="x + on() x") == not_here
        assert (await ask.raw("GET", "/api/v1/nothing"))[0] == 404
        assert (await ask.raw("DELETE", "/api/v1/query"))[0] == 405
        assert ask.interface.counts()["queries_failed"] > 0

    with_interface(tmp_path, story)


def test_what_a_query_touches_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(ask: Asked) -> None:
        await put(ask, {f"x{{a={it}}}": minutes(60) for it in range(5)})
        a_range: dict[str, Any] = {"query": "x", "start": BEGIN, "end": BEGIN + 3600, "step": 60}

        async def fault(room: Any, name: str, most: float, **given: Any) -> tuple[int, str]:
            with monkeypatch.context() as held:
                held.setattr(room, name, most)
                found = await get(ask, "query_range", **(a_range | given))
                return found[:2] if isinstance(found, tuple) else (200, "")

        large = (422, "execution")
        assert await fault(loading, "CELLS_MAX", 304) == large
        assert await fault(loading, "CELLS_MAX", 400) == (200, "")
        assert await fault(loading, "READ_MAX", 299) == large
        assert await fault(loading, "HELD_POINTS_MAX", 59) == large
        assert await fault(matching, "SERIES_MAX", 4) == large
        assert await fault(matching, "SCANNED_MAX", 4, query='{__name__=~".+x?"}') == large
        assert await fault(api, "TIMEOUT_S", 0.0) == (503, "timeout")
        assert (await get(ask, "query_range", **a_range, timeout=0))[:2] == (503, "timeout")
        assert await fault(loading, "PAGE_POINTS", 70) == (200, "")
        assert await fault(loading, "ASIDE_CELLS", 0) == (200, "")

    with_interface(tmp_path, story)


def test_queries_wait_for_their_turn_and_only_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "WAITING_MAX", 3)

    async def story(ask: Asked) -> None:
        await put(ask, {"x": minutes(60)})
        target = f"/api/v1/query?query={quote('sum(x)')}&time={BEGIN}"
        found = await asyncio.gather(*(ask.raw("GET", target) for _ in range(12)))
        statuses = [status for status, _ in found]
        assert statuses.count(200) == 5
        assert statuses.count(503) == 7
        assert ask.interface.counts()["queries_waiting"] == 0
        assert (await ask.raw("GET", target))[0] == 200

    with_interface(tmp_path, story)


async def read(ask: Asked, *queries: pb.Query, **given: Any) -> Any:
    request = pb.ReadRequest(queries=queries, **given)
    answer = await ask.interface.answer(
        ask.request(
            "POST", "/api/v1/read", bytes(snappy.compress_raw(request.SerializeToString())), {}
        )
    )
    assert isinstance(answer, Answer)
    if answer.status != 200:
        return answer.status
    assert (b"content-encoding", b"snappy") in answer.headers
    results = pb.ReadResponse.FromString(bytes(snappy.decompress_raw(answer.body))).results
    series = [[pb.Read.FromString(it) for it in pb.QueryResult.FromString(result).timeseries]
              for result in results]  # fmt: skip
    return [
        {
            ",".join(f"{label.name.decode()}={label.value.decode()}" for label in it.labels): [
                (sample.timestamp, sample.value) for sample in it.samples
            ]
            for it in found
        }
        for found in series
    ]


def asked(matchers: dict[str, tuple[int, str]], start: int, end: int) -> pb.Query:
    return pb.Query(
        start_timestamp_ms=start, end_timestamp_ms=end,
        matchers=[pb.Matcher(name=name, type=kind, value=value)
                  for name, (kind, value) in matchers.items()],
    )  # fmt: skip


def test_what_was_written_is_read_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(ask: Asked) -> None:
        await put(ask, {"x{a=1,z=}": [(ms(0), 1.5), (ms(1), STALE), (ms(2), 3.0)],
                        "x{a=2}": [(ms(1), 4.0)], "y": [(ms(1), 5.0)]})  # fmt: skip
        found = await read(
            ask,
            asked({"__name__": (0, "x")}, ms(0), ms(1)),
            asked({"__name__": (2, "x|y"), "a": (3, "1")}, ms(1), ms(9)),
            asked({"__name__": (0, "x"), "a": (1, "1")}, ms(2), ms(1)),
        )
        (zero, marker) = found[0]["__name__=x,a=1"]
        assert zero == (ms(0), 1.5)
        assert struct.pack("<d", marker[1]) == struct.pack("<d", STALE)
        assert found[0]["__name__=x,a=2"] == [(ms(1), 4.0)]
        assert found[1] == {"__name__=x,a=2": [(ms(1), 4.0)], "__name__=y": [(ms(1), 5.0)]}
        assert found[2] == {}
        monkeypatch.setattr(remote_read, "STEP_SAMPLES", 1)
        again = await read(
            ask, asked({"a": (0, "1")}, ms(0), ms(9)), accepted_response_types=[1, 0]
        )
        assert [time for time, _ in again[0]["__name__=x,a=1"]] == [ms(0), ms(1), ms(2)]
        everything = asked({"a": (0, "1")}, ms(0), ms(9))
        assert await read(ask, everything, accepted_response_types=[1]) == 400
        assert await read(ask, asked({"a": (7, "1")}, 0, 1)) == 400
        assert await read(ask, *[everything] * 17) == 400
        assert (await ask.raw("POST", "/api/v1/read", b"\xff"))[0] == 400
        assert (await ask.raw("GET", "/api/v1/read"))[0] == 405
        monkeypatch.setattr(remote_read, "SAMPLES_MAX", 2)
        assert await read(ask, everything) == 422

    with_interface(tmp_path, story)


def test_what_is_not_installed_is_said_with_501(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing() -> None:
        raise SeriesUnavailable("it needs this and that")

    monkeypatch.setattr(interface, "_prometheus", nothing)

    async def story(ask: Asked) -> None:
        for path in ("write", "query", "read"):
            status, body = await ask.raw("POST", f"/api/v1/{path}")
            assert (status, json.loads(body)["message"]) == (501, "it needs this and that")

    with_interface(tmp_path, story)
