"""Comparisons against a table of what each word means (etcd api: Compare)."""

import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost import etcd
from roost.etcd.model.compares import compares_hold
from roost.etcd.model.costs import at_once
from roost.etcd.model.mvcc import Mvcc
from roost.proto import rpc_pb2 as pb
from tests.etcd.replica import LocalReplica

C = pb.Compare
MEANS: dict[Any, Callable[[Any, Any], bool]] = {
    C.EQUAL: operator.eq,
    C.NOT_EQUAL: operator.ne,
    C.GREATER: operator.gt,
    C.LESS: operator.lt,
}


class Row(NamedTuple):
    """What a key is known to be; the names are those of a comparison's fields."""

    version: int
    create_revision: int
    mod_revision: int
    value: bytes
    lease: int


TARGETS: dict[Any, str] = {
    C.VERSION: "version",
    C.CREATE: "create_revision",
    C.MOD: "mod_revision",
    C.VALUE: "value",
    C.LEASE: "lease",
}


class Keys:
    """A store with three keys, and what each is known to be."""

    def __init__(self) -> None:
        self.replica = LocalReplica()
        etcd.Services(self.replica, self.replica.store)
        self._run("etcd.lease_grant", pb.LeaseGrantRequest(TTL=100, ID=7))
        self._run("etcd.put", pb.PutRequest(key=b"a", value=b"1"))
        self._run("etcd.put", pb.PutRequest(key=b"b", value=b"2", lease=7))
        self._run("etcd.put", pb.PutRequest(key=b"b", value=b"", lease=7))
        self._run("etcd.put", pb.PutRequest(key=b"c", value=b"3"))
        self.mvcc = Mvcc(self.replica.store)
        self.rows = {
            b"a": Row(1, 2, 2, b"1", 0),
            b"b": Row(2, 3, 4, b"", 7),
            b"c": Row(1, 5, 5, b"3", 0),
        }

    def _run(self, name: str, request: pb.PutRequest | pb.LeaseGrantRequest) -> None:
        said: list[object] = []
        self.replica.transact_nowait(name, request.SerializeToString(), said.append)
        assert isinstance(said[0], bytes), said

    def hold(self, *compares: C) -> bool:
        return at_once(compares_hold(self.mvcc, self.replica.view, compares))


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    made = Keys()
    yield made
    made.replica.close()


RANGES = st.sampled_from(
    [
        *((b"a", b""), (b"b", b""), (b"x", b"")),
        *((b"a", b"c"), (b"b", b"\0"), (b"x", b"\0"), (b"c", b"a")),
    ]
)
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 5, 7])


@given(
    RANGES,
    st.sampled_from(list(TARGETS)),
    st.sampled_from(list(MEANS)),
    NUMBERS,
    st.sampled_from([b"", b"1", b"2", b"3"]),
)
def test_a_comparison_holds_for_every_key_of_its_range(
    keys: Keys, range_: tuple[bytes, bytes], target: Any, result: Any, number: int, value: bytes
) -> None:
    key, end = range_
    name = TARGETS[target]
    wanted = value if target == C.VALUE else number
    compare = C(key=key, range_end=end, target=target, result=result)
    setattr(compare, name, wanted)
    if end:
        found = [row for it, row in keys.rows.items() if key <= it and (end == b"\0" or it < end)]
    else:
        found = [row for it, row in keys.rows.items() if it == key]
    if found:
        expected = all(MEANS[result](getattr(row, name), wanted) for row in found)
    else:
        # No key: its numbers are all 0, and its value is none, which is not the empty one.
        expected = target != C.VALUE and MEANS[result](0, wanted)
    assert keys.hold(compare) is expected


def test_all_of_a_transactions_comparisons_must_hold(keys: Keys) -> None:
    holds = C(key=b"a", target=C.VALUE, value=b"1")
    fails = C(key=b"a", target=C.VALUE, value=b"2")
    assert keys.hold(holds, holds)
    assert not keys.hold(holds, fails)
    assert not keys.hold(fails, holds)
    assert keys.hold(), "nothing stands against it"


def test_a_key_that_is_not_there_is_told_from_an_empty_one(keys: Keys) -> None:
    """`create = 0` is how clients ask whether a key is free."""
    free = C(key=b"x", target=C.CREATE, create_revision=0)
    assert keys.hold(free)
    assert not keys.hold(C(key=b"a", target=C.CREATE, create_revision=0))
    empty = C(key=b"b", target=C.VALUE, value=b"")
    assert keys.hold(empty)
    assert not keys.hold(C(key=b"x", target=C.VALUE, value=b""))
    assert not keys.hold(C(key=b"x", target=C.VALUE, result=C.NOT_EQUAL, value=b"1"))


def test_large_values_that_are_compared_count_as_what_they_are() -> None:
    """Issue 14: 128 of a megabyte were compared in one step."""
    replica = LocalReplica()
    etcd.Services(replica, replica.store)
    put = pb.PutRequest(key=b"a", value=b"v" * (1 << 20)).SerializeToString()
    replica.transact_nowait("etcd.put", put, lambda _outcome: None)
    compares = [C(key=b"a", target=C.VERSION, version=1), C(key=b"x", target=C.VERSION)] * 3
    steps = compares_hold(Mvcc(replica.store), replica.view, compares)
    assert list(steps) == [6, 256, 256, 256]
    replica.close()
