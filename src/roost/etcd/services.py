"""The routes: from gRPC method paths to what answers them.

A unary handler gets the call and the request's bytes, checks them, and answers through the call,
now or when the replica calls back.  Nothing here knows of Raft, and nothing of HTTP/2.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from roost.call import Route, Stream, StreamCall, StreamHandler, Unary
from roost.etcd.access import users as auth
from roost.etcd.access.tokens import TOKEN_TTL_S, JwtOptions, SimpleTokens, Tokens
from roost.etcd.access.users import Auth
from roost.etcd.border import Border
from roost.etcd.limits import Limits
from roost.etcd.model import mvcc
from roost.etcd.model.alarms import ALARM_OPERATION, Alarms
from roost.etcd.model.kv import KvOperations
from roost.etcd.model.mvcc import KeyCounts, Mvcc
from roost.etcd.ports import Replica
from roost.etcd.upkeep.compactor import AUTO_COMPACT, Compactor, Keeping
from roost.etcd.upkeep.lessor import Lessor
from roost.etcd.upkeep.sweep import SLICE_OPERATION, Sweep
from roost.etcd.v3.auth import BCRYPT_COST, AuthService
from roost.etcd.v3.cluster import ClusterService
from roost.etcd.v3.election import ElectionService
from roost.etcd.v3.kv import KvService
from roost.etcd.v3.learners import refusing
from roost.etcd.v3.lease import LeaseService
from roost.etcd.v3.lock import LockService
from roost.etcd.v3.maintenance import MaintenanceService
from roost.etcd.v3.turns import Turns
from roost.etcd.v3.watch import WatchStream
from roost.etcd.v3.watch_hub import WatchHub
from roost.proto import rpc_pb2 as pb
from roost.store import Changes, Store, Txn


def bootstrap(txn: Txn) -> None:
    """Make the trees of an empty store."""
    mvcc.bootstrap(txn)
    auth.bootstrap(txn)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthOptions:
    """How users say who they are; `jwt` None is simple tokens."""

    jwt: JwtOptions | None = None
    token_ttl_s: float = TOKEN_TTL_S
    bcrypt_cost: int = BCRYPT_COST
    password_chars_min: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdFigures:
    """Counts of one member, for metrics."""

    watch_stream_count: int
    slow_watcher_count: int
    compacted_revision: int
    lease_count: int
    waiting_count: int
    key_count: int
    keys: KeyCounts
    failed_write_count: int
    failed_read_count: int


class Services:
    """etcd's services over one replica."""

    def __init__(
        self,
        replica: Replica,
        store: Store,
        *,
        limits: Limits | None = None,
        auth_options: AuthOptions | None = None,
        keeping: Keeping | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Register the operations and observe what is applied; `clock_s` never goes back."""
        limits, options = limits or Limits(), auth_options or AuthOptions()
        self._replica = replica
        self._mvcc = Mvcc(store)
        self.alarms = Alarms(store)
        self._auth = Auth(store, self._mvcc)
        self._tokens = _tokens(replica, self._auth, options, clock_s)
        border = Border(replica, self._mvcc, self.alarms, self._auth, self._tokens, limits=limits)
        self._border = border
        self._tasks = border.tasks
        self.lessor = Lessor(replica, self._mvcc, self.alarms, limits=limits, clock_s=clock_s)
        self.watches = WatchHub(border)
        operations = KvOperations(self._mvcc, self.alarms)
        self._sweep = Sweep(replica, self._mvcc, self.alarms)
        self._kv = KvService(border, operations, self._sweep)
        self._leases = LeaseService(border, self.lessor)
        self._users = AuthService(
            border,
            self._auth,
            self._tokens,
            bcrypt_cost=options.bcrypt_cost,
            password_chars_min=options.password_chars_min,
            clock_s=clock_s,
        )
        self._maintenance = MaintenanceService(border)
        self._cluster = ClusterService(border)
        self._turns = Turns(border)
        self._locks, self._elections = LockService(self._turns), ElectionService(self._turns)
        replica.register(ALARM_OPERATION, self.alarms.change_by_member)
        replica.register(SLICE_OPERATION, operations.compact_slice)
        replica.register(AUTO_COMPACT, operations.compact)
        self._compactor = (
            Compactor(replica, self._mvcc, keeping, clock_s=clock_s) if keeping else None
        )
        replica.observe(self._on_alarms_applied, trees=(self.alarms.tree,))
        replica.observe(self._on_rights_applied, trees=self._auth.trees)
        replica.observe(self._sweep.on_applied, trees=(self._mvcc.meta,))
        replica.observe_switch(lambda: self._read_again)

    def start(self) -> None:
        """Keep the time of leases, tokens, watchers and compaction."""
        self.lessor.start()
        self.watches.start()
        self._tokens.start()
        self._sweep.start()
        if self._compactor is not None:
            self._compactor.start()

    def stop(self) -> None:
        """Keep no time."""
        self.lessor.stop()
        self.watches.stop()
        self._tokens.stop()
        self._sweep.stop()
        if self._compactor is not None:
            self._compactor.stop()

    async def close(self) -> None:
        """End what still answers calls; none can come any more."""
        await self._tasks.close()

    def routes(self) -> dict[bytes, Route]:
        """Every method served, by its path."""
        routes = {
            **_named("etcdserverpb.KV", self._kv_routes()),
            **_named("etcdserverpb.Watch", {"Watch": Stream(self._watch)}),
            **_named("etcdserverpb.Lease", self._lease_routes()),
            **_named("etcdserverpb.Auth", self._auth_routes()),
            **_named("etcdserverpb.Cluster", self._cluster_routes()),
            **_named("etcdserverpb.Maintenance", self._maintenance_routes()),
            **_named("v3lockpb.Lock", self._lock_routes()),
            **_named("v3electionpb.Election", self._election_routes()),
            b"/roost.Maintenance/Since": Stream(self._maintenance.since),
            b"/roost.Cluster/MemberReplace": Unary(self._cluster.replace),
        }
        return {path: refusing(path, route, self._replica) for path, route in routes.items()}

    def _kv_routes(self) -> dict[str, Route]:
        service = self._kv
        return {
            "Range": Unary(service.range),
            "Put": Unary(service.put),
            "DeleteRange": Unary(service.delete_range),
            "Txn": Unary(service.txn),
            "Compact": Unary(service.compact),
        }

    def _lease_routes(self) -> dict[str, Route]:
        service = self._leases
        return {
            "LeaseGrant": Unary(service.grant),
            "LeaseRevoke": Unary(service.revoke),
            "LeaseKeepAlive": Stream(service.keep_alive),
            "LeaseTimeToLive": Unary(service.time_to_live),
            "LeaseLeases": Unary(service.list_leases),
        }

    def _auth_routes(self) -> dict[str, Route]:
        service = self._users
        writing: Any = service.writing  # any of etcd's requests
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

    def _cluster_routes(self) -> dict[str, Route]:
        service = self._cluster
        return {
            "MemberAdd": Unary(service.add),
            "MemberRemove": Unary(service.remove),
            "MemberUpdate": Unary(service.update),
            "MemberPromote": Unary(service.promote),
            "MemberList": Unary(service.list_members),
        }

    def _maintenance_routes(self) -> dict[str, Route]:
        service = self._maintenance
        return {
            "Alarm": Unary(service.alarm),
            "Status": Unary(service.status),
            "Defragment": Unary(service.defragment),
            "Hash": Unary(service.hash),
            "HashKV": Unary(service.hash_kv),
            "Snapshot": Stream(service.snapshot),
            "MoveLeader": Unary(self._cluster.move_leader),
            "Downgrade": Unary(service.downgrade),
        }

    def _lock_routes(self) -> dict[str, Route]:
        service = self._locks
        return {"Lock": Stream(service.lock), "Unlock": Unary(service.unlock)}

    def _election_routes(self) -> dict[str, Route]:
        service = self._elections
        return {
            "Campaign": Stream(service.campaign),
            "Proclaim": Unary(service.proclaim),
            "Leader": Unary(service.leader),
            "Observe": Stream(service.observe),
            "Resign": Unary(service.resign),
        }

    def revision(self) -> int:
        """The current revision here."""
        return self._mvcc.revision(self._replica.view)

    def figures(self) -> "EtcdFigures":
        """A snapshot for metrics."""
        return EtcdFigures(
            watch_stream_count=self.watches.stream_count,
            slow_watcher_count=self.watches.behind_count,
            compacted_revision=max(0, self._mvcc.compacted(self._replica.view)),
            lease_count=self.lessor.timed_count,
            waiting_count=self._turns.waiting_count,
            key_count=self._mvcc.key_count(self._replica.view),
            keys=self._mvcc.counts,
            failed_write_count=self._border.failed_write_count,
            failed_read_count=self._border.failed_read_count,
        )

    def _read_again(self) -> None:
        """A snapshot has replaced everything."""
        self.alarms.read_again()
        self._auth.read_again()
        self.watches.on_rights_changed()
        self._sweep.on_switched()

    def _on_alarms_applied(self, _index: int, _changes: Changes) -> None:
        self.alarms.read_again()

    def _on_rights_applied(self, _index: int, changes: Changes) -> None:
        self._auth.on_applied(changes)
        self.watches.on_rights_changed()

    # --- the rest -------------------------------------------------------------------------------

    def _watch(self, call: StreamCall) -> StreamHandler:
        return WatchStream(self.watches, call)


def _tokens(
    replica: Replica, auth: Auth, options: AuthOptions, clock_s: Callable[[], float]
) -> Tokens:
    if options.jwt is None:
        return SimpleTokens(replica, auth, ttl_s=options.token_ttl_s, clock_s=clock_s)
    from roost.etcd.access.jwt_tokens import JwtTokens  # what it needs is slow to import

    return JwtTokens(replica, auth, options.jwt)


def _named(service: str, methods: dict[str, Route]) -> dict[bytes, Route]:
    return {f"/{service}/{method}".encode(): route for method, route in methods.items()}
