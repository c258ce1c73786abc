"""Routes: every method of etcd's v3 services, by its path, and what answers it.

A unary handler gets the call and the request's bytes, checks them, and answers through the call,
now or when the replica calls back.  Nothing here knows of Raft, and nothing of HTTP/2.
"""

from dataclasses import dataclass

from roost.call import Route, Stream, StreamCall, StreamHandler, Unary
from roost.etcd.ports import Replica
from roost.etcd.v3.auth import AuthService
from roost.etcd.v3.cluster import ClusterService
from roost.etcd.v3.election import ElectionService
from roost.etcd.v3.interface import MEMBER_REPLACE, SINCE
from roost.etcd.v3.kv import KvService
from roost.etcd.v3.learners import refusing
from roost.etcd.v3.lease import LeaseService
from roost.etcd.v3.lock import LockService
from roost.etcd.v3.maintenance import MaintenanceService
from roost.etcd.v3.operations import OperationService
from roost.etcd.v3.watch import WatchStream
from roost.etcd.v3.watch_hub import WatchHub
from roost.proto import rpc_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """etcd's services, and the hub that streams of watches listen to."""

    kv: KvService
    watches: WatchHub
    leases: LeaseService
    users: AuthService
    cluster: ClusterService
    maintenance: MaintenanceService
    locks: LockService
    elections: ElectionService
    operations: OperationService


def routes_of(api: Api, replica: Replica) -> dict[bytes, Route]:
    """Every method served; what a learner may not answer is closed while `replica` is one."""
    routes = {
        **_named("etcdserverpb.KV", _kv(api.kv)),
        **_named("etcdserverpb.Watch", _watch(api.watches)),
        **_named("etcdserverpb.Lease", _lease(api.leases)),
        **_named("etcdserverpb.Auth", _auth(api.users)),
        **_named("etcdserverpb.Cluster", _cluster(api.cluster)),
        **_named("etcdserverpb.Maintenance", _maintenance(api.maintenance, api.cluster)),
        **_named("v3lockpb.Lock", _lock(api.locks)),
        **_named("v3electionpb.Election", _election(api.elections)),
        # Roost's own.
        SINCE: Stream(api.maintenance.since),
        MEMBER_REPLACE: Unary(api.cluster.replace),
        b"/roost.Operations/Run": Unary(api.operations.run),
    }
    return {path: refusing(path, route, replica) for path, route in routes.items()}


def _named(service: str, methods: dict[str, Route]) -> dict[bytes, Route]:
    return {f"/{service}/{method}".encode(): route for method, route in methods.items()}


def _watch(hub: WatchHub) -> dict[str, Route]:
    def open_stream(call: StreamCall) -> StreamHandler:
        return WatchStream(hub, call)

    return {"Watch": Stream(open_stream)}


def _kv(service: KvService) -> dict[str, Route]:
    return {
        "Range": Unary(service.range),
        "Put": Unary(service.put),
        "DeleteRange": Unary(service.delete_range),
        "Txn": Unary(service.txn),
        "Compact": Unary(service.compact),
    }


def _lease(service: LeaseService) -> dict[str, Route]:
    return {
        "LeaseGrant": Unary(service.grant),
        "LeaseRevoke": Unary(service.revoke),
        "LeaseKeepAlive": Stream(service.keep_alive),
        "LeaseTimeToLive": Unary(service.time_to_live),
        "LeaseLeases": Unary(service.list_leases),
    }


def _auth(service: AuthService) -> dict[str, Route]:
    writing = service.writing
    return {
        "AuthEnable": Unary(writing("etcd.auth_enable", pb.AuthEnableRequest)),
        "AuthDisable": Unary(writing("etcd.auth_disable", pb.AuthDisableRequest)),
        "AuthStatus": Unary(service.status),
        "Authenticate": Unary(service.authenticate),
        "UserAdd": Unary(service.add_user),
        "UserGet": Unary(service.get_user),
        "UserList": Unary(service.list_users),
        "UserDelete": Unary(writing("etcd.user_delete", pb.AuthUserDeleteRequest)),
        "UserChangePassword": Unary(service.change_password),
        "UserGrantRole": Unary(writing("etcd.user_grant", pb.AuthUserGrantRoleRequest)),
        "UserRevokeRole": Unary(writing("etcd.user_revoke", pb.AuthUserRevokeRoleRequest)),
        "RoleAdd": Unary(writing("etcd.role_add", pb.AuthRoleAddRequest)),
        "RoleGet": Unary(service.get_role),
        "RoleList": Unary(service.list_roles),
        "RoleDelete": Unary(writing("etcd.role_delete", pb.AuthRoleDeleteRequest)),
        "RoleGrantPermission": Unary(service.grant_permission),
        "RoleRevokePermission": Unary(
            writing("etcd.role_revoke", pb.AuthRoleRevokePermissionRequest)
        ),
    }


def _cluster(service: ClusterService) -> dict[str, Route]:
    return {
        "MemberAdd": Unary(service.add),
        "MemberRemove": Unary(service.remove),
        "MemberUpdate": Unary(service.update),
        "MemberPromote": Unary(service.promote),
        "MemberList": Unary(service.list_members),
    }


def _maintenance(service: MaintenanceService, cluster: ClusterService) -> dict[str, Route]:
    return {
        "Alarm": Unary(service.alarm),
        "Status": Unary(service.status),
        "Defragment": Unary(service.defragment),
        "Hash": Unary(service.hash),
        "HashKV": Unary(service.hash_kv),
        "Snapshot": Stream(service.snapshot),
        "MoveLeader": Unary(cluster.move_leader),
        "Downgrade": Unary(service.downgrade),
    }


def _lock(service: LockService) -> dict[str, Route]:
    return {"Lock": Stream(service.lock), "Unlock": Unary(service.unlock)}


def _election(service: ElectionService) -> dict[str, Route]:
    return {
        "Campaign": Stream(service.campaign),
        "Proclaim": Unary(service.proclaim),
        "Leader": Unary(service.leader),
        "Observe": Stream(service.observe),
        "Resign": Unary(service.resign),
    }
