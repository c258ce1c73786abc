"""A long answer as JSON: however it is cut into parts, it says what the whole message says."""

import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.proto import auth_pb2, kv_pb2
from roost.proto import rpc_pb2 as pb
from roost.server.json_answer import to_json
from roost.server.json_parts import STEP_FIELDS, JsonParts, json_of
from roost.sim.members.loop import run_virtually, until_idle

NUMBERS = st.integers(0, (1 << 63) - 1)
KVS = st.builds(
    lambda key, value, number: kv_pb2.KeyValue(
        key=key, value=value, mod_revision=number, lease=-number
    ),
    st.binary(max_size=5),
    st.binary(max_size=300),
    NUMBERS,
)
RANGES = st.builds(
    lambda kvs, count, more: pb.RangeResponse(
        header=pb.ResponseHeader(revision=count), kvs=kvs, count=count, more=more
    ),
    st.lists(KVS, max_size=8),
    NUMBERS,
    st.booleans(),
)


def oracle(message: Message) -> object:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def said_of(kind: type[Message], parts: Sequence[bytes]) -> object:
    """What a client reads of an answer that comes in parts."""

    async def story() -> list[bytes]:
        answer = JsonParts(sum(map(len, parts)))
        for part in parts:
            answer.send(part)
        return [piece async for piece in json_of(kind, answer)]

    return json.loads(b"".join(run_virtually(story())))


@settings(max_examples=60)
@given(RANGES, st.lists(st.integers(0, 2000), max_size=6))
def test_wherever_an_answer_is_cut_it_says_the_same(
    message: pb.RangeResponse, cuts: list[int]
) -> None:
    whole = message.SerializeToString()
    places = sorted({0, len(whole), *(it for it in cuts if it < len(whole))})
    parts = [whole[begin:end] for begin, end in pairwise(places)]
    assert to_json(message) == oracle(message)
    assert said_of(pb.RangeResponse, parts) == oracle(message)


@pytest.mark.parametrize(
    "message",
    [
        pb.AlarmResponse(alarms=[{"memberID": 7, "alarm": "NOSPACE"}, {"alarm": "CORRUPT"}]),
        pb.TxnResponse(
            succeeded=True,
            responses=[
                {"response_put": {"prev_kv": {"key": b"\xff"}}},
                {"response_txn": {"responses": [{"response_range": {"count": 2}}]}},
            ],
        ),
        pb.AuthRoleGetResponse(perm=[auth_pb2.Permission(permType="READWRITE", key=b"a")]),
        pb.StatusResponse(version="3.5", dbSize=-1, errors=["one", "two"], isLearner=True),
        pb.RangeResponse(),
    ],
)
def test_every_kind_of_field_is_said_as_protobuf_has_it(message: Message) -> None:
    assert to_json(message) == oracle(message)
    assert said_of(type(message), [message.SerializeToString()]) == oracle(message)


def test_a_long_answer_is_written_in_steps_and_is_not_kept() -> None:
    kvs = [
        kv_pb2.KeyValue(key=b"%d" % number, version=number) for number in range(10 * STEP_FIELDS)
    ]
    part = pb.RangeResponse(kvs=kvs).SerializeToString()
    drained: list[int] = []

    async def story() -> None:
        answer = JsonParts(2 * len(part))
        answer.on_drain = lambda: drained.append(answer.pending_bytes)
        pieces: list[bytes] = []

        async def read() -> None:
            pieces.extend([piece async for piece in json_of(pb.RangeResponse, answer)])

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read())
            answer.send(part)
            await until_idle()
            assert drained == [0]
            assert not reading.done()
            answer.send(part)
        assert len(pieces) > 20
        said = json.loads(b"".join(pieces))
        assert said == oracle(pb.RangeResponse(kvs=[*kvs, *kvs]))

    run_virtually(story())


def test_an_answer_that_ends_too_early_says_why() -> None:
    async def story() -> None:
        answer = JsonParts(100)
        answer.send(pb.RangeResponse(count=7).SerializeToString())
        pieces = json_of(pb.RangeResponse, answer)
        assert await anext(pieces) == b'{"count":"7"'
        answer.fail(ValueError("the state is gone"))
        with pytest.raises(ValueError, match="the state is gone"):
            await anext(pieces)

    run_virtually(story())


def test_when_nobody_reads_any_more_who_sends_is_told() -> None:
    async def story() -> None:
        told: list[bool] = []
        answer = JsonParts(100)
        answer.on_drain = lambda: told.append(answer.is_over)
        answer.leave()
        answer.send(b"more")
        assert told == [True]
        assert answer.pending_bytes == 0

    run_virtually(story())
