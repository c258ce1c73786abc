"""Ids of requests: which there are, how they travel, and that nobody pays who has none."""

import logging
from collections.abc import Iterator

import pytest

from roost import tracing
from roost.flow import Flow
from roost.tracing import Traced, Way, decoded_flow, encoded_trace, id_of, traced

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
FLOW = Flow("10.0.0.1", 7)


@pytest.fixture
def ways() -> Iterator[list[Way]]:
    """All that end, while somebody looks."""
    found: list[Way] = []
    tracing.sinks.append(found.append)
    yield found
    tracing.sinks.remove(found.append)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ([(b"traceparent", PARENT)], PARENT.decode()),
        (
            [(b"x-request-id", b"a"), (b"traceparent", PARENT), (b"x-request-id", b"b")],
            PARENT.decode(),
        ),
        ([(b"x-request-id", b"order-4711")], "order-4711"),
        ([(b"x-request-id", b"a" * 55)], "a" * 55),
        ([(b"x-request-id", b"a" * 56)], ""),
        ([(b"x-request-id", b"a\nb")], ""),
        ([(b"x-request-id", b"")], ""),
        ([(b"traceparent", PARENT[:-1])], ""),
        ([(b"traceparent", b"x" + PARENT[1:])], ""),
        ([(b"other", b"a")], ""),
    ],
)
def test_an_id_is_what_headers_say(fields: list[tuple[bytes, bytes]], found: str) -> None:
    assert id_of(fields) == found


def test_ids_are_not_read_while_nobody_looks(caplog: pytest.LogCaptureFixture) -> None:
    fields = [(b"x-request-id", b"a")]
    assert not tracing.is_on()
    assert traced(FLOW, fields, "put", "here") is FLOW
    with caplog.at_level(logging.DEBUG, logger="roost.tracing"):
        assert tracing.is_on()
        flow = traced(FLOW, fields, "put", "here")
    assert isinstance(flow, Traced)
    assert [it.getMessage() for it in caplog.records] == ["a put at here: received after 0.000 ms"]
    assert vars(caplog.records[0])["trace"] == "a"


@pytest.mark.usefixtures("ways")
def test_a_flow_with_an_id_shares_turns_as_without() -> None:
    flow = Traced.of(FLOW, "a")
    assert {flow} == {FLOW}
    user = flow.as_user("u")
    assert isinstance(user, Traced)
    assert (user, user.trace) == (Flow("user:u", 7), "a")


@pytest.mark.usefixtures("ways")
def test_an_id_travels_behind_the_owner() -> None:
    flow = decoded_flow(b"10.0.0.1" + encoded_trace(Traced.of(FLOW, "a-1")), 7)
    assert isinstance(flow, Traced)
    assert (flow, flow.trace) == (FLOW, "a-1")
    for owner in (b"10.0.0.1", b"user:a\0b c", b"user:a\0"):
        plain = decoded_flow(owner, 7)
        assert (plain, type(plain)) == (Flow(owner.decode(), 7), Flow)
    assert encoded_trace(FLOW) == b""


def test_who_does_not_look_takes_the_flow_without_the_id() -> None:
    flow = decoded_flow(b"10.0.0.1\0a-1", 7)
    assert (flow, type(flow)) == (FLOW, Flow)


def test_whoever_hears_of_ways_hears_of_each_once_with_its_steps(ways: list[Way]) -> None:
    way = Way("a", "put", "m1")
    way.note("queued")
    way.end("answered", outcome="done")
    [heard] = ways
    assert [(it.name, it.facts) for it in heard.steps] == [
        ("queued", {}),
        ("answered", {"outcome": "done"}),
    ]
    assert heard.steps[0].at_ns <= heard.steps[1].at_ns


def test_what_a_client_has_named_breaks_no_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="roost.tracing"):
        Way("a", "GET /x\nb said: c", "m1").end("answered", outcome="y\n" * 200)
    [told] = [it.getMessage() for it in caplog.records]
    assert "\n" not in told
    assert told.startswith(r"a 'GET /x\nb said: c' at m1: answered after 0.000 ms outcome='y\ny")
    assert told.endswith("…")
    assert len(told) < 500
