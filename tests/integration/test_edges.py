"""Every field of every message at its edges, asked of Roost and of etcd on one pair of servers.

The requests are made from the schemas (`edges.py`), out of one plain request a method at least;
what is known to differ stands in `explained.py`, and is not asked here.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from google.protobuf.message import Message

from roost.proto import auth_pb2, election_pb2, lock_pb2, rpc_pb2
from roost.proto import election_pb2 as el
from roost.proto import lock_pb2 as lk
from roost.proto import rpc_pb2 as pb
from tests.integration.edges import KEYS, Edges, every_edge
from tests.integration.explained import EXPLAINED
from tests.integration.twins import Side, Twins, masked, running_clusters, running_twins
from tests.samples import SAMPLES

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
LEASE = 7
MEMBER = ("ID", "name", "peerURLs", "clientURLs")
STATUS = ("dbSize", "dbSizeInUse", "leader", "raftIndex", "raftAppliedIndex", "raftTerm")


def _op(**kind: Message) -> pb.RequestOp:
    return pb.RequestOp(**kind)  # type: ignore[arg-type]  # one of them


PUT = pb.PutRequest(key=b"a", value=b"1")
GET = pb.RangeRequest(key=b"a")
ALL = pb.RangeRequest(key=b"\0", range_end=b"\0")
DELETE = pb.DeleteRangeRequest(key=b"a")
HELD = pb.Compare(key=b"a", target=pb.Compare.VERSION, result=pb.Compare.GREATER)
KV: list[tuple[str, Message]] = [
    ("KV/Range", GET),
    ("KV/Range", pb.RangeRequest(key=b"a", range_end=b"z")),
    ("KV/Range", pb.RangeRequest(key=b"a", range_end=b"z", sort_target=pb.RangeRequest.VALUE)),
    ("KV/Put", PUT),
    ("KV/Put", pb.PutRequest(key=b"b", lease=LEASE, prev_kv=True)),
    ("KV/DeleteRange", DELETE),
    ("KV/DeleteRange", pb.DeleteRangeRequest(key=b"a", range_end=b"c")),
    ("KV/Txn", pb.TxnRequest()),
    ("KV/Txn", pb.TxnRequest(success=[_op(request_range=GET)])),
    (
        "KV/Txn",
        pb.TxnRequest(
            compare=[HELD], success=[_op(request_put=PUT)], failure=[_op(request_range=ALL)]
        ),
    ),
    (
        "KV/Txn",
        pb.TxnRequest(
            success=[
                _op(request_put=pb.PutRequest(key=b"q")),
                _op(request_range=ALL),
                _op(request_delete_range=DELETE),
            ]
        ),
    ),
    (
        "KV/Txn",
        pb.TxnRequest(
            success=[_op(request_txn=pb.TxnRequest(compare=[HELD], success=[_op(request_put=PUT)]))]
        ),
    ),
    ("KV/Compact", pb.CompactionRequest(revision=3)),
]
LEASES: list[tuple[str, Message]] = [
    ("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=1000, ID=8)),
    ("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=8)),
    ("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=LEASE, keys=True)),
    ("Lease/LeaseLeases", pb.LeaseLeasesRequest()),
]
_R = auth_pb2.Permission
_GRANTED = _R(permType=_R.READWRITE, key=b"a", range_end=b"c")
AUTH: list[tuple[str, Message]] = [
    ("Auth/AuthStatus", pb.AuthStatusRequest()),
    ("Auth/AuthDisable", pb.AuthDisableRequest()),
    ("Auth/AuthEnable", pb.AuthEnableRequest()),
    ("Auth/Authenticate", pb.AuthenticateRequest(name="u", password="p")),
    ("Auth/UserAdd", pb.AuthUserAddRequest(name="u", password="p")),
    (
        "Auth/UserAdd",
        pb.AuthUserAddRequest(name="n", options=auth_pb2.UserAddOptions(no_password=True)),
    ),
    ("Auth/UserGet", pb.AuthUserGetRequest(name="u")),
    ("Auth/UserList", pb.AuthUserListRequest()),
    ("Auth/UserChangePassword", pb.AuthUserChangePasswordRequest(name="u", password="p")),
    ("Auth/RoleAdd", pb.AuthRoleAddRequest(name="r")),
    ("Auth/RoleGet", pb.AuthRoleGetRequest(role="r")),
    ("Auth/RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="r", perm=_GRANTED)),
    (
        "Auth/RoleRevokePermission",
        pb.AuthRoleRevokePermissionRequest(role="r", key=b"a", range_end=b"c"),
    ),
    ("Auth/UserGrantRole", pb.AuthUserGrantRoleRequest(user="u", role="r")),
    ("Auth/UserRevokeRole", pb.AuthUserRevokeRoleRequest(name="u", role="r")),
    ("Auth/RoleList", pb.AuthRoleListRequest()),
    ("Auth/RoleDelete", pb.AuthRoleDeleteRequest(role="r")),
    ("Auth/UserDelete", pb.AuthUserDeleteRequest(name="u")),
]
_LEADER = el.LeaderKey(name=b"e", key=b"e/7", rev=5, lease=LEASE)
TURNS: list[tuple[str, Message]] = [
    ("Lock/Lock", lk.LockRequest(name=b"l", lease=LEASE)),
    ("Lock/Unlock", lk.UnlockRequest(key=b"l/7")),
    ("Election/Campaign", el.CampaignRequest(name=b"e", lease=LEASE, value=b"v")),
    ("Election/Leader", el.LeaderRequest(name=b"e")),
    ("Election/Proclaim", el.ProclaimRequest(leader=_LEADER, value=b"x")),
    ("Election/Resign", el.ResignRequest(leader=_LEADER)),
]
UPKEEP: list[tuple[str, Message]] = [
    ("Cluster/MemberAdd", pb.MemberAddRequest()),
    ("Cluster/MemberRemove", pb.MemberRemoveRequest(ID=5)),
    ("Cluster/MemberUpdate", pb.MemberUpdateRequest(ID=5, peerURLs=["http://localhost:9"])),
    ("Cluster/MemberList", pb.MemberListRequest()),
    ("Cluster/MemberPromote", pb.MemberPromoteRequest(ID=5)),
    ("Maintenance/Status", pb.StatusRequest()),
    ("Maintenance/Defragment", pb.DefragmentRequest()),
    ("Maintenance/Hash", pb.HashRequest()),
    ("Maintenance/HashKV", pb.HashKVRequest()),
    ("Maintenance/MoveLeader", pb.MoveLeaderRequest()),
    ("Maintenance/Downgrade", pb.DowngradeRequest(version="3.3.0")),
    ("Maintenance/Alarm", pb.AlarmRequest()),
    ("Maintenance/Alarm", pb.AlarmRequest(action=pb.AlarmRequest.ACTIVATE, alarm=pb.NOSPACE)),
    ("Maintenance/Alarm", pb.AlarmRequest(action=pb.AlarmRequest.DEACTIVATE, alarm=pb.NOSPACE)),
]
# Streams, which are talked to; `test_twins.py` has them all.
STREAMS = {
    *("Watch/Watch", "Lease/LeaseKeepAlive", "Election/Observe", "Maintenance/Snapshot"),
}
MASKS = {
    "Cluster/MemberList": MEMBER,
    "Maintenance/Status": STATUS,
    "Maintenance/Hash": ("hash",),
    "Maintenance/HashKV": ("hash",),
    "Lease/LeaseTimeToLive": ("TTL",),
    "Lease/LeaseLeases": ("ID",),
}


def _asks(pattern: str) -> Callable[[str, Message], bool]:
    found = re.compile(pattern, re.DOTALL)
    return lambda path, request: found.search(f"{path} {request}") is not None


def _has_password(request: Message) -> bool:
    assert isinstance(request, pb.AuthUserAddRequest | pb.AuthUserChangePasswordRequest)
    has_none = isinstance(request, pb.AuthUserAddRequest) and request.options.no_password
    return has_none or 0 < len(request.password.encode()) <= 72


# Rows of `explained.py`, and the requests that they are about.
KNOWN: dict[str, Callable[[str, Message], bool]] = {
    "KV/Range, also in a transaction, with an unknown sort order or target": _asks(
        r"^KV.*\bsort_(order|target): [-\d]"
    ),
    "Maintenance/Alarm with an unknown action, or that raises an unknown type": _asks(
        r"^Maintenance/Alarm.*(action: [-\d]|action: ACTIVATE.*alarm: [-\d])"
    ),
    "Maintenance/Alarm with LOST_ENTRIES": _asks(r"^Maintenance/Alarm.*LOST_ENTRIES"),
    "Auth/RoleGrantPermission of an unknown type": _asks(
        r"^Auth/RoleGrantPermission.*permType: [-\d]"
    ),
    "Auth/UserAdd, Auth/UserChangePassword with no password, or one of more than 72 bytes": (
        lambda path, request: (
            path in {"Auth/UserAdd", "Auth/UserChangePassword"} and not _has_password(request)
        )
    ),
}


def is_known(path: str, request: Message) -> bool:
    """Whether it is known why the answers differ."""
    assert set(KNOWN) <= set(EXPLAINED)
    return any(is_about(path, request) for is_about in KNOWN.values())


def test_every_method_is_asked_at_its_edges() -> None:
    asked = {path for path, _ in (*KV, *LEASES, *AUTH, *TURNS, *UPKEEP)} | STREAMS
    for schema in (rpc_pb2, lock_pb2, election_pb2):
        for service in schema.DESCRIPTOR.services_by_name.values():
            missing = {f"{service.name}/{it.name}" for it in service.methods} - asked
            assert not missing or service.full_name.startswith("roost."), missing


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    with running_twins(tmp_path) as made:
        begin(made)
        yield made
        made.check()


def begin(twins: Twins, user: str = "") -> None:
    """Some keys, some of them on a lease, as if nothing had been there."""
    everything = pb.DeleteRangeRequest(key=b"\0", range_end=b"\0")
    twins.ask("KV/DeleteRange", everything, user)
    twins.ask("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=LEASE), user)
    twins.ask("Lease/LeaseGrant", pb.LeaseGrantRequest(ID=LEASE, TTL=1000), user)
    for key in KEYS[1:6]:
        twins.ask("KV/Put", pb.PutRequest(key=key, value=b"v" + key), user)
    for key in (b"c", b"\xff"):
        twins.ask("KV/Put", pb.PutRequest(key=key, value=b"w", lease=LEASE), user)
    twins.ask("KV/Put", PUT, user)


def ask(twins: Twins, path: str, request: Message, user: str = "") -> Message | str:
    """Ask both, and take back what would be in the way of what comes after."""
    mask = MASKS.get(path, ())
    if not getattr(request, "lease", 1) and path in {"Lock/Lock", "Election/Campaign"}:
        mask = ("key", "lease")  # a session of the server's own
    if isinstance(request, pb.LeaseGrantRequest) and not request.ID:
        mask = ("ID",)
    answer = twins.ask(path, request, user, mask)
    if isinstance(request, pb.LeaseGrantRequest) and not request.ID:
        revoke_drawn(twins)
    elif isinstance(request, pb.LeaseGrantRequest) and request.ID != LEASE:
        twins.ask("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=request.ID), mask=("TTL",))
        twins.ask("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=request.ID))
    elif isinstance(request, lk.LockRequest | el.CampaignRequest):
        twins.ask("KV/DeleteRange", line_of(request))
        revoke_drawn(twins)
    elif isinstance(request, el.ProclaimRequest | el.ResignRequest):
        # It may have made the key: of revision 0 is what is not there.
        twins.ask("KV/DeleteRange", pb.DeleteRangeRequest(key=request.leader.key))
        revoke_drawn(twins)
    elif isinstance(request, pb.AlarmRequest) and request.action == pb.AlarmRequest.ACTIVATE:
        twins.ask("Maintenance/Alarm", pb.AlarmRequest())
        disarm = pb.AlarmRequest(
            action=pb.AlarmRequest.DEACTIVATE, alarm=request.alarm, memberID=request.memberID
        )
        twins.ask("Maintenance/Alarm", disarm)
    elif isinstance(request, pb.AuthRoleGrantPermissionRequest):
        role, perm = request.name, request.perm
        twins.ask("Auth/RoleGet", pb.AuthRoleGetRequest(role=role), user)
        revoke = pb.AuthRoleRevokePermissionRequest(
            role=role, key=perm.key, range_end=perm.range_end
        )
        twins.ask("Auth/RoleRevokePermission", revoke, user)
    return answer


def line_of(request: lk.LockRequest | el.CampaignRequest) -> pb.DeleteRangeRequest:
    """All keys of those who wait."""
    return pb.DeleteRangeRequest(key=request.name + b"/", range_end=request.name + b"0")


def revoke_drawn(twins: Twins) -> None:
    """Revoke what has an id that its server drew."""
    for side in (twins.etcd, twins.roost):
        held = side.ask("Lease/LeaseLeases", pb.LeaseLeasesRequest())
        assert isinstance(held, pb.LeaseLeasesResponse), held
        for lease in held.leases:
            if lease.ID != LEASE:
                side.ask("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=lease.ID))


def ask_edges(twins: Twins, plain: Sequence[tuple[str, Message]]) -> None:
    """Every edge of every field, one after the other."""
    for path, begun in plain:
        for request in every_edge(begun):
            if not is_known(path, request):
                ask(twins, path, request)
        twins.ask("KV/Range", ALL)
        twins.check()


def test_keys_at_the_edges(twins: Twins) -> None:
    ask_edges(twins, KV)
    assert twins.count > 3000


def test_leases_at_the_edges(twins: Twins) -> None:
    ask_edges(twins, LEASES)


def test_locks_and_elections_at_the_edges(twins: Twins) -> None:
    ask_edges(twins, TURNS)


def test_users_and_roles_at_the_edges(twins: Twins) -> None:
    twins.ask("Auth/UserAdd", pb.AuthUserAddRequest(name="u", password="p"))
    twins.ask("Auth/RoleAdd", pb.AuthRoleAddRequest(name="r"))
    ask_edges(twins, AUTH)


def test_the_cluster_and_its_upkeep_at_the_edges(twins: Twins) -> None:
    ask_edges(twins, UPKEEP)


# etcd's sort is not stable where there are more than six keys.
_UNSTABLE = re.compile(r"\bsort_target: (?!KEY)")


def ask_by_chance(
    pairs: Sequence[Twins], plain: Sequence[tuple[str, Message]], count: int, seed: int
) -> None:
    """A sequence of requests with any of their fields at an edge, to any member of two clusters."""
    edges = Edges(seed)
    for number in range(count):
        path, begun = edges.dice.choice(plain)
        request = edges.of(begun)
        if is_known(path, request) or _UNSTABLE.search(str(request)):
            continue
        pair = edges.dice.choice(pairs)
        if len(pairs) > 1:
            # What was answered elsewhere is here too.
            pair.ask("KV/Range", GET)
        answer = ask(pair, path, request)
        if not isinstance(answer, str) and hasattr(answer, "header") and answer.header.revision:
            edges.revision = answer.header.revision
        if number % 50 == 0:
            begin(pairs[0])
        pair.check()


def test_a_sequence_of_rare_requests(twins: Twins) -> None:
    ask_by_chance([twins], [*KV, *KV, *LEASES, *UPKEEP], 1500 * SAMPLES, seed=12)


def test_a_sequence_of_rare_requests_to_leaders_and_followers(tmp_path: Path) -> None:
    with running_clusters(tmp_path, 3) as pairs:
        begin(pairs[0])
        ask_by_chance(pairs, [*KV, *KV, *LEASES, *TURNS[1:], *UPKEEP], 500 * SAMPLES, seed=13)


RIGHTS = [
    _R(permType=_R.READWRITE, key=b"a", range_end=b"b"),
    _R(permType=_R.READ, key=b"b", range_end=b"c\0"),
    _R(permType=_R.WRITE, key=b"q"),
    _R(permType=_R.READWRITE, key=b"\xff", range_end=b"\0"),
]


def make_users(twins: Twins) -> None:
    """Root, who may do everything, and somebody with RIGHTS."""
    for name, role in (("root", "root"), ("u", "r")):
        twins.ask("Auth/RoleAdd", pb.AuthRoleAddRequest(name=role))
        twins.ask("Auth/UserAdd", pb.AuthUserAddRequest(name=name, password="p"))
        twins.ask("Auth/UserGrantRole", pb.AuthUserGrantRoleRequest(user=name, role=role))
    for right in RIGHTS:
        grant = pb.AuthRoleGrantPermissionRequest(name="r", perm=right)
        twins.ask("Auth/RoleGrantPermission", grant)
    twins.ask("Auth/AuthEnable", pb.AuthEnableRequest())
    for name in ("root", "u"):
        twins.log_in(name, "p")
    for side in (twins.etcd, twins.roost):
        side.tokens["a stranger"] = "garbage"


def _is_judged_otherwise(user: str, path: str, request: Message) -> bool:
    """What `explained.py` says of requests without the right, or without a token."""
    if "request_txn" in str(request):
        return user in {"", "u"}
    if user == "":
        return path == "KV/Compact" or (path == "KV/Txn" and not str(request))
    said = str(request)
    puts_on_lease = f"lease: {LEASE}" in said and path in {"KV/Txn", "Election/Proclaim"}
    is_refused = path == "KV/Compact" or "prev_kv: true" in said
    return user == "u" and (is_refused or puts_on_lease or _is_reversed(request))


def _is_reversed(message: Message) -> bool:
    """Whether a range in it is the wrong way round."""
    key, end = getattr(message, "key", b""), getattr(message, "range_end", b"")
    if b"\0" != end <= key and end:
        return True
    held = [(row, getattr(message, row.name)) for row in message.DESCRIPTOR.fields]
    inner = [
        it
        for row, value in held
        if row.message_type is not None and (row.is_repeated or message.HasField(row.name))
        for it in (value if row.is_repeated else [value])
    ]
    return any(_is_reversed(it) for it in inner)


def test_a_sequence_of_rare_requests_of_users(twins: Twins) -> None:
    make_users(twins)
    edges = Edges(14)
    for number in range(1000 * SAMPLES):
        user = edges.dice.choice(["u", "u", "u", "root", "", "a stranger"])
        path, begun = edges.dice.choice([*KV, *TURNS])
        request = edges.of(begun)
        if is_known(path, request) or _UNSTABLE.search(str(request)):
            continue
        if path in {"Lock/Lock", "Election/Campaign"} and not getattr(request, "lease", 1):
            continue  # a session of the server's own
        if not _is_judged_otherwise(user, path, request):
            twins.ask(path, request, user, timeout_s=1)
        if isinstance(request, lk.LockRequest | el.CampaignRequest):
            twins.ask("KV/DeleteRange", line_of(request), "root")
        if isinstance(request, el.ProclaimRequest):
            twins.ask("KV/DeleteRange", pb.DeleteRangeRequest(key=request.leader.key), "root")
        if number % 50 == 0:
            begin(twins, "root")
        twins.check()


SENTINEL = b"sentinel"
_SENTINELS = (900_001, 900_002)


def told(side: Side, requests: Sequence[pb.WatchRequest], first: int) -> dict[int, list[str]]:
    """What a watch stream says of each watch, all of it; events in a row count as one answer.

    Where those who are behind meet on their way, we answer twice what etcd answers once.

    A sentinel is watched from the past, twice: when the second one has been told of, everything
    before the first has been (etcd serves all that are behind in one pass, in any order).
    """

    def sentinel(watch_id: int) -> pb.WatchRequest:
        create = pb.WatchCreateRequest(key=SENTINEL, start_revision=first, watch_id=watch_id)
        return pb.WatchRequest(create_request=create)

    said: dict[int, list[pb.WatchResponse]] = {}
    with side.conversing("Watch/Watch", [*requests, sentinel(_SENTINELS[0])]) as (stream, send):
        for answer in stream:
            assert isinstance(answer, pb.WatchResponse)
            if answer.watch_id not in _SENTINELS:
                answers = said.setdefault(answer.watch_id, [])
                if answers and answers[-1].events and answer.events:
                    answers[-1].events.extend(answer.events)
                else:
                    answers.append(answer)
            elif answer.events and answer.watch_id == _SENTINELS[0]:
                send(sentinel(_SENTINELS[1]))
            elif answer.events:
                break
    return {watch_id: [masked(it) for it in answers] for watch_id, answers in said.items()}


def test_watches_at_the_edges(twins: Twins) -> None:
    put = twins.ask("KV/Put", pb.PutRequest(key=SENTINEL))
    assert isinstance(put, pb.PutResponse)
    first = put.header.revision
    for number in range(4):
        twins.ask("KV/Put", pb.PutRequest(key=b"a", value=b"%d" % number))
    twins.ask("KV/DeleteRange", pb.DeleteRangeRequest(key=b"a", range_end=b"c"))
    twins.ask("KV/Compact", pb.CompactionRequest(revision=first - 3))
    plain = [
        pb.WatchCreateRequest(key=b"a"),
        pb.WatchCreateRequest(key=b"a", range_end=b"z", start_revision=first - 2),
        pb.WatchCreateRequest(key=b"a", range_end=b"z", start_revision=2),
    ]
    requests = [
        request
        for create in plain
        for request in every_edge(pb.WatchRequest(create_request=create))
        if isinstance(request, pb.WatchRequest)
    ]
    assert len(requests) > 100
    # etcd looks every tenth of a second at those that are behind: all are asked beside each other.
    with ThreadPoolExecutor(8) as pool:
        said = [
            list(pool.map(partial(told, side, first=first), ([it] for it in requests)))
            for side in (twins.etcd, twins.roost)
        ]
    for request, etcd, roost in zip(requests, *said, strict=True):
        assert etcd == roost, request


def test_watches_are_numbered_alike_after_refused_ones(twins: Twins) -> None:
    put = twins.ask("KV/Put", pb.PutRequest(key=SENTINEL))
    assert isinstance(put, pb.PutResponse)
    first = put.header.revision
    dice = Edges(5).dice
    for _ in range(30):
        requests: list[pb.WatchRequest] = []
        for _ in range(12):
            create = pb.WatchCreateRequest(
                key=dice.choice([b"a", b"b", b"z", b""]),
                range_end=dice.choice([b"", b"", b"a", b"z", b"\0"]),
                watch_id=dice.choice([0, 0, 0, 1, 2, 3, -4]),
                start_revision=dice.choice([0, first + 1000]),
            )
            cancel = pb.WatchCancelRequest(watch_id=dice.choice([0, 1, 2, 3, -1, -4]))
            requests.append(
                dice.choice(
                    [
                        pb.WatchRequest(create_request=create),
                        pb.WatchRequest(create_request=create),
                        pb.WatchRequest(cancel_request=cancel),
                        pb.WatchRequest(),
                    ]
                )
            )
        etcd, roost = (told(side, requests, first) for side in (twins.etcd, twins.roost))
        assert etcd == roost, requests


def test_what_is_refused_while_an_alarm_is_raised(twins: Twins) -> None:
    change = pb.AlarmRequest
    for kind in (pb.NOSPACE, pb.CORRUPT):
        for member_id in (9, 0):
            asked = change(action=change.ACTIVATE, alarm=kind, memberID=member_id)
            twins.ask("Maintenance/Alarm", asked)
        for path, request in (*KV, *LEASES, *TURNS, *UPKEEP[:-3], *AUTH[-6:]):
            if not _is_answered_otherwise(kind, path, request):
                ask(twins, path, request)
        for member_id in (9, 9, 0):
            asked = change(action=change.DEACTIVATE, alarm=kind, memberID=member_id)
            twins.ask("Maintenance/Alarm", asked)
            twins.ask("Maintenance/Alarm", change())


def _is_answered_otherwise(kind: pb.AlarmType, path: str, request: Message) -> bool:
    """What `explained.py` says of alarms: reads under CORRUPT, nested puts under NOSPACE."""
    if kind == pb.NOSPACE:
        return "request_txn" in str(request)
    writes = "request_put" in str(request) or "request_delete_range" in str(request)
    return path == "KV/Range" or (path == "KV/Txn" and not writes)


def test_members_at_the_edges(twins: Twins) -> None:
    urls = [
        *("http://localhost:99/path", "http://localhost:99/", "http://localhost", "localhost:99"),
        *("unix:///x", "ftp://a:1", "https://localhost:98", "http://a b:1", "http://local\0host:1"),
        *("http://::1:99", "http://[::1]:99", "http://localhost:x", "http://localhost:-1"),
    ]
    for url in urls:
        add = pb.MemberAddRequest(peerURLs=[url], isLearner=True)
        # Members are listed by their ids, which are drawn.
        twins.ask("Cluster/MemberAdd", add, mask=("members", *MEMBER))
        for side in (twins.etcd, twins.roost):
            for member in members(side):
                if member.isLearner:
                    side.ask("Cluster/MemberRemove", pb.MemberRemoveRequest(ID=member.ID))
    answers = []
    for side in (twins.etcd, twins.roost):
        [member] = members(side)
        answers.append(
            [
                side.ask("Cluster/MemberRemove", pb.MemberRemoveRequest(ID=member.ID)),
                side.ask("Cluster/MemberPromote", pb.MemberPromoteRequest(ID=member.ID)),
                side.ask("Maintenance/MoveLeader", pb.MoveLeaderRequest(targetID=member.ID)),
            ]
        )
    assert answers[0] == answers[1]


def members(side: Side) -> Sequence[pb.Member]:
    """Who is in the cluster."""
    listed = side.ask("Cluster/MemberList", pb.MemberListRequest())
    assert isinstance(listed, pb.MemberListResponse), listed
    return listed.members
