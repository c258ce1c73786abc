"""Users and rights: who may do what, decided where it is done; default is no."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.call import Stream, Unary
from roost.database.model import Long, Steps, Txn
from roost.errors import Refused
from roost.etcd import border
from roost.etcd.access.signing import sign
from roost.etcd.access.tokens import Identity, digest_of
from roost.etcd.access.users import ROLES_TREE
from roost.etcd.errors import status_of
from roost.etcd.model.leases import name_of
from roost.etcd.model.mvcc import Mvcc
from roost.etcd.v3.interface import JSON_PATHS
from roost.outcome import Outcome, ReadDone
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from tests.etcd.guarded import (
    ANYTHING,
    BAD_TOKEN,
    DENIED,
    NOBODY,
    REQUESTS,
    WANTED,
    StreamAnswer,
    World,
    short,
)
from tests.etcd.replica import Answer


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.replica.close()


def test_every_method_has_a_row(world: World) -> None:
    assert {short(path) for path in world.routes} == set(WANTED)
    assert {short(f"/{full}".encode()) for full in JSON_PATHS.values()} <= set(WANTED)


@pytest.mark.parametrize("method", WANTED)
def test_every_method_is_refused_to_nobody_and_to_those_without_rights(
    world: World, method: str
) -> None:
    [path] = [it.decode() for it in world.routes if short(it) == method]
    wanted = WANTED[method]
    if wanted == "open" or method == "Auth/UserChangePassword":
        return  # the first is below; hashing needs a loop, `test_twins` has it
    world.run_as_root("etcd.lease_grant", pb.LeaseGrantRequest(TTL=100, ID=5))
    world.run_as_root("etcd.put", pb.PutRequest(key=b"x", lease=5))
    request = REQUESTS.get(method, ANYTHING)
    refusals = {"nobody": NOBODY, "mallory": BAD_TOKEN, "nothing": DENIED, "reader": DENIED}
    for user, refusal in refusals.items():
        said = world.call(path, request, user)
        if method.startswith(("Lock/", "Election/")) and isinstance(said, tuple):
            # As with etcd, these pass refusals on without their codes.
            assert said == (2, refusal[1]), (user, said)
        elif method == "Watch/Watch":
            assert isinstance(said, bytes)
            answer = pb.WatchResponse.FromString(said)
            assert (answer.created, answer.canceled, answer.watch_id) == (True, True, -1)
            assert answer.cancel_reason.endswith(refusal[1])
        elif refusal != DENIED or wanted == "root":
            assert said == refusal, (user, said)
        else:
            assert isinstance(said, bytes), (user, said)
    said = world.call(path, request, "root")
    assert said not in (NOBODY, BAD_TOKEN, DENIED), said


def test_keys_are_permitted_by_range(world: World) -> None:
    for request, expected in (
        (pb.RangeRequest(key=b"r"), True),
        (pb.RangeRequest(key=b"r1", range_end=b"r9"), True),
        (pb.RangeRequest(key=b"r", range_end=b"s"), True),
        (pb.RangeRequest(key=b"r", range_end=b"s\0"), False),
        (pb.RangeRequest(key=b"r", range_end=b"\0"), False),
        (pb.RangeRequest(key=b"w"), False),
    ):
        said = world.call("/etcdserverpb.KV/Range", request, "reader")
        assert (said != DENIED) is expected, request
    for put, expected in (
        (pb.PutRequest(key=b"w"), True),
        (pb.PutRequest(key=b"w", prev_kv=True), False),
        (pb.PutRequest(key=b"w", ignore_value=True), False),
        (pb.PutRequest(key=b"r"), False),
    ):
        assert (world.call("/etcdserverpb.KV/Put", put, "reader") != DENIED) is expected, put
    delete = pb.DeleteRangeRequest(key=b"w", prev_kv=True)
    assert world.call("/etcdserverpb.KV/DeleteRange", delete, "reader") == DENIED


def test_a_lease_is_as_its_keys_are(world: World) -> None:
    """CVE-2023-32082, and the rest of the family."""
    world.run_as_root("etcd.lease_grant", pb.LeaseGrantRequest(TTL=100, ID=5))
    world.run_as_root("etcd.put", pb.PutRequest(key=b"secret", lease=5))
    shown = pb.LeaseTimeToLiveRequest(ID=5, keys=True)
    assert world.call("/etcdserverpb.Lease/LeaseTimeToLive", shown, "reader") == DENIED
    hidden = pb.LeaseTimeToLiveRequest(ID=5)
    assert isinstance(world.call("/etcdserverpb.Lease/LeaseTimeToLive", hidden, "reader"), bytes)
    for path, request in (
        ("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=5)),
        ("/etcdserverpb.KV/Put", pb.PutRequest(key=b"w", lease=5)),
    ):
        assert world.call(path, request, "reader") == DENIED


def test_many_keys_that_have_just_gone_from_a_lease_are_passed_over_turns(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 14: whoever renews a lease or puts with one is asked whether he may, key by key."""
    world.run_as_root("etcd.lease_grant", pb.LeaseGrantRequest(TTL=100, ID=6))
    mvcc, replica = Mvcc(world.replica.store), world.replica
    lease = name_of(6)

    def gone(txn: Txn, _body: bytes) -> bytes:
        for number in range(20_000):
            txn.put(mvcc.lease_keys, lease + b"%06d" % number, b"")
            txn.delete(mvcc.lease_keys, lease + b"%06d" % number)
        return b""

    replica.register("gone", gone)
    replica.transact_nowait("gone", b"", lambda _outcome: None)
    put, counts = pb.PutRequest(key=b"w", lease=6), list[int]()
    run_long = replica.run_long

    def noted(long: Long, its: Txn) -> bytes:
        counts.append(0)

        def slices(txn: Txn) -> Steps:
            steps = long.run(txn)
            while True:
                counts[-1] += 1
                try:
                    next(steps)
                except StopIteration as end:
                    answer: bytes = end.value
                    return answer
                yield

        return run_long(Long(slices), its)

    monkeypatch.setattr(replica, "run_long", noted)
    assert isinstance(world.call("/etcdserverpb.KV/Put", put, "reader"), bytes)
    assert 30 < counts[0] < 50
    world.run_as_root("etcd.put", pb.PutRequest(key=b"secret", lease=6))
    assert world.call("/etcdserverpb.KV/Put", put, "reader") == DENIED
    assert 30 < counts[1] < 50


def test_a_user_of_many_ranges_puts_with_a_lease_of_many_keys(world: World) -> None:
    """Issue 14: behind 250 gaps between its ranges the check began anew, each turn, for ever."""
    mvcc, store = Mvcc(world.replica.store), world.replica.store
    roles, txn = store.tree(ROLES_TREE).id, store.begin()
    held = [
        auth_pb2.Permission(permType=auth_pb2.Permission.WRITE, key=b"w%04d" % it)
        for it in range(0, 2000, 2)
    ]
    row = auth_pb2.Role(name=b"reading", keyPermission=held).SerializeToString()
    txn.put(roles, b"reading", row)
    store.apply(store.applied_index + 1, txn.encode())
    world.run_as_root("etcd.lease_grant", pb.LeaseGrantRequest(TTL=100, ID=6))
    txn = store.begin()
    for it in range(0, 1000, 2):
        txn.put(mvcc.lease_keys, name_of(6) + b"w%04d" % it, b"")
    store.apply(store.applied_index + 1, txn.encode())
    put = pb.PutRequest(key=b"w0004", lease=6)
    assert isinstance(world.call("/etcdserverpb.KV/Put", put, "reader"), bytes)
    world.run_as_root("etcd.put", pb.PutRequest(key=b"w0999", lease=6))
    assert world.call("/etcdserverpb.KV/Put", put, "reader") == DENIED


def leaf(is_allowed: bool) -> pb.RequestOp:  # noqa: FBT001 - drawn
    key = b"r1" if is_allowed else b"q"
    return pb.RequestOp(request_range=pb.RangeRequest(key=key))


LEAVES = st.booleans().map(lambda it: (leaf(it), it))


def nested(
    inner: st.SearchStrategy[tuple[pb.RequestOp, bool]],
) -> st.SearchStrategy[tuple[pb.RequestOp, bool]]:
    def build(
        parts: tuple[list[tuple[pb.RequestOp, bool]], list[tuple[pb.RequestOp, bool]], bool],
    ) -> tuple[pb.RequestOp, bool]:
        success, failure, compares = parts
        txn = pb.TxnRequest(
            compare=[pb.Compare(key=b"r" if compares else b"q")],
            success=[it for it, _ in success],
            failure=[it for it, _ in failure],
        )
        allowed = compares and all(it for _, it in (*success, *failure))
        return pb.RequestOp(request_txn=txn), allowed

    branch = st.lists(inner, max_size=2)
    return st.tuples(branch, branch, st.booleans()).map(build)


@settings(max_examples=150, deadline=None)
@given(st.recursive(LEAVES, nested, max_leaves=8))
def test_a_transaction_is_walked_to_its_ends(case: tuple[pb.RequestOp, bool]) -> None:
    operation, is_allowed = case
    said = SHARED.call("/etcdserverpb.KV/Txn", pb.TxnRequest(success=[operation]), "reader")
    assert (said != DENIED) is is_allowed


SHARED = World()


def test_a_right_that_was_taken_away_is_gone_for_what_is_on_its_way(world: World) -> None:
    """etcd #14571: it is decided where the operation runs, not where it came in."""
    put = pb.PutRequest(key=b"w").SerializeToString()
    identity = Identity("reader", digest_of(world.tokens["reader"]))
    signed = sign("etcd.put", identity, put)
    world.transact(border.AS, signed)
    gone = pb.AuthUserRevokeRoleRequest(name="reader", role="reading")
    world.run_as_root("etcd.user_revoke", gone)
    said: list[Outcome] = []
    world.replica.transact_nowait(border.AS, signed, said.append)
    assert isinstance(said[0], Refused)
    assert status_of(said[0]) == DENIED


def test_a_watch_with_a_token_that_ran_out_says_so_as_etcd_does(world: World) -> None:
    """etcd >= 3.5.5; Go's client logs in again when it reads this, and gives up at other words."""
    watch = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"r", watch_id=7))
    said = world.call("/etcdserverpb.Watch/Watch", watch, "mallory")
    assert isinstance(said, bytes)
    answer = pb.WatchResponse.FromString(said)
    assert (answer.created, answer.canceled, answer.watch_id) == (True, True, -1)
    text = "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"
    assert answer.cancel_reason == text


def test_anybody_may_list_alarms_and_only_root_changes_them(world: World) -> None:
    path = "/etcdserverpb.Maintenance/Alarm"
    assert isinstance(world.call(path, pb.AlarmRequest(), "nothing"), bytes)
    raised = pb.AlarmRequest(action=pb.AlarmRequest.ACTIVATE, memberID=1, alarm=pb.NOSPACE)
    assert world.call(path, raised, "nothing") == DENIED


def test_a_watch_ends_when_its_user_may_no_longer_see_the_keys(world: World) -> None:
    async def run() -> None:
        stream = StreamAnswer(world.tokens["reader"])
        route = world.routes[b"/etcdserverpb.Watch/Watch"]
        assert isinstance(route, Stream)
        handler = route.open(stream)
        create = pb.WatchCreateRequest(key=b"r")
        handler.on_message(pb.WatchRequest(create_request=create).SerializeToString())
        world.run_as_root("etcd.put", pb.PutRequest(key=b"r"))
        gone = pb.AuthRoleRevokePermissionRequest(role="reading", key=b"r", range_end=b"s")
        world.run_as_root("etcd.role_revoke", gone)
        world.run_as_root("etcd.put", pb.PutRequest(key=b"r"))
        created, event, canceled = (pb.WatchResponse.FromString(it) for it in stream.sent)
        assert created.created
        assert len(event.events) == 1
        assert canceled.canceled
        assert "permission denied" in canceled.cancel_reason

    asyncio.run(run())


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("reader", None),
        ("nobody", (3, "etcdserver: user name is empty")),
        ("mallory", (16, "etcdserver: invalid auth token")),
    ],
)
def test_who_reads_while_authentication_is_turned_on_is_asked_who_it_is(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    expected: tuple[int, str] | None,
) -> None:
    """A caller with a good token was told that its name is empty."""
    world.run_as_root("etcd.auth_disable", pb.AuthDisableRequest())
    held: list[ReadDone] = []
    monkeypatch.setattr(world.replica, "read_nowait", lambda done, _flow: held.append(done))
    answer = Answer(world.tokens[user])
    route = world.routes[b"/etcdserverpb.KV/Range"]
    assert isinstance(route, Unary)
    route.handle(answer, pb.RangeRequest(key=b"r").SerializeToString())
    world.run("etcd.auth_enable", pb.AuthEnableRequest())
    world.log_in("reader")
    while held:
        held.pop()(None)
    assert answer.error == expected
    assert (answer.message is None) == (expected is not None)
