"""A long answer as JSON: however it is cut into parts, it says what the whole message says."""

import asyncio
import json
from collections.abc import Generator, Sequence
from itertools import pairwise

import msgspec
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.proto import auth_pb2, kv_pb2
from roost.proto import rpc_pb2 as pb
from roost.server import json_parts
from roost.server.json_answer import to_json
from roost.server.json_parts import STEP_BYTES, STEP_FIELDS, JsonParts, Writer, json_of
from roost.sim.members.loop import run_virtually, until_idle
from tests.steps import slices_of

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


def said_whole(message: Message) -> object:
    """What a client reads of a short answer."""
    return json.loads(msgspec.json.encode(to_json(message)))


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
    assert said_whole(message) == oracle(message)
    assert said_of(pb.RangeResponse, parts) == oracle(message)


def within(message: pb.TxnResponse, another: pb.RangeResponse) -> pb.TxnResponse:
    """A transaction's answer that has another and a range in it."""
    inner = [
        pb.ResponseOp(response_txn=message),
        pb.ResponseOp(response_range=another),
        pb.ResponseOp(response_put=pb.PutResponse()),
    ]
    return pb.TxnResponse(succeeded=True, responses=inner)


TXNS = st.recursive(
    st.builds(pb.TxnResponse), lambda it: st.builds(within, it, RANGES), max_leaves=3
)


@settings(max_examples=60)
@given(TXNS, st.lists(st.integers(0, 2000), max_size=6), st.sampled_from([0, 3, 40]))
def test_messages_within_messages_say_the_same_however_long_a_step_may_be(
    message: pb.TxnResponse, cuts: list[int], step_bytes: int
) -> None:
    whole = message.SerializeToString()
    places = sorted({0, len(whole), *(it for it in cuts if it < len(whole))})
    parts = [whole[begin:end] for begin, end in pairwise(places)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_parts, "STEP_BYTES", step_bytes)
        assert said_of(pb.TxnResponse, parts) == oracle(message)


def test_a_transactions_answer_to_a_long_range_is_written_in_steps_while_it_comes() -> None:
    """Issue 14: it was kept until it was whole, copied with each part, and written in one step."""
    kvs = [kv_pb2.KeyValue(key=b"%d" % number, value=b"v" * 90) for number in range(5000)]
    message = within(pb.TxnResponse(), pb.RangeResponse(kvs=kvs))
    data, writer = message.SerializeToString(), Writer(pb.TxnResponse)
    said, counts, kept = b"", list[int](), list[int]()
    for begin in range(0, len(data), 8192):
        pieces: list[bytes] = []

        def steps(part: bytes, pieces: list[bytes]) -> Generator[None, None, None]:
            for piece in writer.feed(part):
                pieces.append(piece)
                yield

        counts += slices_of(steps(data[begin : begin + 8192], pieces))[0]
        said += b"".join(pieces)
        kept.append(len(writer._rest))
    assert json.loads(said + writer.end()) == oracle(message)
    assert max(counts) < 60 * STEP_FIELDS
    assert max(kept) < STEP_BYTES


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
    assert said_whole(message) == oracle(message)
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
