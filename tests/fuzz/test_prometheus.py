"""Whatever bytes Prometheus' clients send: an answer, or an error with a name, and nothing else."""

from collections.abc import Callable, Iterator
from itertools import islice

import pytest

pytest.importorskip("promql_parser")

from roost.exchange import Request
from roost.proto import prometheus_pb2 as pb
from roost.series.errors import BadSeries
from roost.series.prometheus import asked as asking
from roost.series.prometheus.errors import BadQuery, NotInSubset
from roost.series.prometheus.packing import pack, unpack
from roost.series.prometheus.parsing import parsed, parsed_matchers
from roost.series.prometheus.remote_read import matchers_of
from roost.series.prometheus.remote_read import parsed as read_parsed
from roost.series.prometheus.remote_write import RemoteWrite, Written, info_of
from tests.fuzz.mutation import mutations
from tests.integration.test_prometheus import QUERIES, REFUSED

pytestmark = pytest.mark.slow
# Each is some tens of microseconds; `mutations` has more for whoever has the time.
EXECUTIONS = 10_000


def fuzzed(
    target: Callable[[bytes], object], corpus: list[bytes], *allowed: type[Exception]
) -> int:
    """How often a target was content; a panic of a library is no `Exception`, and found too."""
    content = 0
    for data in islice(mutations(corpus), EXECUTIONS):
        try:
            target(data)
        except allowed:
            continue
        except BaseException as error:
            raise AssertionError(f"{type(error).__name__}: {error}\nby {data!r}") from error
        content += 1
    return content


def test_queries() -> None:
    corpus = [it.encode() for it in (*QUERIES, *REFUSED, "x[5m] offset 9w", "x[1y2d3h4m5s6ms]")]
    content = fuzzed(
        lambda data: parsed(data.decode(errors="replace"), 10**9), corpus, BadQuery, NotInSubset
    )
    assert EXECUTIONS / 50 < content < EXECUTIONS


def test_selectors() -> None:
    corpus = [b'x{a="b",c=~"d.*|e",f!="g",h!~"i"}', b'{"m.f","a b"="c"}', b"{__name__=~'.+'}"]
    content = fuzzed(
        lambda data: parsed_matchers(data.decode(errors="replace")), corpus, BadQuery, NotInSubset
    )
    assert EXECUTIONS / 50 < content < EXECUTIONS


def labels() -> Iterator[bytes]:
    for name, value in ((b"__name__", b"up"), (b"job", b"a"), (b"empty", b"")):
        yield pb.Label(name=name, value=value).SerializeToString()


def test_what_is_written() -> None:
    request = pb.WriteRequest(
        timeseries=[
            pb.Written(
                labels=list(labels()),
                samples=[pb.Sample(value=1.5, timestamp=1_700_000_000_000), pb.Sample()],
                exemplars=[b"x"],
                histograms=[b"y"],
            )
        ],
        metadata=[pb.Described(type=1, help=b"text")],
    )
    writing = RemoteWrite(None, None)  # type: ignore[arg-type]  # nothing is asked of them

    def read(data: bytes) -> None:
        found = Written()
        for _ in writing.read(data, found):
            continue
        points = found.take_points()
        assert len(points) == len(points.values) == len(points.places)
        assert all(it < len(points.series) for it in points.places.tolist())

    content = fuzzed(read, [request.SerializeToString()], BadQuery)
    assert EXECUTIONS / 50 < content < EXECUTIONS
    fuzzed(lambda data: info_of([data]), list(labels()), BadSeries)


def test_blocks_of_snappy() -> None:
    corpus = [pack(b"abc" * 100), pack(bytes(range(256)) * 20), b"\xff\xff\xff\xff\x0f"]
    content = fuzzed(unpack, corpus, BadQuery)
    assert EXECUTIONS / 50 < content < EXECUTIONS


def test_what_is_read() -> None:
    query = pb.Query(
        start_timestamp_ms=-5,
        end_timestamp_ms=9,
        matchers=[pb.Matcher(name="a", type=3, value="b")],
    )
    request = pb.ReadRequest(queries=[query], accepted_response_types=[0, 1])

    def read(data: bytes) -> None:
        for it in read_parsed(data).queries:
            matchers_of(it)

    content = fuzzed(read, [request.SerializeToString()], BadQuery)
    assert EXECUTIONS / 50 < content < EXECUTIONS


def test_parameters() -> None:
    corpus = [
        b"start=1.5&end=2024-01-01T00:00:00Z&step=1h30m&query=x", b"start=1&end=2&step=0.5",
        b"start=-1e9&end=%2B5&step=15&limit=7", b"start=now&end=1e300&step=1e300&time=99999y",
    ]  # fmt: skip

    def read(data: bytes) -> None:
        headers = {b"content-type": b"application/x-www-form-urlencoded"}
        request = Request(method="POST", raw_path=b"/", query=b"", body=data, headers=headers,
                          caller=None)  # type: ignore[arg-type]  # nobody asks who it is  # fmt: skip
        found = asking.asked_of(request, 10**18)
        found.limit(5)
        found.moment("time", 5)
        steps = found.steps()
        assert 1 <= len(steps) <= asking.STEPS_MAX + 1

    content = fuzzed(read, corpus, BadQuery)
    assert 1 < content < EXECUTIONS
