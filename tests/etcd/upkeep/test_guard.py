"""Who raises an alarm and takes it back: the guard, by what it sees of the member."""

from collections.abc import Iterator

import pytest

from roost.etcd import Guard
from roost.etcd.model.alarms import CORRUPT, LOST_ENTRIES, NOSPACE
from roost.proto import rpc_pb2 as pb
from tests.etcd.model.test_alarms import PUT, READING, Server
from tests.etcd.replica import Space


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    assert made.call("KV/Put", PUT).code == 0
    yield made
    made.replica.close()


def test_the_guard_raises_what_is_due_and_takes_it_back(server: Server) -> None:
    guard = Guard(server.replica, server.services.alarms, quota_bytes=1000)
    guard.check(Space(store_bytes=999))
    assert server.listed() == []
    guard.check(Space(store_bytes=1000))
    assert server.listed() == [(1, NOSPACE)]
    guard.check(Space(store_bytes=950))
    assert server.listed() == [(1, NOSPACE)], "not before there is room"
    guard.check(Space(store_bytes=899))
    assert server.listed() == []
    guard.check(Space(disk_free_bytes=99, disk_reserve_bytes=100))
    assert server.listed() == [(1, NOSPACE)]
    guard.check(Space(disk_free_bytes=1000, disk_reserve_bytes=100))
    assert server.listed() == []
    guard.check(Space(corrupt_members=frozenset({5})))
    guard.check(Space(forgetful_members=frozenset({6})))
    guard.check(Space())
    assert server.listed() == [(5, CORRUPT), (6, LOST_ENTRIES)]
    for member_id, kind in server.listed():
        server.change(pb.AlarmRequest.DEACTIVATE, kind, member_id)
    guard.check(Space(corrupt_members=frozenset({5}), forgetful_members=frozenset({6})))
    assert server.listed() == [], "an operator has seen them"


def test_what_a_client_raised_stays_until_a_client_disarms_it(server: Server) -> None:
    guard = Guard(server.replica, server.services.alarms, quota_bytes=1000)
    server.change(pb.AlarmRequest.ACTIVATE, NOSPACE)
    guard.check(Space(store_bytes=1))
    assert server.listed() == [(1, NOSPACE)]
    server.change(pb.AlarmRequest.DEACTIVATE, NOSPACE)
    guard.check(Space(store_bytes=1000))
    server.change(pb.AlarmRequest.ACTIVATE, NOSPACE)
    guard.check(Space(store_bytes=1))
    assert server.listed() == [(1, NOSPACE)], "it is the client's from then on"
    server.change(pb.AlarmRequest.DEACTIVATE, NOSPACE)
    assert server.listed() == []


def test_without_a_quota_only_the_disk_counts(server: Server) -> None:
    guard = Guard(server.replica, server.services.alarms, quota_bytes=0)
    guard.check(Space(store_bytes=1 << 50))
    assert server.listed() == []


def look(server: Server, guard: Guard, store_bytes: int) -> None:
    """The store has this size, and the guard looks at it."""
    server.replica.reported_space = Space(store_bytes=store_bytes)
    guard.check(server.replica.space())


def test_a_request_that_would_pass_the_quota_is_refused_before_it_is_proposed(
    server: Server,
) -> None:
    """Issue 12: between two looks of the guard 44.8 MB went into a quota of 16 MiB."""
    guard = Guard(server.replica, server.services.alarms, quota_bytes=10_000)
    large = pb.PutRequest(key=b"large", value=bytes(3000))
    look(server, guard, 1000)
    assert server.call("KV/Put", large).code == 0
    refused = server.call("KV/Put", large)
    assert (refused.code, refused.text) == (8, "etcdserver: mvcc: database space exceeded")
    nested = pb.TxnRequest(success=[pb.RequestOp(request_put=large)])
    assert server.call("KV/Txn", nested).code == 8
    # Much is left for smaller ones, so it is no alarm.
    assert server.call("KV/Put", PUT).code == 0
    assert server.call("KV/Txn", READING).code == 0
    look(server, guard, 7600)
    assert server.listed() == []
    # Little is left, and something did not fit: it is one.
    look(server, guard, 9200)
    assert server.call("KV/Put", large).code == 8
    look(server, guard, 9200)
    assert server.listed() == [(1, NOSPACE)]


def test_a_compaction_has_freed_its_space_when_it_is_answered(server: Server) -> None:
    """Issue 12: a put right after one was told that there is no space."""
    guard = Guard(server.replica, server.services.alarms, quota_bytes=10_000)
    large = pb.PutRequest(key=b"large", value=bytes(3000))
    assert server.call("KV/Put", PUT).code == 0
    look(server, guard, 9000)
    assert server.call("KV/Put", large).code == 8
    server.replica.reported_space = Space(store_bytes=1000)
    compaction = pb.CompactionRequest(revision=2, physical=True)
    assert server.call("KV/Compact", compaction).code == 0
    assert server.call("KV/Put", large).code == 0
