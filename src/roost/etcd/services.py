"""etcd over one replica: its storeys put together, from the model to the services of v3."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from roost.call import Caller, Route
from roost.database import events
from roost.database.model import Changes, Store, Txn
from roost.etcd import errors
from roost.etcd.access import users as auth
from roost.etcd.access.callers import Callers
from roost.etcd.access.hashers import Hashers
from roost.etcd.access.judge import Judge
from roost.etcd.access.passwords import Passwords
from roost.etcd.access.tokens import JwtOptions, SimpleTokens, Tokens
from roost.etcd.access.users import Auth
from roost.etcd.border import Border
from roost.etcd.limits import Limits
from roost.etcd.model import mvcc
from roost.etcd.model.alarms import ALARM_OPERATION, Alarms
from roost.etcd.model.costs import Costs
from roost.etcd.model.kv import ANSWER_BYTES_MAX, KvOperations
from roost.etcd.model.mvcc import KeyCounts, Mvcc
from roost.etcd.ports import Replica
from roost.etcd.upkeep.compactor import AUTO_COMPACT, Compactor, Keeping
from roost.etcd.upkeep.counting import Counting
from roost.etcd.upkeep.lessor import Lessor
from roost.etcd.upkeep.sweep import SLICE_OPERATION, Removal, Sweep
from roost.etcd.v2 import history as v2_history
from roost.etcd.v2 import nodes as v2_nodes
from roost.etcd.v2.services import V2
from roost.etcd.v3.auth import AuthService
from roost.etcd.v3.cluster import ClusterService
from roost.etcd.v3.costly import Costly
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.election import ElectionService
from roost.etcd.v3.kv import KvService
from roost.etcd.v3.lease import LeaseService
from roost.etcd.v3.lock import LockService
from roost.etcd.v3.long_reads import LongReads
from roost.etcd.v3.maintenance import MaintenanceService
from roost.etcd.v3.operations import OperationService
from roost.etcd.v3.routes import Api, routes_of
from roost.etcd.v3.turns import Turns
from roost.etcd.v3.watch_hub import WatchHub
from roost.memory import Memory
from roost.proto import rpc_pb2 as pb
from roost.settings import DEFAULTS


def bootstrap(txn: Txn) -> None:
    """Make the trees of an empty store."""
    mvcc.bootstrap(txn)
    auth.bootstrap(txn)
    v2_nodes.bootstrap(txn)


def raise_revision(txn: Txn, by: int) -> None:
    """Let a restored store go on `by` revisions, and indexes of v2, later; see `mvcc`.

    Raises:
        Refused: there are not so many revisions.

    """
    mvcc.raise_revision(txn, by)
    v2_history.raise_index(txn, by)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthOptions:
    """How users say who they are; `jwt` None is simple tokens."""

    jwt: JwtOptions | None = None
    token_ttl_s: float = DEFAULTS.auth_token_ttl
    bcrypt_cost: int = DEFAULTS.bcrypt_cost
    password_chars_min: int = DEFAULTS.password_length_min


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
    long_read_count: int
    long_read_waiting_count: int
    question_count: int
    long_read_bytes: int
    v2_watcher_count: int
    v2_behind_count: int


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
        wall_s: Callable[[], float] = time.time,
        memory: Memory | None = None,
    ) -> None:
        """Register the operations and observe what is applied.

        `clock_s` never goes back, `wall_s` is the date.

        Without `memory` there is as much as anybody wants.
        """
        limits, options = limits or Limits(), auth_options or AuthOptions()
        self._replica = replica
        self._mvcc = Mvcc(store)
        self.alarms = Alarms(store)
        memory = memory or Memory()
        answer_bytes_max = memory.share(ANSWER_BYTES_MAX, 8)
        operations = KvOperations(self._mvcc, self.alarms, answer_bytes_max=answer_bytes_max)
        replica.register(ALARM_OPERATION, self.alarms.change_by_member)
        replica.register(SLICE_OPERATION, operations.compact_slice)
        replica.register(AUTO_COMPACT, operations.compact)

        self.lessor = Lessor(replica, self._mvcc, self.alarms, limits=limits, clock_s=clock_s)
        self._sweep = Sweep(replica, self._mvcc, self.alarms, clock_s)
        self._counting = Counting(self._mvcc)
        self._compactor = (
            Compactor(replica, self._mvcc, keeping, clock_s=clock_s) if keeping else None
        )

        self._auth = Auth(store)
        self._tokens = _tokens(replica, self._auth, options, clock_s)
        callers = Callers(replica, self._auth, self._tokens)
        self._border = Border(replica, self._auth, callers, limits=limits)
        # v2 keeps users of its own; who hashes passwords, and who guesses, is one for both.
        self.hashers = Hashers()
        passwords = Passwords(self.hashers, bcrypt_cost=options.bcrypt_cost, clock_s=clock_s)

        self._desk = desk = Desk(
            self._border, self._mvcc, self.alarms, memory, LongReads(store, memory)
        )
        self.v2 = V2(
            self._border,
            store,
            self.alarms,
            memory,
            passwords,
            password_chars_min=options.password_chars_min,
            clock_s=clock_s,
            wall_s=wall_s,
        )
        self._turns = Turns(desk)
        self.watches = WatchHub(desk)
        self._api = self._make_api(desk, operations, passwords, options)
        replica.observe(self._on_alarms_applied, trees=(self.alarms.tree,))
        replica.observe(self._on_rights_applied, trees=self._auth.trees)
        replica.observe(self._sweep.on_applied, trees=(self._mvcc.meta,))
        replica.observe_switch(lambda: self._read_again)

    def _make_api(
        self, desk: Desk, operations: KvOperations, passwords: Passwords, options: AuthOptions
    ) -> Api:
        """All services of v3."""
        users = AuthService(
            desk,
            self._auth,
            self._tokens,
            passwords,
            password_chars_min=options.password_chars_min,
        )
        return Api(
            kv=KvService(desk, operations, self._sweep),
            watches=self.watches,
            leases=LeaseService(desk, self.lessor),
            users=users,
            cluster=ClusterService(desk),
            maintenance=MaintenanceService(desk),
            locks=LockService(self._turns),
            elections=ElectionService(self._turns),
            operations=OperationService(desk),
        )

    def start(self) -> None:
        """Keep the time of leases, tokens, watchers and compaction."""
        self.lessor.start()
        self.watches.start()
        self._tokens.start()
        self._sweep.start()
        self._counting.start()
        self.v2.start()
        if self._compactor is not None:
            self._compactor.start()

    def stop(self) -> None:
        """Keep no time."""
        self.lessor.stop()
        self.watches.stop()
        self._tokens.stop()
        self._sweep.stop()
        self._counting.stop()
        self.v2.stop()
        self._desk.long_reads.stop()
        if self._compactor is not None:
            self._compactor.stop()

    async def close(self) -> None:
        """End what still answers calls; none can come any more."""
        await self._desk.tasks.close()
        await self.v2.close()

    def routes(self) -> dict[bytes, Route]:
        """Every method served, by its path."""
        return routes_of(self._api, self._replica)

    async def admit(self, caller: Caller, first: bytes, stop: bytes, writes: bool) -> None:  # noqa: FBT001 - as all are asked
        """Return when a caller may read, or write, a range of keys: for rooms without users.

        Raises:
            RoostError: he may not, nobody could say so, or there is no space to write.

        """
        if writes and self.alarms.has_no_space:
            raise errors.no_space()
        if not self._auth.may_be_enabled:
            return

        def check(judge: Judge) -> Costs[None]:
            return (judge.need_write if writes else judge.need_read)(first, stop)

        await self._border.wait_admitted(caller, check)

    @property
    def copies(self) -> Costly:
        """Copies of the store on their way to clients, and who waits for one."""
        return self._api.maintenance.copies

    @property
    def border(self) -> Border:
        """Where requests come in, for what stands beside etcd's services."""
        return self._border

    def revision(self) -> int:
        """The current revision here."""
        return self._mvcc.revision(self._replica.view)

    def removal(self) -> Removal | None:
        """How far what was compacted is removed; None = all of it."""
        return self._sweep.removal()

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
            long_read_count=self._desk.long_reads.count,
            long_read_waiting_count=self._desk.long_reads.waiting_count,
            question_count=len(self._border.questions),
            long_read_bytes=self._desk.long_reads.room.bytes,
            v2_watcher_count=self.v2.hub.count,
            v2_behind_count=self.v2.hub.behind_count,
        )

    def _read_again(self) -> None:
        """A snapshot has replaced everything."""
        self.alarms.read_again()
        self._auth.read_again()
        self.watches.on_rights_changed()
        self._sweep.on_switched()
        self.v2.on_switched()

    def _on_alarms_applied(self, _index: int, _changes: Changes) -> None:
        before = self.alarms.raised
        self.alarms.read_again()
        for member_id, kind in self.alarms.raised:
            if (member_id, kind) not in before:
                self._replica.tell(events.AlarmRaised(member_id, pb.AlarmType.Name(kind)))
        for member_id, kind in before:
            if (member_id, kind) not in self.alarms.raised:
                self._replica.tell(events.AlarmCleared(member_id, pb.AlarmType.Name(kind)))

    def _on_rights_applied(self, _index: int, changes: Changes) -> None:
        self._auth.on_applied(changes)
        self.watches.on_rights_changed()
        if self._auth.is_enabled(self._replica.view):
            self.v2.on_rights_changed()


def _tokens(
    replica: Replica, auth: Auth, options: AuthOptions, clock_s: Callable[[], float]
) -> Tokens:
    if options.jwt is None:
        return SimpleTokens(replica, auth, ttl_s=options.token_ttl_s, clock_s=clock_s)
    from roost.etcd.access.jwt_tokens import JwtTokens  # what it needs is slow to import

    return JwtTokens(replica, auth, options.jwt)
