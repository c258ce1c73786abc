"""The routes: from gRPC method paths to what answers them.

A unary handler gets the call and the request's bytes, checks them, and answers through the call,
now or when the replica calls back.  Nothing here knows of Raft, and nothing of HTTP/2.
"""

from collections.abc import Callable
from dataclasses import dataclass

from roost.errors import Refused, RoostError
from roost.etcd import errors, kv
from roost.etcd.alarms import ALARM_OPERATION, Alarms
from roost.etcd.cluster import ClusterService
from roost.etcd.kv import KvOperations
from roost.etcd.maintenance import MaintenanceService
from roost.etcd.mvcc import COMPACTING_KEY, Mvcc
from roost.etcd.ports import Call, Replica, StreamCall, StreamHandler
from roost.etcd.proto import rpc_pb2 as pb
from roost.etcd.requests import fail, parse
from roost.etcd.watch import WatchHub, WatchStream
from roost.etcd.wire import Header, read_key, read_put
from roost.store import Changes, Store

REQUEST_BYTES_MAX = 1536 * 1024
UnaryHandler = Callable[[Call, bytes], None]
OpenStream = Callable[[StreamCall], StreamHandler]


@dataclass(frozen=True, slots=True)
class Unary:
    """A method with one request and one answer."""

    handle: UnaryHandler


@dataclass(frozen=True, slots=True)
class Stream:
    """A method whose client and server both send any number of messages."""

    open: OpenStream


Route = Unary | Stream


class Services:
    """etcd's services over one replica."""

    def __init__(
        self, replica: Replica, store: Store, *, request_bytes_max: int = REQUEST_BYTES_MAX
    ) -> None:
        """Register the operations and observe what is applied."""
        self._replica = replica
        self._mvcc = mvcc = Mvcc(store)
        self._header = Header(replica.cluster_id, replica.member_id)
        self._request_bytes_max = request_bytes_max
        self.alarms = alarms = Alarms(store)
        self._maintenance = MaintenanceService(replica, mvcc, alarms)
        operations = KvOperations(mvcc, alarms)
        self._operations = operations
        replica.register(ALARM_OPERATION, alarms.change)
        replica.register("etcd.put", operations.put)
        replica.register("etcd.delete_range", operations.delete_range)
        replica.register("etcd.txn", operations.txn)
        replica.register("etcd.compact", operations.compact)
        replica.register("etcd.compact_slice", operations.compact_slice)
        self.watches = WatchHub(replica, mvcc)
        self._is_compacting = False
        self._may_compact = True
        replica.observe(self._on_applied)
        replica.observe_switch(lambda: alarms.read_again)

    def routes(self) -> dict[bytes, Route]:
        """Every method served, by its path."""
        cluster, maintenance = ClusterService(self._replica), self._maintenance
        return {
            b"/etcdserverpb.KV/Range": Unary(self._range),
            b"/etcdserverpb.KV/Put": Unary(self._put),
            b"/etcdserverpb.KV/DeleteRange": Unary(self._delete_range),
            b"/etcdserverpb.KV/Txn": Unary(self._txn),
            b"/etcdserverpb.KV/Compact": Unary(self._compact),
            b"/etcdserverpb.Watch/Watch": Stream(self._watch),
            b"/etcdserverpb.Maintenance/Alarm": Unary(maintenance.alarm),
            b"/etcdserverpb.Maintenance/Status": Unary(maintenance.status),
            b"/etcdserverpb.Maintenance/Defragment": Unary(maintenance.defragment),
            b"/etcdserverpb.Maintenance/Hash": Unary(maintenance.hash),
            b"/etcdserverpb.Maintenance/HashKV": Unary(maintenance.hash_kv),
            b"/etcdserverpb.Maintenance/Snapshot": Stream(maintenance.snapshot),
            b"/roost.Maintenance/Since": Stream(maintenance.since),
            b"/etcdserverpb.Maintenance/MoveLeader": Unary(cluster.move_leader),
            b"/etcdserverpb.Cluster/MemberAdd": Unary(cluster.add),
            b"/roost.Cluster/MemberReplace": Unary(cluster.replace),
            b"/etcdserverpb.Cluster/MemberRemove": Unary(cluster.remove),
            b"/etcdserverpb.Cluster/MemberUpdate": Unary(cluster.update),
            b"/etcdserverpb.Cluster/MemberPromote": Unary(cluster.promote),
            b"/etcdserverpb.Cluster/MemberList": Unary(cluster.list_members),
        }

    def revision(self) -> int:
        """The current revision here."""
        return self._mvcc.revision(self._replica.view)

    # --- answering ------------------------------------------------------------------------------

    def _write(self, call: Call, name: str, body: bytes) -> None:
        """Run an operation on the leader and answer with its result."""
        if len(body) > self._request_bytes_max:
            fail(call, errors.request_too_large())
            return
        replica, header = self._replica, self._header
        if replica.is_learner:
            fail(call, errors.not_for_learner())
            return

        def done(result: bytes | None, error: RoostError | None) -> None:
            if error is not None or result is None:
                fail(call, error or errors.malformed_request())
                return
            revision = int.from_bytes(result[:8], "big")
            call.reply(header.encode(revision, replica.term) + result[8:])

        replica.transact_nowait(name, body, done)

    def _read(self, call: Call, answer: Callable[[], bytes], *, is_local: bool) -> None:
        """Answer from the view, after a read barrier unless the caller wants a local answer."""

        def done(error: RoostError | None) -> None:
            if error is not None:
                fail(call, error)
                return
            try:
                self.alarms.check_sound()
                message = answer()
            except Refused as refusal:
                fail(call, refusal)
            else:
                call.reply(message)

        if is_local:
            done(None)
        elif self._replica.is_learner:
            fail(call, errors.not_for_learner())
        else:
            self._replica.read_nowait(done)

    def _headed(self, body: bytes, revision: int) -> bytes:
        return self._header.encode(revision, self._replica.term) + body

    # --- KV -------------------------------------------------------------------------------------

    def _range(self, call: Call, body: bytes) -> None:
        key = read_key(body)
        if key is not None:
            self._range_one(call, key)
            return
        request = parse(call, pb.RangeRequest, body, kv.check_range)
        if request is None:
            return

        def answer() -> bytes:
            view = self._replica.view
            revision = self._mvcc.revision(view)
            return self._headed(kv.range_body(self._mvcc, view, request, revision), revision)

        self._read(call, answer, is_local=request.serializable)

    def _range_one(self, call: Call, key: bytes) -> None:
        """The read there is most of: the current value of one key, linearizable."""
        replica, mvcc, header = self._replica, self._mvcc, self._header
        if replica.is_learner:
            fail(call, errors.not_for_learner())
            return

        def done(error: RoostError | None) -> None:
            if error is not None:
                fail(call, error)
                return
            if self.alarms.is_corrupt:
                fail(call, errors.corrupt())
                return
            view = replica.view
            headed = header.encode(mvcc.revision(view), replica.term)
            call.reply(headed + kv.one_key_body(mvcc, view, key))

        replica.read_nowait(done)

    def _put(self, call: Call, body: bytes) -> None:
        is_good = read_put(body) or parse(call, pb.PutRequest, body, kv.check_put)
        if is_good is not None:
            self._write(call, "etcd.put", body)

    def _delete_range(self, call: Call, body: bytes) -> None:
        if parse(call, pb.DeleteRangeRequest, body, kv.check_delete) is not None:
            self._write(call, "etcd.delete_range", body)

    def _txn(self, call: Call, body: bytes) -> None:
        request = parse(call, pb.TxnRequest, body, kv.check_txn)
        if request is None:
            return
        if not kv.is_read_only(request):
            self._write(call, "etcd.txn", body)
            return

        def answer() -> bytes:
            revision = self._mvcc.revision(self._replica.view)
            reader = self._operations
            return self._headed(reader.read_only_txn(self._replica.view, request), revision)

        self._read(call, answer, is_local=kv.is_serializable(request))

    def _compact(self, call: Call, body: bytes) -> None:
        if parse(call, pb.CompactionRequest, body) is not None:
            self._write(call, "etcd.compact", body)

    # --- removing what was compacted ------------------------------------------------------------

    def _on_applied(self, _index: int, changes: Changes) -> None:
        """Notice alarms; the leader removes compacted revisions in slices, in the background."""
        self.alarms.on_applied(changes)
        replica = self._replica
        if self._is_compacting or replica.leader_id != replica.member_id:
            return
        if not self._may_compact and COMPACTING_KEY not in changes.payload:
            return
        self._may_compact = False
        if replica.view.get(self._mvcc.meta, COMPACTING_KEY) is not None:
            self._is_compacting = True
            replica.transact_nowait("etcd.compact_slice", b"", self._on_slice)

    def _on_slice(self, result: bytes | None, error: RoostError | None) -> None:
        if error is None and result:
            self._replica.transact_nowait("etcd.compact_slice", b"", self._on_slice)
            return
        self._is_compacting = False
        # Without an answer the next write looks again whether something is left to do.
        self._may_compact = error is not None

    # --- the rest -------------------------------------------------------------------------------

    def _watch(self, call: StreamCall) -> StreamHandler:
        return WatchStream(self.watches, call)
