"""Calls that came as JSON: one outcome each, and lines that wait for whoever reads them."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Generator

import pytest

from roost.call import Code
from roost.flow import OWN
from roost.proto import kv_pb2
from roost.proto import rpc_pb2 as pb
from roost.server.json_calls import HTTP_STATUS, FailedError, JsonCall, JsonStream
from roost.server.json_parts import STEP_BYTES
from roost.sim.members.loop import run_virtually
from tests.steps import steps_of

ANSWER = pb.PutResponse(prev_kv={"key": b"k"})
# Lines that run in one step of JSON: about a millisecond.
STEP_STEPS_MAX = 8000
LINE = {"result": {"prev_kv": {"key": "aw=="}}}


def call() -> JsonCall:
    return JsonCall("token", "10.0.0.1", OWN)


def stream() -> JsonStream:
    return JsonStream("token", "10.0.0.1", OWN, pb.PutResponse)


def virtually(story: Callable[[], Coroutine[None, None, None]]) -> None:
    run_virtually(story())


def test_the_first_outcome_of_a_call_is_its_only_one() -> None:
    """A service answers once; a client that has gone hears nothing, and nobody fails for it."""

    async def story() -> None:
        one = call()
        assert not one.is_over
        one.reply(b"first")
        one.reply(b"second")
        one.fail(Code.INTERNAL, "late")
        assert (one.is_over, await one.outcome) == (True, b"first")
        gone = call()
        gone.leave()
        gone.reply(b"late")
        gone.send_all([b"late"])
        assert gone.is_over

    virtually(story)


@pytest.mark.parametrize("end", ["fail", "finish"])
def test_a_refusal_is_told_with_its_code(end: str) -> None:
    async def story() -> None:
        one = call()
        getattr(one, end)(Code.NOT_FOUND, "nothing")
        with pytest.raises(FailedError, match="nothing") as caught:
            await one.outcome
        assert caught.value.code == Code.NOT_FOUND

    virtually(story)


def test_a_long_answer_is_over_when_its_parts_are_and_not_before() -> None:
    async def story() -> None:
        one = call()
        one.reply_in_parts(10)
        assert one.outcome.done()
        is_over = [one.is_over]
        one.leave()
        is_over.append(one.is_over)
        assert is_over == [False, True], "parts were yet to come"
        gone = call()
        gone.leave()
        gone.reply_in_parts(10)
        assert gone.is_over, "nobody waits for parts either"

    virtually(story)


def test_no_certificate_speaks_for_who_posts() -> None:
    """CVE-2018-16886: a proxy's certificate made its clients somebody."""

    async def story() -> None:
        assert (call().certificate_name, stream().certificate_name) == ("", "")

    virtually(story)


async def lines(one: JsonStream) -> list[object]:
    """All lines up to the end."""
    found = []
    async for line in one.parts():
        assert line.endswith(b"\n")
        found.append(json.loads(line))
    return found


def test_answers_are_lines_in_order_and_an_error_is_the_last() -> None:
    async def story() -> None:
        one = stream()
        one.send_all([ANSWER.SerializeToString()] * 2)
        one.finish(Code.UNAVAILABLE, "no leader")
        one.send(ANSWER.SerializeToString())
        one.finish(Code.INTERNAL, "once more")
        said = {"grpc_code": 14, "http_code": 503, "message": "no leader"}
        error = {"error": {**said, "http_status": "Service Unavailable"}}
        assert await lines(one) == [LINE, LINE, error]
        assert one.first_status == 200, "the head had left"

    virtually(story)


def test_a_long_answer_is_one_line_in_bounded_parts_of_bounded_steps() -> None:
    """Issue 14: an answer of ten thousand events was made JSON in one step."""
    event = kv_pb2.Event(kv=kv_pb2.KeyValue(key=b"k" * 20, value=b"v" * 20))
    answer = pb.WatchResponse(watch_id=1, events=[event] * 10_000).SerializeToString()

    async def story() -> None:
        one = JsonStream("", "", OWN, pb.WatchResponse)
        counts: list[int] = []
        ends: list[list[bytes]] = []

        async def read() -> list[bytes]:
            return [it async for it in one.parts()]

        counts.append(steps_of(lambda: one.send_all([answer, b""])))
        one.finish(Code.OK, "")
        steps = read().__await__()
        while not ends:
            counts.append(steps_of(lambda: take(steps, ends)))
        parts = ends[0]
        assert max(counts) < STEP_STEPS_MAX
        assert max(map(len, parts)) < 3 * STEP_BYTES
        first, second, _ = b"".join(parts).split(b"\n")
        assert len(json.loads(first)["result"]["events"]) == 10_000
        assert json.loads(second) == {"result": {}}

    virtually(story)


def take(steps: Generator[object, None, list[bytes]], ends: list[list[bytes]]) -> None:
    try:
        next(steps)
    except StopIteration as end:
        ends.append(end.value)


def test_an_end_without_an_error_has_no_line() -> None:
    async def story() -> None:
        one = stream()
        one.finish(Code.OK, "")
        assert await lines(one) == []

    virtually(story)


@pytest.mark.parametrize(("code", "status"), [*HTTP_STATUS.items(), (Code.UNKNOWN, 500)])
def test_an_error_before_all_answers_is_the_status_of_the_page(code: int, status: int) -> None:
    async def story() -> None:
        one = stream()
        one.finish(code, "why")
        assert one.first_status == (status if code else 200)

    virtually(story)


def test_what_waits_is_counted_until_it_is_read_and_then_that_is_told() -> None:
    async def story() -> None:
        one = stream()
        drained: list[int] = []
        one.on_drain = lambda: drained.append(one.pending_bytes)
        one.send_all([ANSWER.SerializeToString()] * 2)
        size, parts = ANSWER.ByteSize(), one.parts()
        assert one.pending_bytes == 2 * size
        await anext(parts)
        assert (one.pending_bytes, drained) == (size, [])
        await anext(parts)
        assert (one.pending_bytes, drained) == (0, [0])
        waiting = asyncio.ensure_future(anext(parts, b"the end"))
        one.finish(Code.OK, "")
        assert await waiting == b"the end"

    virtually(story)
