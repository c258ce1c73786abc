"""What v3 offers, as data: the schemas of its services, the JSON gateway's paths to them.

The paths are etcd's (etcd: the http annotations of rpc.proto), and two are ours, the last ones.
"""

from collections.abc import Mapping

from roost.call import Code, Status
from roost.errors import NoLeader, Stopped
from roost.etcd.errors import SHORT_OF_MEMORY, status_of
from roost.proto import election_pb2, lock_pb2, operations_pb2, rpc_pb2

SCHEMAS = (
    *(rpc_pb2.DESCRIPTOR, lock_pb2.DESCRIPTOR, election_pb2.DESCRIPTOR),
    operations_pb2.DESCRIPTOR,
)
# Our own methods beside etcd's; the first has no schema: what it takes and gives are bytes.
SINCE, MEMBER_REPLACE = b"/roost.Maintenance/Since", b"/roost.Cluster/MemberReplace"
# What the port itself says in etcd's words.
NO_LEADER = status_of(NoLeader())
STOPPED = status_of(Stopped())
SHORT = Status(Code.RESOURCE_EXHAUSTED, SHORT_OF_MEMORY)
# What is answered while memory is short: it holds little, or ends something, or says how the
# member is.  Range looks for itself.
LIGHT = frozenset(
    f"/etcdserverpb.{name}".encode()
    for name in (
        "KV/Range",
        "KV/Compact",
        "Lease/LeaseKeepAlive",
        "Lease/LeaseRevoke",
        "Lease/LeaseTimeToLive",
        "Auth/Authenticate",
        "Auth/AuthStatus",
        "Cluster/MemberList",
        "Maintenance/Alarm",
        "Maintenance/MoveLeader",
        "Maintenance/Status",
    )
)
# Path behind the version -> service and method.
JSON_PATHS: Mapping[str, str] = {
    "kv/range": "etcdserverpb.KV/Range",
    "kv/put": "etcdserverpb.KV/Put",
    "kv/deleterange": "etcdserverpb.KV/DeleteRange",
    "kv/txn": "etcdserverpb.KV/Txn",
    "kv/compaction": "etcdserverpb.KV/Compact",
    "watch": "etcdserverpb.Watch/Watch",
    "lease/grant": "etcdserverpb.Lease/LeaseGrant",
    "lease/revoke": "etcdserverpb.Lease/LeaseRevoke",
    "kv/lease/revoke": "etcdserverpb.Lease/LeaseRevoke",
    "lease/keepalive": "etcdserverpb.Lease/LeaseKeepAlive",
    "lease/timetolive": "etcdserverpb.Lease/LeaseTimeToLive",
    "kv/lease/timetolive": "etcdserverpb.Lease/LeaseTimeToLive",
    "lease/leases": "etcdserverpb.Lease/LeaseLeases",
    "kv/lease/leases": "etcdserverpb.Lease/LeaseLeases",
    "cluster/member/add": "etcdserverpb.Cluster/MemberAdd",
    "cluster/member/remove": "etcdserverpb.Cluster/MemberRemove",
    "cluster/member/update": "etcdserverpb.Cluster/MemberUpdate",
    "cluster/member/list": "etcdserverpb.Cluster/MemberList",
    "cluster/member/promote": "etcdserverpb.Cluster/MemberPromote",
    "maintenance/alarm": "etcdserverpb.Maintenance/Alarm",
    "maintenance/status": "etcdserverpb.Maintenance/Status",
    "maintenance/defragment": "etcdserverpb.Maintenance/Defragment",
    "maintenance/hash": "etcdserverpb.Maintenance/HashKV",
    "maintenance/snapshot": "etcdserverpb.Maintenance/Snapshot",
    "maintenance/transfer-leadership": "etcdserverpb.Maintenance/MoveLeader",
    "maintenance/downgrade": "etcdserverpb.Maintenance/Downgrade",
    "auth/enable": "etcdserverpb.Auth/AuthEnable",
    "auth/disable": "etcdserverpb.Auth/AuthDisable",
    "auth/status": "etcdserverpb.Auth/AuthStatus",
    "auth/authenticate": "etcdserverpb.Auth/Authenticate",
    "auth/user/add": "etcdserverpb.Auth/UserAdd",
    "auth/user/get": "etcdserverpb.Auth/UserGet",
    "auth/user/list": "etcdserverpb.Auth/UserList",
    "auth/user/delete": "etcdserverpb.Auth/UserDelete",
    "auth/user/changepw": "etcdserverpb.Auth/UserChangePassword",
    "auth/user/grant": "etcdserverpb.Auth/UserGrantRole",
    "auth/user/revoke": "etcdserverpb.Auth/UserRevokeRole",
    "auth/role/add": "etcdserverpb.Auth/RoleAdd",
    "auth/role/get": "etcdserverpb.Auth/RoleGet",
    "auth/role/list": "etcdserverpb.Auth/RoleList",
    "auth/role/delete": "etcdserverpb.Auth/RoleDelete",
    "auth/role/grant": "etcdserverpb.Auth/RoleGrantPermission",
    "auth/role/revoke": "etcdserverpb.Auth/RoleRevokePermission",
    "lock/lock": "v3lockpb.Lock/Lock",
    "lock/unlock": "v3lockpb.Lock/Unlock",
    "election/campaign": "v3electionpb.Election/Campaign",
    "election/proclaim": "v3electionpb.Election/Proclaim",
    "election/leader": "v3electionpb.Election/Leader",
    "election/observe": "v3electionpb.Election/Observe",
    "election/resign": "v3electionpb.Election/Resign",
    "operations/run": "roost.Operations/Run",
    "cluster/member/replace": "roost.Cluster/MemberReplace",
}
