"""Keys and transactions; the sentence of `rpc.proto` or `kv.proto` that each test shows."""

from collections.abc import Iterator
from typing import Any

import pytest

from roost import etcd
from roost.call import Unary
from roost.proto import rpc_pb2 as pb
from tests.etcd.replica import Answer, LocalReplica

NOT_FOUND = (3, "etcdserver: key not found")
COMPACTED = (11, "etcdserver: mvcc: required revision has been compacted")
FUTURE = (11, "etcdserver: mvcc: required revision is a future revision")
DUPLICATE = (3, "etcdserver: duplicate key given in txn request")

Request = (
    pb.RangeRequest | pb.PutRequest | pb.DeleteRangeRequest | pb.TxnRequest | pb.CompactionRequest
)


class Keys:
    """The KV service of a replica of one."""

    def __init__(self) -> None:
        self.replica = LocalReplica()
        self.routes = etcd.Services(self.replica, self.replica.store).routes()

    def _call(self, method: str, request: Request) -> Answer:
        route = self.routes[f"/etcdserverpb.KV/{method}".encode()]
        assert isinstance(route, Unary)
        answer = Answer()
        route.handle(answer, request.SerializeToString())
        return answer

    def refusal(self, method: str, request: Request) -> tuple[int, str] | None:
        return self._call(method, request).error

    def put(self, key: bytes, value: bytes = b"v", **more: bool) -> pb.PutResponse:
        answer = self._call("Put", pb.PutRequest(key=key, value=value, **more))
        return pb.PutResponse.FromString(answer.message or b"")

    def get(self, key: bytes, end: bytes = b"", **more: Any) -> pb.RangeResponse:
        answer = self._call("Range", pb.RangeRequest(key=key, range_end=end, **more))
        return pb.RangeResponse.FromString(answer.message or b"")

    def delete(self, key: bytes, end: bytes = b"", **more: bool) -> pb.DeleteRangeResponse:
        request = pb.DeleteRangeRequest(key=key, range_end=end, **more)
        return pb.DeleteRangeResponse.FromString(self._call("DeleteRange", request).message or b"")

    def txn(self, request: pb.TxnRequest) -> pb.TxnResponse:
        return pb.TxnResponse.FromString(self._call("Txn", request).message or b"")


@pytest.fixture
def keys() -> Iterator[Keys]:
    made = Keys()
    yield made
    made.replica.close()


def test_a_put_increments_the_revision_and_generates_one_event(keys: Keys) -> None:
    first = keys.put(b"k").header.revision
    assert keys.put(b"k").header.revision == first + 1
    [row] = keys.get(b"k").kvs
    assert (row.create_revision, row.mod_revision, row.version) == (first, first + 1, 2)


def test_version_is_of_the_key_and_a_deletion_resets_it_to_zero(keys: Keys) -> None:
    """KeyValue.version: "any modification of the key increases its version"."""
    keys.put(b"k")
    keys.put(b"k")
    keys.delete(b"k")
    again = keys.put(b"k").header.revision
    [row] = keys.get(b"k").kvs
    assert (row.version, row.create_revision) == (1, again)


def test_prev_kv_is_the_pair_before_the_change(keys: Keys) -> None:
    assert not keys.put(b"k", b"1", prev_kv=True).HasField("prev_kv")
    assert keys.put(b"k", b"2", prev_kv=True).prev_kv.value == b"1"
    assert [it.value for it in keys.delete(b"k", prev_kv=True).prev_kvs] == [b"2"]


def test_what_is_to_be_kept_must_be_there(keys: Keys) -> None:
    """PutRequest.ignore_value: "returns an error if the key does not exist"."""
    request = pb.PutRequest(key=b"k", ignore_value=True)
    assert keys.refusal("Put", request) == NOT_FOUND
    keys.put(b"k", b"1")
    assert keys.refusal("Put", request) is None
    assert keys.get(b"k").kvs[0].value == b"1"


@pytest.mark.parametrize(
    ("key", "end", "found"),
    [
        (b"b", b"", [b"b"]),
        (b"a", b"c", [b"a", b"b"]),
        (b"b", b"\0", [b"b", b"c"]),
        (b"\0", b"\0", [b"a", b"b", b"c"]),
        (b"c", b"a", []),
    ],
)
def test_a_range_is_from_key_up_to_range_end(
    keys: Keys, key: bytes, end: bytes, found: list[bytes]
) -> None:
    """RangeRequest.range_end: "if range_end is '\\\\0', the range is all keys >= key"."""
    for name in (b"c", b"a", b"b"):
        keys.put(name)
    assert [it.key for it in keys.get(key, end).kvs] == found
    assert keys.delete(key, end).deleted == len(found)


def test_count_is_of_the_whole_range_and_more_says_that_some_are_left(keys: Keys) -> None:
    for name in (b"a", b"b", b"c"):
        keys.put(name)
    answer = keys.get(b"\0", b"\0", limit=2)
    assert ([it.key for it in answer.kvs], answer.count, answer.more) == ([b"a", b"b"], 3, True)
    answer = keys.get(b"\0", b"\0", count_only=1)
    assert (list(answer.kvs), answer.count, answer.more) == ([], 3, False)


def test_the_past_is_read_until_it_is_compacted_and_the_future_never(keys: Keys) -> None:
    old = keys.put(b"k", b"1").header.revision
    new = keys.put(b"k", b"2").header.revision
    assert keys.get(b"k", revision=old).kvs[0].value == b"1"
    assert keys.refusal("Compact", pb.CompactionRequest(revision=new)) is None
    assert keys.refusal("Range", pb.RangeRequest(key=b"k", revision=old)) == COMPACTED
    assert keys.refusal("Range", pb.RangeRequest(key=b"k", revision=new + 1)) == FUTURE
    assert keys.get(b"k", revision=new).kvs[0].value == b"2"


def compare(target: str, **operand: object) -> pb.Compare:
    return pb.Compare(key=b"k", target=target, **operand)  # type: ignore[arg-type]  # a test's


@pytest.mark.parametrize(
    ("it", "holds"),
    [
        (compare("VALUE", value=b"1"), True),
        (compare("VALUE", value=b"2", result="LESS"), True),
        (compare("VERSION", version=1), True),
        (compare("VERSION", version=0, result="GREATER"), True),
        (compare("CREATE", create_revision=0), False),
        (compare("LEASE", lease=0), True),
        (compare("MOD", mod_revision=1, result="NOT_EQUAL"), True),
        (pb.Compare(key=b"none", target="CREATE", create_revision=0), True),
        (pb.Compare(key=b"none", target="VALUE", value=b""), False),
    ],
)
def test_success_is_taken_when_all_compares_hold_and_failure_else(
    keys: Keys, it: pb.Compare, *, holds: bool
) -> None:
    keys.put(b"k", b"1")
    success, failure = (
        pb.RequestOp(request_put=pb.PutRequest(key=b"taken", value=value))
        for value in (b"success", b"failure")
    )
    answer = keys.txn(pb.TxnRequest(compare=[it], success=[success], failure=[failure]))
    assert answer.succeeded is holds
    assert keys.get(b"taken").kvs[0].value == (b"success" if holds else b"failure")


def test_a_transaction_is_one_revision_and_writes_no_key_twice(keys: Keys) -> None:
    """TxnRequest: "it is not allowed to modify the same key several times within one txn"."""
    puts = [pb.RequestOp(request_put=pb.PutRequest(key=it)) for it in (b"a", b"b")]
    before = keys.put(b"k").header.revision
    answer = keys.txn(pb.TxnRequest(success=puts))
    assert answer.header.revision == before + 1
    assert {it.mod_revision for it in keys.get(b"a", b"c").kvs} == {before + 1}
    assert keys.refusal("Txn", pb.TxnRequest(success=[puts[0], puts[0]])) == DUPLICATE


def test_a_transaction_that_writes_nothing_is_no_revision(keys: Keys) -> None:
    before = keys.put(b"k").header.revision
    reading = pb.RequestOp(request_range=pb.RangeRequest(key=b"k"))
    assert keys.txn(pb.TxnRequest(success=[reading])).header.revision == before
    assert keys.delete(b"none").header.revision == before


def test_plain_puts_in_a_transaction_come_to_what_the_long_way_comes_to() -> None:
    """A branch that is not taken has the same puts go the long way."""
    said, digests = [], []
    for others in ([], [pb.RequestOp(request_range=pb.RangeRequest(key=b"x"))]):
        keys = Keys()
        keys.put(b"a")
        txn = pb.TxnRequest(
            success=[
                pb.RequestOp(request_put=pb.PutRequest(key=it, value=b"new " + it))
                for it in (b"a", b"b", bytes(300))
            ],
            failure=others,
        )
        said.append(keys._call("Txn", txn).message)
        said.append(keys._call("Range", pb.RangeRequest(key=b"\0", range_end=b"\0")).message)
        keys.replica.store.flush()
        digests.append(keys.replica.store.durable_digest())
        twice = pb.TxnRequest(success=[*txn.success, txn.success[0]], failure=others)
        assert keys.refusal("Txn", twice) == DUPLICATE
        many = pb.TxnRequest(
            success=[
                pb.RequestOp(request_put=pb.PutRequest(key=b"%d" % it, value=b"v"))
                for it in range(129)
            ],
            failure=others,
        )
        assert keys.refusal("Txn", many) == (3, "etcdserver: too many operations in txn request")
        keys.replica.close()
    assert said[:2] == said[2:]
    assert digests[0] == digests[1]
    answer = pb.TxnResponse.FromString(said[0] or b"")
    assert answer.succeeded
    assert [it.response_put.header.revision for it in answer.responses] == [3] * 3
