"""Protobuf by hand against the generated classes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roost.etcd.model.costs import at_once
from roost.etcd.model.origin import Origin
from roost.etcd.model.wire import (
    Header,
    decode_key_value,
    encode_key_value,
    encode_tombstone,
    operations_left,
    read_key,
    read_key_here,
    read_origin,
    read_put,
    read_puts,
    read_varint,
    varint,
)
from roost.proto import kv_pb2, rpc_pb2
from tests.steps import slices_of, steps_of

NUMBERS = st.one_of(
    st.integers(1, 2**63 - 1),
    st.sampled_from([1 << shift for shift in range(63)]),
    st.sampled_from([(1 << shift) - 1 for shift in range(1, 64)]),
)
BYTES = st.one_of(
    st.binary(max_size=20), st.binary(min_size=120, max_size=140), st.just(bytes(9000))
)


@given(NUMBERS)
def test_a_number_comes_back_as_protobuf_writes_it(number: int) -> None:
    encoded = varint(number)
    assert rpc_pb2.ResponseHeader(revision=number).SerializeToString() == b"\x18" + encoded
    assert read_varint(encoded, 0) == (number, len(encoded))


@given(BYTES, NUMBERS, NUMBERS, NUMBERS, BYTES, st.one_of(st.just(0), NUMBERS))
def test_key_values_are_those_of_protobuf(
    key: bytes, create: int, mod: int, version: int, value: bytes, lease: int
) -> None:
    create, mod = sorted((create, mod))
    encoded = encode_key_value(key, create, mod, version, value, lease)
    message = kv_pb2.KeyValue.FromString(encoded)
    assert message == kv_pb2.KeyValue(
        key=key,
        create_revision=create,
        mod_revision=mod,
        version=version,
        value=value,
        lease=lease,
    )
    assert read_origin(encoded) == Origin(create, version, lease)
    assert decode_key_value(encoded) == (key, create, mod, version, value, lease)
    tombstone = kv_pb2.KeyValue.FromString(encode_tombstone(key, mod))
    assert tombstone == kv_pb2.KeyValue(key=key, mod_revision=mod)


@given(BYTES.filter(bool), BYTES.filter(bool))
def test_a_plain_put_is_read_without_the_generated_class(key: bytes, value: bytes) -> None:
    body = rpc_pb2.PutRequest(key=key, value=value).SerializeToString()
    assert read_put(body) == (key, value)


@given(
    st.one_of(
        st.binary(max_size=12),
        st.builds(
            lambda prefix, rest: prefix + rest,
            st.sampled_from([b"\x0a", b"\x0a\x01k", b"\x0a\x01k\x12", b"\x0a\x81\x00k\x12\x01"]),
            st.binary(max_size=6),
        ),
    )
)
@example(rpc_pb2.PutRequest(key=b"k", value=b"v", lease=1).SerializeToString())
@example(rpc_pb2.PutRequest(key=b"k", value=b"v", prev_kv=True).SerializeToString())
@example(rpc_pb2.PutRequest(value=b"v").SerializeToString())
def test_any_bytes_are_read_as_the_generated_class_reads_them_or_left_to_it(body: bytes) -> None:
    plain = read_put(body)
    if plain is not None:
        message = rpc_pb2.PutRequest.FromString(body)
        assert message == rpc_pb2.PutRequest(key=plain[0], value=plain[1])
        assert plain[0]


def test_a_length_is_read_as_far_as_lengths_go() -> None:
    """One of a megabyte held the leader for a minute: each byte was shifted to its place."""
    for count in range(1, 12):
        length = b"\x81" + b"\x80" * (count - 2) + b"\x00" if count > 1 else b"\x01"
        body = b"\x0a\x01k\x12" + length + b"v"
        wanted = (b"k", b"v") if count <= 5 else None
        assert read_put(body) == wanted, count
    assert read_put(b"\x0a\x01k\x12\x81\x80") is None
    hostile = b"\x0a\x01k\x12" + b"\xff" * 1_000_000
    assert steps_of(lambda: read_put(hostile)) < 60
    assert steps_of(lambda: read_puts(b"\x12" + b"\xff" * 1_000_000, 100)) < 60
    assert read_varint(varint(-1), 0) == (2**64 - 1, 10)
    with pytest.raises(IndexError):
        read_varint(b"\xff" * 10 + b"\x01", 0)


PLAIN_PUTS = st.lists(st.tuples(BYTES.filter(bool), BYTES.filter(bool)), min_size=1, max_size=5)


def _txn_of(puts: list[tuple[bytes, bytes]]) -> rpc_pb2.TxnRequest:
    put = rpc_pb2.PutRequest
    return rpc_pb2.TxnRequest(
        success=[rpc_pb2.RequestOp(request_put=put(key=it[0], value=it[1])) for it in puts]
    )


@given(PLAIN_PUTS)
def test_plain_puts_are_read_without_the_generated_classes(puts: list[tuple[bytes, bytes]]) -> None:
    assert read_puts(_txn_of(puts).SerializeToString(), 100) == puts


def test_what_does_more_than_plain_puts_is_left_to_the_generated_classes() -> None:
    plain = _txn_of([(b"a", b"1")])
    others = [rpc_pb2.TxnRequest(), *(rpc_pb2.TxnRequest() for _ in range(4))]
    for it in others[1:]:
        it.CopyFrom(plain)
    others[1].failure.add().request_range.key = b"k"
    others[2].compare.add().key = b"k"
    others[3].success.add().request_put.lease = 7
    others[4].success.add()
    for other in others:
        assert read_puts(other.SerializeToString(), 100) is None


@given(PLAIN_PUTS, st.integers(0, 100_000), st.binary(max_size=3))
def test_damaged_puts_are_read_as_the_generated_class_reads_them_or_left_to_it(
    puts: list[tuple[bytes, bytes]], place: int, instead: bytes
) -> None:
    body = _txn_of(puts).SerializeToString()
    place %= len(body) + 1
    damaged = body[:place] + instead + body[place + 1 :]
    found = read_puts(damaged, 100)
    if found is not None:
        assert rpc_pb2.TxnRequest.FromString(damaged) == _txn_of(found)


@given(st.one_of(st.binary(max_size=6), st.binary(max_size=200).map(lambda it: b"\x0a\x05" + it)))
@example(rpc_pb2.RangeRequest(key=b"key").SerializeToString())
@example(rpc_pb2.RangeRequest(key=b"key", range_end=b"l").SerializeToString())
@example(rpc_pb2.RangeRequest(key=b"k", serializable=True).SerializeToString())
@example(rpc_pb2.RangeRequest(key=bytes(127)).SerializeToString())
@example(rpc_pb2.RangeRequest(key=bytes(128)).SerializeToString())
@example(rpc_pb2.RangeRequest(limit=5).SerializeToString())
def test_a_lone_key_is_read_as_the_generated_class_reads_it_or_left_to_it(body: bytes) -> None:
    key = read_key(body)
    if key is not None:
        assert key
        assert rpc_pb2.RangeRequest.FromString(body) == rpc_pb2.RangeRequest(key=key)
    local = body + b"\x38\x01"
    assert read_key_here(local) == key
    if key is not None:
        wanted = rpc_pb2.RangeRequest(key=key, serializable=True)
        assert rpc_pb2.RangeRequest.FromString(local) == wanted


def test_a_lone_key_is_recognised() -> None:
    for length in (1, 2, 127):
        key = b"8\x01" * length
        key = key[:length]
        assert read_key(rpc_pb2.RangeRequest(key=key).SerializeToString()) == key
        local = rpc_pb2.RangeRequest(key=key, serializable=True).SerializeToString()
        assert (read_key(local), read_key_here(local)) == (None, key)


@given(st.lists(st.tuples(st.one_of(st.just(0), NUMBERS), NUMBERS), min_size=1, max_size=4))
def test_headers_are_those_of_protobuf(answers: list[tuple[int, int]]) -> None:
    header = Header(cluster_id=2**63 + 5, member_id=77)
    for revision, term in [*answers, *answers]:
        message = rpc_pb2.PutResponse.FromString(header.encode(revision, term))
        wanted = rpc_pb2.ResponseHeader(
            cluster_id=2**63 + 5, member_id=77, revision=revision, raft_term=term
        )
        assert message.header == wanted


def test_of_more_puts_than_there_may_be_one_more_is_read() -> None:
    """Issue 14: a megabyte of the smallest are two hundred thousand, all of them in one step."""
    puts = [(b"%d" % it, b"v") for it in range(100)]
    body = _txn_of(puts).SerializeToString()
    assert read_puts(body, 100) == puts
    assert read_puts(body, 99) == puts
    assert read_puts(body, 4) == puts[:5]


TXNS = st.recursive(
    st.builds(
        rpc_pb2.TxnRequest,
        compare=st.lists(st.builds(rpc_pb2.Compare, key=st.binary(max_size=2)), max_size=2),
        success=st.lists(
            st.sampled_from(
                [
                    rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"\x22\x02")),
                    rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(limit=300, revision=1)),
                    rpc_pb2.RequestOp(
                        request_delete_range=rpc_pb2.DeleteRangeRequest(key=b"k", prev_kv=True)
                    ),
                ]
            ),
            max_size=3,
        ),
    ),
    lambda inner: st.builds(
        rpc_pb2.TxnRequest,
        success=st.lists(inner.map(lambda it: rpc_pb2.RequestOp(request_txn=it)), max_size=3),
        failure=st.lists(inner.map(lambda it: rpc_pb2.RequestOp(request_txn=it)), max_size=2),
    ),
    max_leaves=6,
)


def count_of(request: rpc_pb2.TxnRequest) -> int:
    each = [*request.success, *request.failure]
    nested = sum(count_of(it.request_txn) for it in each if it.HasField("request_txn"))
    return len(request.compare) + len(each) + nested


@given(TXNS)
def test_operations_are_counted_without_being_decoded(request: rpc_pb2.TxnRequest) -> None:
    body, count = request.SerializeToString(), count_of(request)
    # Fields that nobody knows, of each kind, are passed.
    for unknown in (b"", b"\x78\x96\x01", b"\x79" + b"\x12" * 8, b"\x7d" + b"\x12" * 4):
        for whole in (unknown + body, body + unknown):
            assert at_once(operations_left(whole, 100 + count)) == 100
    if count:
        assert at_once(operations_left(body, count - 1)) == -1


def test_what_is_no_transaction_is_counted_no_further() -> None:
    put = rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"k")).SerializeToString()
    one = b"\x12" + bytes((len(put),)) + put
    assert at_once(operations_left(one + b"\x12\x7f" + put, 9)) == 7
    assert at_once(operations_left(one + b"\x12", 9)) == 8
    inner = b"\x12\x04\x22\x7f\x12\x00"
    assert at_once(operations_left(inner, 9)) in (7, 8), "what is in it ends behind it"
    assert at_once(operations_left(b"\x7b" + one, 9)) == -1, "a group may hide anything"
    counts, left = slices_of(operations_left(one * 20_000, 10_000))
    assert left == -1
    assert max(counts) < 4_000
