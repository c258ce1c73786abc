"""Every RPC asked of Roost and of real etcd 3.5.1: equal answers, or a difference with a reason.

What is known to differ stands in `explained.py`, with the reason; those requests are asked of
Roost alone, elsewhere.  `test_edges.py` has every field of every message at its edges, and
`tests/etcd/test_differential.py` 3,000 random requests to the KV service.
"""

import base64
import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.proto import auth_pb2
from roost.proto import election_pb2 as el
from roost.proto import lock_pb2 as lk
from roost.proto import rpc_pb2 as pb
from roost.testing.patience import wait_until
from tests.etcd.test_differential import Generator
from tests.integration.twins import Side, Twins, running_twins

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

R = auth_pb2.Permission
MEMBER = ("ID", "name", "peerURLs", "clientURLs", "isLearner")
STATUS = ("dbSize", "dbSizeInUse", "leader", "raftIndex", "raftAppliedIndex", "raftTerm")


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    with running_twins(tmp_path) as made:
        yield made
        made.check()


def test_random_requests_over_the_wire(twins: Twins) -> None:
    generator = Generator(7)
    for _ in range(400):
        name, request, _ = generator.request()
        answer = twins.ask(f"KV/{name}", request)
        if not isinstance(answer, str):
            generator.revision = answer.header.revision  # type: ignore[attr-defined]  # of pb
    assert generator.revision > 50


def grant(twins: Twins, ttl_s: int, lease_id: int) -> None:
    twins.ask("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=ttl_s, ID=lease_id))


def test_leases(twins: Twins) -> None:
    ask = twins.ask
    for ttl_s, lease_id in (
        *((100, 7), (100, 7), (100, -5), (1, 8), (0, 9), (-3, 10)),
        *((9_000_000_001, 11), (9_000_000_000, 12)),
    ):
        grant(twins, ttl_s, lease_id)
    ask("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=100), mask=("ID",))
    for put in (
        pb.PutRequest(key=b"a", value=b"1", lease=7),
        pb.PutRequest(key=b"c", value=b"1", lease=-5, prev_kv=True),
        pb.PutRequest(key=b"b", value=b"1", lease=7, prev_kv=True),
        pb.PutRequest(key=b"b", value=b"2", prev_kv=True),
        pb.PutRequest(key=b"b", ignore_value=True, lease=7, prev_kv=True),
        pb.PutRequest(key=b"b", value=b"3", ignore_lease=True, prev_kv=True),
        pb.PutRequest(key=b"b", value=b"4"),
        pb.PutRequest(key=b"x", value=b"3", lease=99),
        pb.PutRequest(key=b"x", ignore_lease=True, lease=7),
    ):
        ask("KV/Put", put)
        ask("KV/Range", pb.RangeRequest(key=b"a", range_end=b"z"))
    compare = pb.Compare(key=b"a", target=pb.Compare.LEASE, lease=7)
    then = pb.RequestOp(request_put=pb.PutRequest(key=b"t", lease=98))
    ask("KV/Txn", pb.TxnRequest(compare=[compare], success=[then]))
    for lease_id in (7, 8, -5, 70):
        request = pb.LeaseTimeToLiveRequest(ID=lease_id, keys=True)
        ask("Lease/LeaseTimeToLive", request, mask=("TTL",))
    ask("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=7), mask=("TTL",))
    ask("Lease/LeaseLeases", pb.LeaseLeasesRequest(), mask=("ID",))
    for lease_id in (7, 888):
        twins.talk("Lease/LeaseKeepAlive", [pb.LeaseKeepAliveRequest(ID=lease_id)], 1)
    for lease_id in (7, 7, -5, 888):
        ask("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=lease_id))
    ask("KV/Range", pb.RangeRequest(key=b"a", range_end=b"z"))
    ask("KV/DeleteRange", pb.DeleteRangeRequest(key=b"a", range_end=b"z", prev_kv=True))


def test_a_lease_runs_out_with_its_keys(twins: Twins) -> None:
    grant(twins, 2, 5)
    twins.ask("KV/Put", pb.PutRequest(key=b"a", lease=5))
    twins.ask("KV/Put", pb.PutRequest(key=b"b", lease=5))
    wait_keys(twins, b"a", are_there=False)
    create = pb.WatchCreateRequest(key=b"a", range_end=b"z", start_revision=4)
    watch = [pb.WatchRequest(create_request=create)]
    twins.talk("Watch/Watch", watch, 2)
    twins.ask("KV/Range", pb.RangeRequest(key=b"a", range_end=b"z"))
    twins.ask("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=5, keys=True))
    twins.talk("Lease/LeaseKeepAlive", [pb.LeaseKeepAliveRequest(ID=5)], 1)


AUTH_CHANGES = [
    ("AuthEnable", pb.AuthEnableRequest()),
    ("Authenticate", pb.AuthenticateRequest(name="a", password="b")),
    ("UserAdd", pb.AuthUserAddRequest(name="", password="b")),
    ("UserAdd", pb.AuthUserAddRequest(name="root", password="rootpw")),
    ("UserAdd", pb.AuthUserAddRequest(name="root", password="rootpw")),
    ("AuthEnable", pb.AuthEnableRequest()),
    ("UserGrantRole", pb.AuthUserGrantRoleRequest(user="root", role="nope")),
    ("UserGrantRole", pb.AuthUserGrantRoleRequest(user="nobody", role="root")),
    ("UserGrantRole", pb.AuthUserGrantRoleRequest(user="root", role="root")),
    ("RoleGet", pb.AuthRoleGetRequest(role="root")),
    ("RoleAdd", pb.AuthRoleAddRequest(name="")),
    ("RoleAdd", pb.AuthRoleAddRequest(name="r1")),
    ("RoleAdd", pb.AuthRoleAddRequest(name="r1")),
    ("RoleAdd", pb.AuthRoleAddRequest(name="r2")),
    ("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="r1")),
    ("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="zz", perm=R(key=b"a"))),
    (
        "RoleGrantPermission",
        pb.AuthRoleGrantPermissionRequest(
            name="r1", perm=R(permType=R.READWRITE, key=b"k", range_end=b"l")
        ),
    ),
    ("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="r1", perm=R(key=b"b"))),
    (
        "RoleGrantPermission",
        pb.AuthRoleGrantPermissionRequest(name="r1", perm=R(permType=R.WRITE, key=b"b")),
    ),
    ("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="r1", perm=R(key=b""))),
    ("RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="r2", perm=R(key=b"s"))),
    ("RoleGet", pb.AuthRoleGetRequest(role="r1")),
    ("RoleGet", pb.AuthRoleGetRequest(role="none")),
    ("RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role="r1", key=b"zz")),
    ("RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role="none", key=b"zz")),
    ("RoleRevokePermission", pb.AuthRoleRevokePermissionRequest(role="r1", key=b"")),
    ("RoleGet", pb.AuthRoleGetRequest(role="r1")),
    ("UserAdd", pb.AuthUserAddRequest(name="u", password="upw")),
    (
        "UserAdd",
        pb.AuthUserAddRequest(name="np", options=auth_pb2.UserAddOptions(no_password=True)),
    ),
    ("UserGrantRole", pb.AuthUserGrantRoleRequest(user="u", role="r1")),
    ("UserGrantRole", pb.AuthUserGrantRoleRequest(user="u", role="r1")),
    ("UserGrantRole", pb.AuthUserGrantRoleRequest(user="u", role="r2")),
    ("UserRevokeRole", pb.AuthUserRevokeRoleRequest(name="u", role="r9")),
    ("UserRevokeRole", pb.AuthUserRevokeRoleRequest(name="zz", role="r9")),
    ("UserGet", pb.AuthUserGetRequest(name="u")),
    ("UserGet", pb.AuthUserGetRequest(name="none")),
    ("UserList", pb.AuthUserListRequest()),
    ("RoleList", pb.AuthRoleListRequest()),
    ("UserChangePassword", pb.AuthUserChangePasswordRequest(name="none", password="x")),
    ("UserDelete", pb.AuthUserDeleteRequest(name="none")),
    ("RoleDelete", pb.AuthRoleDeleteRequest(role="none")),
    ("AuthDisable", pb.AuthDisableRequest()),
    ("AuthStatus", pb.AuthStatusRequest()),
    ("AuthEnable", pb.AuthEnableRequest()),
    ("AuthEnable", pb.AuthEnableRequest()),
    ("AuthStatus", pb.AuthStatusRequest()),
    ("Authenticate", pb.AuthenticateRequest(name="root", password="no")),
    ("Authenticate", pb.AuthenticateRequest(name="none", password="no")),
]


def txn_of(operation: pb.RequestOp) -> pb.TxnRequest:
    return pb.TxnRequest(success=[operation])


RESTRICTED = [
    ("KV/Range", pb.RangeRequest(key=b"k")),
    ("KV/Range", pb.RangeRequest(key=b"k", serializable=True)),
    ("KV/Range", pb.RangeRequest(key=b"k1", range_end=b"k9")),
    ("KV/Range", pb.RangeRequest(key=b"k", range_end=b"m")),
    ("KV/Range", pb.RangeRequest(key=b"z", range_end=b"a")),
    ("KV/Range", pb.RangeRequest(key=b"k", range_end=b"\0")),
    ("KV/Range", pb.RangeRequest(key=b"\0", range_end=b"\0")),
    ("KV/Put", pb.PutRequest(key=b"k", value=b"1")),
    ("KV/Put", pb.PutRequest(key=b"k", value=b"2", prev_kv=True)),
    ("KV/Put", pb.PutRequest(key=b"b", value=b"1")),
    ("KV/Put", pb.PutRequest(key=b"q", value=b"1")),
    ("KV/Put", pb.PutRequest(key=b"s", value=b"1")),
    ("KV/DeleteRange", pb.DeleteRangeRequest(key=b"k", range_end=b"l")),
    ("KV/DeleteRange", pb.DeleteRangeRequest(key=b"k", range_end=b"m")),
    ("KV/Txn", txn_of(pb.RequestOp(request_put=pb.PutRequest(key=b"k")))),
    ("KV/Txn", txn_of(pb.RequestOp(request_put=pb.PutRequest(key=b"q")))),
    ("KV/Txn", txn_of(pb.RequestOp(request_range=pb.RangeRequest(key=b"k")))),
    ("KV/Txn", txn_of(pb.RequestOp(request_range=pb.RangeRequest(key=b"q")))),
    ("KV/Txn", pb.TxnRequest(compare=[pb.Compare(key=b"q")])),
    ("Auth/UserGet", pb.AuthUserGetRequest(name="u")),
    ("Auth/UserGet", pb.AuthUserGetRequest(name="root")),
    ("Auth/RoleGet", pb.AuthRoleGetRequest(role="r1")),
    ("Auth/RoleGet", pb.AuthRoleGetRequest(role="root")),
    ("Auth/UserList", pb.AuthUserListRequest()),
    ("Auth/RoleList", pb.AuthRoleListRequest()),
    ("Auth/AuthStatus", pb.AuthStatusRequest()),
    ("Auth/UserAdd", pb.AuthUserAddRequest(name="t", password="t")),
    ("Auth/UserGrantRole", pb.AuthUserGrantRoleRequest(user="u", role="r1")),
    ("Auth/UserDelete", pb.AuthUserDeleteRequest(name="t")),
    ("Auth/UserDelete", pb.AuthUserDeleteRequest(name="root")),
    ("Auth/UserRevokeRole", pb.AuthUserRevokeRoleRequest(name="root", role="root")),
    ("Auth/RoleAdd", pb.AuthRoleAddRequest(name="r1")),
    ("Auth/RoleDelete", pb.AuthRoleDeleteRequest(role="root")),
    ("Auth/RoleDelete", pb.AuthRoleDeleteRequest(role="zz")),
    ("Cluster/MemberRemove", pb.MemberRemoveRequest(ID=5)),
]


def test_users_and_their_rights(twins: Twins) -> None:
    for method, request in AUTH_CHANGES:
        twins.ask(f"Auth/{method}", request)
    twins.log_in("root", "rootpw")
    twins.log_in("u", "upw")
    for side in (twins.etcd, twins.roost):
        side.tokens["somebody else"] = "garbage"
    for user in ("", "somebody else", "u", "root"):
        for path, request in RESTRICTED:
            twins.ask(path, request, user)
        for key, end in ((b"k", b""), (b"k", b"m"), (b"\0", b"\0"), (b"q", b"")):
            create = pb.WatchCreateRequest(key=key, range_end=end, watch_id=5)
            watch = pb.WatchRequest(create_request=create)
            twins.talk("Watch/Watch", [watch], 1, user, mask=("watch_id", "cancel_reason"))
    for user in ("u", "root"):
        twins.ask("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=100, ID=700), user)
        twins.ask("KV/Put", pb.PutRequest(key=b"k", lease=700), user)
        live = pb.LeaseTimeToLiveRequest(ID=700, keys=True)
        twins.ask("Lease/LeaseTimeToLive", live, user, mask=("TTL",))
        twins.talk("Lease/LeaseKeepAlive", [pb.LeaseKeepAliveRequest(ID=700)], 1, user)
        twins.ask("Lease/LeaseLeases", pb.LeaseLeasesRequest(), user, mask=("ID",))
        twins.ask("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=700), user)
        twins.ask("Cluster/MemberList", pb.MemberListRequest(), user, mask=MEMBER)
        twins.ask("Maintenance/Status", pb.StatusRequest(), user, mask=STATUS)
    twins.ask("Auth/UserDelete", pb.AuthUserDeleteRequest(name="u"), "root")
    twins.ask("KV/Range", pb.RangeRequest(key=b"k"), "u")
    change = pb.AuthUserChangePasswordRequest(name="root", password="new")
    twins.ask("Auth/UserChangePassword", change, "root")
    twins.ask("KV/Range", pb.RangeRequest(key=b"k"), "root")
    twins.log_in("root", "new")
    twins.ask("Auth/RoleDelete", pb.AuthRoleDeleteRequest(role="r1"), "root")
    twins.ask("Auth/RoleList", pb.AuthRoleListRequest(), "root")
    twins.ask("Auth/AuthDisable", pb.AuthDisableRequest())
    twins.ask("Auth/AuthDisable", pb.AuthDisableRequest(), "root")
    twins.ask("KV/Range", pb.RangeRequest(key=b"k"))
    twins.ask("Auth/AuthStatus", pb.AuthStatusRequest())


def test_cluster_and_maintenance(twins: Twins) -> None:
    ask = twins.ask
    twins.ask("KV/Put", pb.PutRequest(key=b"k", value=b"1"))
    ask("Cluster/MemberList", pb.MemberListRequest(), mask=MEMBER)
    ask("Cluster/MemberList", pb.MemberListRequest(linearizable=True), mask=MEMBER)
    ask("Cluster/MemberAdd", pb.MemberAddRequest(peerURLs=["nonsense"]))
    ask("Cluster/MemberUpdate", pb.MemberUpdateRequest(ID=5, peerURLs=["http://x:1"]))
    ask("Cluster/MemberRemove", pb.MemberRemoveRequest(ID=5))
    ask("Maintenance/Status", pb.StatusRequest(), mask=STATUS)
    for action in (pb.AlarmRequest.GET, pb.AlarmRequest.DEACTIVATE, pb.AlarmRequest.GET):
        ask("Maintenance/Alarm", pb.AlarmRequest(action=action, alarm=pb.NOSPACE))
    ask(
        "Maintenance/Alarm",
        pb.AlarmRequest(action=pb.AlarmRequest.ACTIVATE, alarm=pb.NOSPACE, memberID=9),
    )
    ask("Maintenance/Alarm", pb.AlarmRequest())
    ask("KV/Put", pb.PutRequest(key=b"k", value=b"2"))
    ask("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=100, ID=700))
    ask("KV/DeleteRange", pb.DeleteRangeRequest(key=b"k"))
    ask(
        "Maintenance/Alarm",
        pb.AlarmRequest(action=pb.AlarmRequest.DEACTIVATE, alarm=pb.NOSPACE, memberID=9),
    )
    ask("KV/Put", pb.PutRequest(key=b"k", value=b"2"))
    ask("Maintenance/Defragment", pb.DefragmentRequest())
    ask("Maintenance/Hash", pb.HashRequest(), mask=("hash",))
    ask("Maintenance/HashKV", pb.HashKVRequest(), mask=("hash",))
    ask("Maintenance/HashKV", pb.HashKVRequest(revision=99), mask=("hash",))
    ask("Maintenance/MoveLeader", pb.MoveLeaderRequest(targetID=5))
    downgrade = pb.DowngradeRequest
    for asked in (
        downgrade(action=downgrade.CANCEL),
        downgrade(action=downgrade.VALIDATE, version="x"),
        downgrade(action=downgrade.VALIDATE, version="3.2.0"),
        downgrade(action=downgrade.ENABLE, version="3.2.0"),
    ):
        ask("Maintenance/Downgrade", asked)
    ask("KV/Compact", pb.CompactionRequest(revision=3))
    ask("KV/Compact", pb.CompactionRequest(revision=3))
    ask("KV/Compact", pb.CompactionRequest(revision=99))
    for request in (pb.RangeRequest(key=b"k", revision=2), pb.RangeRequest(key=b"k", revision=3)):
        ask("KV/Range", request)


def test_watches(twins: Twins) -> None:
    for number in range(6):
        twins.ask("KV/Put", pb.PutRequest(key=b"k%d" % (number % 3), value=b"%d" % number))
    twins.ask("KV/DeleteRange", pb.DeleteRangeRequest(key=b"k0", range_end=b"k2"))
    twins.ask("KV/Compact", pb.CompactionRequest(revision=4))
    create = pb.WatchCreateRequest
    filters = [[], [create.NOPUT], [create.NODELETE]]
    for key, end in ((b"k0", b""), (b"k", b"l"), (b"", b"\0"), (b"z", b"a"), (b"k1", b"k1")):
        for start in (0, 3, 4, 5, 100):
            for previous in (False, True):
                request = create(key=key, range_end=end, start_revision=start, prev_kv=previous)
                has_events = end not in (b"a", b"k1") and start in (4, 5)
                count = 2 if has_events or (start == 3 and end not in (b"a", b"k1")) else 1
                twins.talk("Watch/Watch", [pb.WatchRequest(create_request=request)], count)
    for row in filters:
        request = create(key=b"k", range_end=b"l", start_revision=4, filters=row, watch_id=9)
        twins.talk("Watch/Watch", [pb.WatchRequest(create_request=request)], 2)
    again = pb.WatchRequest(create_request=create(key=b"k", watch_id=5))
    twins.talk("Watch/Watch", [again, again], 2)
    cancel = pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=5))
    twins.talk("Watch/Watch", [again, cancel], 2)
    progress = pb.WatchRequest(progress_request=pb.WatchProgressRequest())
    twins.talk("Watch/Watch", [again, progress], 2)


def test_large_events_come_in_fragments(twins: Twins) -> None:
    for number in range(3):
        puts = [
            pb.RequestOp(request_put=pb.PutRequest(key=b"%d" % it, value=b"v" * 400_000))
            for it in range(3)
        ]
        del puts[number:]
        twins.ask("KV/Txn", pb.TxnRequest(success=puts))
    for side in (twins.etcd, twins.roost):
        create = pb.WatchCreateRequest(key=b"0", range_end=b"9", start_revision=2, fragment=True)
        answers = side.talk("Watch/Watch", [pb.WatchRequest(create_request=create)], 2)
        assert all(isinstance(it, pb.WatchResponse) for it in answers), side.name


def both(twins: Twins, path: str, request: lk.LockRequest | el.CampaignRequest) -> list[object]:
    """Begin a call that waits, on both sides; what they said in the end."""
    said: list[object] = []

    def ask(side: Side) -> None:
        said.append(side.ask(path, request, timeout_s=20))

    for side in (twins.etcd, twins.roost):
        threading.Thread(target=ask, args=(side,), daemon=True).start()
    return said


def wait_keys(twins: Twins, key: bytes, *, are_there: bool = True) -> None:
    """Return when a key is there, or gone, on both sides."""

    def is_so() -> bool:
        sides = (twins.etcd, twins.roost)
        answers = [side.ask("KV/Range", pb.RangeRequest(key=key)) for side in sides]
        return all(
            isinstance(it, pb.RangeResponse) and bool(it.count) is are_there for it in answers
        )

    wait_until(is_so)


def test_locks(twins: Twins) -> None:
    for lease_id in (101, 102):
        grant(twins, 60, lease_id)
    for lease_id in (101, 101, 999):
        twins.ask("Lock/Lock", lk.LockRequest(name=b"x", lease=lease_id))
    second = lk.LockRequest(name=b"x", lease=102)
    twins.ask("Lock/Lock", second, timeout_s=1)
    wait_keys(twins, b"x/66", are_there=False)
    said = both(twins, "Lock/Lock", second)
    wait_keys(twins, b"x/66")
    assert not said
    twins.ask("Lock/Unlock", lk.UnlockRequest(key=b"x/65"))
    wait_until(lambda: len(said) == 2)
    assert [it.key for it in said] == [b"x/66", b"x/66"]  # type: ignore[attr-defined]  # of pb
    twins.ask("Lock/Unlock", lk.UnlockRequest(key=b"x/66"))
    twins.ask("Lock/Unlock", lk.UnlockRequest(key=b"none"))
    twins.ask("Lock/Lock", lk.LockRequest(name=b"sessionless"), mask=("key",))
    twins.ask("KV/Range", pb.RangeRequest(key=b"x", range_end=b"y"))


def test_elections(twins: Twins) -> None:
    ask = twins.ask
    for lease_id in (201, 202):
        grant(twins, 60, lease_id)
    ask("Election/Leader", el.LeaderRequest(name=b"e"))
    ask("Election/Proclaim", el.ProclaimRequest(value=b"v"))
    ask("Election/Resign", el.ResignRequest())
    elected = ask("Election/Campaign", el.CampaignRequest(name=b"e", lease=201, value=b"one"))
    assert isinstance(elected, el.CampaignResponse)
    ask("Election/Campaign", el.CampaignRequest(name=b"e", lease=909, value=b"two"))
    ask("Election/Leader", el.LeaderRequest(name=b"e"))
    said = both(twins, "Election/Campaign", el.CampaignRequest(name=b"e", lease=202, value=b"two"))
    wait_keys(twins, b"e/ca")
    ask("Election/Proclaim", el.ProclaimRequest(leader=elected.leader, value=b"v"))
    other = el.LeaderKey(name=b"e", key=b"e/ca", rev=1, lease=202)
    ask("Election/Proclaim", el.ProclaimRequest(leader=other, value=b"v"))
    twins.talk("Election/Observe", [el.LeaderRequest(name=b"e")], 1)
    assert not said
    ask("Election/Resign", el.ResignRequest(leader=elected.leader))
    wait_until(lambda: len(said) == 2)
    ask("Election/Resign", el.ResignRequest(leader=elected.leader))
    ask("Election/Leader", el.LeaderRequest(name=b"e"))


def text(data: str) -> str:
    return base64.b64encode(data.encode()).decode()


GATEWAY = [
    ("kv/put", {"key": text("a"), "value": text("1")}),
    ("kv/put", {"key": text("a"), "value": text("2"), "prev_kv": True}),
    ("kv/put", {"key": text("a"), "value": text("3"), "prevKv": True}),
    ("kv/put", {"value": text("2")}),
    ("kv/put", {"key": text("a"), "lease": "99"}),
    ("kv/put", {"key": text("a"), "unknown": 1}),
    ("kv/put", b""),
    ("kv/range", {"key": text("a")}),
    *(
        ("kv/range", {"key": it})
        for it in ("foo", "f", "fo-_", "Zm9v\n", "foo\n", "Zg=\n=", "Zg=\n", "Zg==Zg==", "Zm8==")
    ),
    *(("kv/range", {"key": it}) for it in ("=", "Zg=g", "Zm 9v", "fooé", "Zm9v====")),
    ("kv/range", {"key": text("a"), "revision": "99"}),
    ("kv/range", {"key": text("a"), "sort_order": "DESCEND", "sort_target": "KEY"}),
    ("kv/range", {"key": text("a"), "sort_order": 1}),
    (
        "kv/txn",
        {
            "compare": [{"target": "VERSION", "key": text("a"), "version": "4"}],
            "success": [{"request_put": {"key": text("b"), "value": text("x")}}],
            "failure": [{"request_range": {"key": text("a")}}],
        },
    ),
    ("kv/deleterange", {"key": text("b")}),
    ("kv/compaction", {"revision": "2"}),
    ("kv/compaction", {"revision": "2"}),
    ("lease/grant", {"TTL": "10", "ID": "77"}),
    ("kv/lease/timetolive", {"ID": "77"}),
    ("lease/timetolive", {"ID": "78", "keys": True}),
    ("lease/leases", {}),
    ("lease/keepalive", {"ID": "77"}),
    ("lease/revoke", {"ID": "77"}),
    ("kv/lease/revoke", {"ID": "77"}),
    ("lease/keepalive", {"ID": "77"}),
    ("cluster/member/list", {}),
    ("cluster/member/remove", {"ID": "5"}),
    ("maintenance/status", {}),
    ("maintenance/alarm", {"action": "GET"}),
    ("maintenance/defragment", {}),
    ("maintenance/transfer-leadership", {"targetID": "5"}),
    ("maintenance/downgrade", {"action": "CANCEL"}),
    ("auth/status", {}),
    ("auth/enable", {}),
    ("auth/user/add", {"name": "u", "password": "p"}),
    ("auth/user/add", {"name": "u", "password": "p"}),
    ("auth/user/list", {}),
    ("auth/user/get", {"name": "u"}),
    ("auth/role/add", {"name": "r"}),
    ("auth/role/grant", {"name": "r", "perm": {"permType": "READWRITE", "key": text("k")}}),
    ("auth/role/get", {"role": "r"}),
    ("auth/user/grant", {"user": "u", "role": "r"}),
    ("auth/role/list", {}),
    ("auth/user/revoke", {"name": "u", "role": "r"}),
    ("auth/role/revoke", {"role": "r", "key": text("k")}),
    ("auth/role/delete", {"role": "r"}),
    ("auth/user/changepw", {"name": "u", "password": "q"}),
    ("auth/user/delete", {"name": "u"}),
    ("auth/authenticate", {"name": "u", "password": "q"}),
    ("auth/disable", {}),
    ("lock/unlock", {"key": text("l")}),
    ("election/leader", {"name": text("l")}),
    ("election/resign", {}),
    ("election/proclaim", {}),
    ("nope", {}),
    ("kv/range", {"key": "YQ=\n=\r\n"}),
    ("kv/range", {"key": text("a"), "limit": " 5"}),
    ("kv/range", {"key": text("a"), "limit": None, "serializable": None}),
    ("kv/txn", {"success": None}),
    ("cluster/member/add", {"peerURLs": [None]}),
]
# Refused by both; in other words, for they are of two JSON libraries.
_WRONG: dict[str, list[object]] = {
    "sort_order": ["FOO", "ascend", "1", 1.0, True, 1 << 40],
    "limit": ["5.0", 5.0, "+5", "1_0", "", 1 << 63, True, []],
    "serializable": ["true", 1],
    "key": ["!!!", "Y", "YQ=Q", "YQ===", "Y Q=", 5, ["YQ=="]],
}
REFUSED = [{"key": text("a"), name: value} for name, values in _WRONG.items() for value in values]


def test_the_json_gateway(twins: Twins) -> None:
    for path, body in GATEWAY:
        twins.post(f"/v3/{path}", body)
    twins.post("/v3beta/kv/range", {"key": text("a")})
    twins.post("/nope")
    for path in ("/v3/kv/put", "/version", "/nope"):
        twins.post(path, method="GET")
    for side in (twins.etcd, twins.roost):
        deep = b'{"key":"YQ==","x":' + b"[" * 100_000
        for body in (b"{nonsense", b"x" * 3_000_000, deep, deep + b"]" * 100_000 + b"}"):
            status, said = side.post("/v3/kv/put", body)
            assert (status, said["code"]) == (400, 3), (side.name, body[:20])
        for refused in REFUSED:
            status, said = side.post("/v3/kv/range", refused)
            assert (status, said["code"]) == (400, 3), (side.name, refused)
        grant = {"name": "r", "perm": {"permType": "WRITEONLY", "key": text("k")}}
        assert side.post("/v3/auth/role/grant", grant)[0] == 400, side.name
        assert side.post("/health", None, method="GET")[1]["health"] == "true"


def test_the_gateway_waits_as_long_as_its_client_says(twins: Twins) -> None:
    for lease_id in (101, 102):
        grant(twins, 60, lease_id)
    twins.ask("Lock/Lock", lk.LockRequest(name=b"x", lease=101))
    for timeout in ("1S", "0S", "x", "1", "1s", "-1S", "+5S", "999999999S", ""):
        headers = {"Grpc-Timeout": timeout}
        twins.post("/v3/kv/range", {"key": text("a")}, headers=headers)
    second = {"name": text("x"), "lease": "102"}
    twins.post("/v3/lock/lock", second, headers={"Grpc-Timeout": "300m"})
    create = {"create_request": {"key": text("w")}}
    ended = {"grpc_code": 4, "http_code": 504, "message": "context deadline exceeded"}
    for side in (twins.etcd, twins.roost):
        status, said = side.post("/v3/watch", create, headers={"Grpc-Timeout": "300m"})
        assert status == 200
        error = json.loads(said.splitlines()[-1])["error"]
        assert error["message"] == ended["message"], side.name
    # (etcd sometimes says code 2, when its own deadline is the first to notice.)
    assert error == {**ended, "http_status": "Gateway Timeout"}


def test_the_gateway_takes_tokens(twins: Twins) -> None:
    for method, request in AUTH_CHANGES:
        twins.ask(f"Auth/{method}", request)
    twins.log_in("root", "rootpw")
    twins.log_in("u", "upw")
    for side in (twins.etcd, twins.roost):
        side.tokens["bad"] = "garbage"
        status, said = side.post("/v3/auth/authenticate", {"name": "u", "password": "upw"})
        assert (status, bool(said["token"])) == (200, True)
    twins.post("/v3/auth/authenticate", {"name": "u", "password": "no"})
    for user in ("", "bad", "u", "root"):
        for path, body in (
            ("kv/put", {"key": text("k"), "value": text("1")}),
            ("kv/range", {"key": text("k")}),
            ("kv/range", {"key": text("q")}),
            ("kv/put", {"key": text("q")}),
            ("auth/user/list", {}),
            ("auth/status", {}),
        ):
            twins.post(f"/v3/{path}", body, user=user)


def test_a_watch_by_the_gateway_goes_on_after_its_request(twins: Twins) -> None:
    create = {"create_request": {"key": text("w"), "watch_id": "5"}}
    for side in (twins.etcd, twins.roost):
        request = urllib.request.Request(
            f"http://{side.endpoint}/v3/watch", data=json.dumps(create).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as stream:
            created = json.loads(stream.readline())["result"]
            assert (created["watch_id"], created["created"]) == ("5", True)
            side.post("/v3/kv/put", {"key": text("w"), "value": text("v")})
            [event] = json.loads(stream.readline())["result"]["events"]
            assert event["kv"]["value"] == text("v")
