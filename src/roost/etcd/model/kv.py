"""Keys: the operations that write them, and transactions (etcd api: KV).

The operations run on the leader (`roost.member`) and return

    u64 revision (big-endian), then the response without its header

so that whichever member answers the client puts its own header before it.  Refusals carry etcd's
codes and texts.  A read-only transaction is a read and never goes through the log.
"""

from roost.etcd import errors
from roost.etcd.model import compaction
from roost.etcd.model.alarms import Alarms, cost_of
from roost.etcd.model.leases import check_exists
from roost.etcd.model.mvcc import Mvcc, Writer, range_stop
from roost.etcd.model.plans import Plan, operations_of, plan_of
from roost.etcd.model.ranges import range_body
from roost.etcd.model.wire import (
    decode_key_value,
    field,
    number_field,
    read_put,
    revision_header,
)
from roost.proto import rpc_pb2 as pb
from roost.store import Txn, View

COMPACT_SLICE_COUNT = 1000


class KvOperations:
    """The operations that run on the leader; each is a plain function of a Txn."""

    def __init__(self, mvcc: Mvcc, alarms: Alarms) -> None:
        """Work on these trees, unless an alarm is in the way."""
        self.mvcc = mvcc
        self._alarms = alarms

    def put(self, txn: Txn, body: bytes) -> bytes:
        """Operation `etcd.put`: body is a checked PutRequest."""
        if self._alarms.raised:
            self._alarms.check_sound()
        self._alarms.take_space(cost_of(body, 1))
        writer = Writer(self.mvcc, txn)
        plain = read_put(body)
        if plain is not None:
            key, value = plain
            writer.put(key, value, 0, txn.get(self.mvcc.kv, key))
            return writer.revision.to_bytes(8, "big")
        request = pb.PutRequest.FromString(body)
        if request.lease:
            check_exists(self.mvcc, txn, request.lease)
        self._check_held(txn, request)
        answer = self._put(writer, request)
        return writer.revision.to_bytes(8, "big") + answer

    def _put(self, writer: Writer, request: pb.PutRequest) -> bytes:
        key = request.key
        old = writer.txn.get(self.mvcc.kv, key)
        value, lease = request.value, request.lease
        if request.ignore_value or request.ignore_lease:
            assert old is not None, "it was checked"
            held = decode_key_value(old)
            if request.ignore_value:
                value = held.value
            if request.ignore_lease:
                lease = held.lease
        writer.put(key, value, lease, old)
        return field(b"\x12", old) if request.prev_kv and old is not None else b""

    def _check_held(self, view: View, request: pb.PutRequest) -> None:
        """Refuse to keep the value or the lease of a key that is not there."""
        keeps = request.ignore_value or request.ignore_lease
        if keeps and view.get(self.mvcc.kv, request.key) is None:
            raise errors.key_not_found()

    def delete_range(self, txn: Txn, body: bytes) -> bytes:
        """Operation `etcd.delete_range`: body is a checked DeleteRangeRequest."""
        self._alarms.check_sound()
        request = pb.DeleteRangeRequest.FromString(body)
        writer = Writer(self.mvcc, txn)
        answer = self._delete_range(writer, request)
        return writer.revision.to_bytes(8, "big") + answer

    def _delete_range(self, writer: Writer, request: pb.DeleteRangeRequest) -> bytes:
        self.mvcc.counts.deletes += 1
        key, tree = request.key, self.mvcc.kv
        if request.range_end:
            found = writer.txn.scan(tree, key, range_stop(key, request.range_end))
        else:
            held = writer.txn.get(tree, key)
            found = [] if held is None else [(key, held)]
        for doomed, encoded in found:
            writer.delete(doomed, encoded)
        answer = number_field(b"\x10", len(found))
        if request.prev_kv:
            answer += b"".join(field(b"\x1a", encoded) for _, encoded in found)
        return answer

    def txn(self, txn: Txn, body: bytes) -> bytes:
        """Operation `etcd.txn`: body is a checked TxnRequest."""
        request = pb.TxnRequest.FromString(body)
        if self._alarms.raised:
            self._alarms.check_sound()
        if _has_put(request):
            count = max(len(request.success), len(request.failure))
            self._alarms.take_space(cost_of(body, count))
        writer = Writer(self.mvcc, txn)
        answer = self._txn(txn, writer, request)
        return writer.revision.to_bytes(8, "big") + answer

    def read_only_txn(self, view: View, request: pb.TxnRequest) -> bytes:
        """The TxnResponse of a transaction that writes nothing, without its header."""
        return self._txn(view, None, request)

    def _txn(self, view: View, writer: Writer | None, request: pb.TxnRequest) -> bytes:
        """A transaction on `view`; where it may write, that is the `writer`'s own."""
        self.mvcc.counts.transactions += 1
        plan = plan_of(self.mvcc, view, request)
        self._check_plan(view, plan)
        return self._carry_out(view, writer, plan)

    def _check_plan(self, view: View, plan: Plan) -> None:
        """Refuse what a taken branch cannot do, before any of it is done (etcd: checkRequests).

        Revisions are held against the state before the transaction, so its own is in the future.
        """
        operations = list(operations_of(plan))
        for operation in operations:
            if operation.HasField("request_put"):
                put = operation.request_put
                self._check_held(view, put)
                if put.lease:
                    check_exists(self.mvcc, view, put.lease)
        current, compacted = self.mvcc.revision(view), self.mvcc.compacted(view)
        for operation in operations:
            revision = operation.request_range.revision
            if revision > current:
                raise errors.future_revision()
            if revision and revision < compacted:
                raise errors.compacted()

    def _carry_out(self, view: View, writer: Writer | None, plan: Plan) -> bytes:
        """The fields of a TxnResponse behind its header."""
        parts = [b"\x10\x01"] if plan.succeeded else []
        for step in plan.steps:
            if isinstance(step, Plan):
                inner = b"\x0a\x00" + self._carry_out(view, writer, step)
                response = field(b"\x22", inner)
            else:
                response = self._step(view, writer, step)
            parts.append(field(b"\x1a", response))
        return b"".join(parts)

    def _step(self, view: View, writer: Writer | None, operation: pb.RequestOp) -> bytes:
        """One operation of a transaction, as the field of a ResponseOp."""
        if operation.HasField("request_range"):
            current = self.mvcc.revision(view) if writer is None else writer.revision
            body = range_body(self.mvcc, view, operation.request_range, current)
            return field(b"\x0a", revision_header(current) + body)
        assert writer is not None, "a transaction that can write is no read"
        if operation.HasField("request_put"):
            body = self._put(writer, operation.request_put)
            return field(b"\x12", revision_header(writer.revision) + body)
        body = self._delete_range(writer, operation.request_delete_range)
        return field(b"\x1a", revision_header(writer.revision) + body)

    def compact(self, txn: Txn, body: bytes) -> bytes:
        """Operation `etcd.compact`: body is a CompactionRequest."""
        self._alarms.check_sound()
        request = pb.CompactionRequest.FromString(body)
        compaction.compact(self.mvcc, txn, request.revision)
        return self.mvcc.revision(txn).to_bytes(8, "big")

    def compact_slice(self, txn: Txn, _body: bytes) -> bytes:
        """Operation `etcd.compact_slice`: remove a part of what was compacted; b"1" = go on."""
        return b"1" if compaction.compact_slice(self.mvcc, txn, COMPACT_SLICE_COUNT) else b""


def _has_put(request: pb.TxnRequest) -> bool:
    """Whether any branch puts anything, at any depth (etcd: Quota.Cost)."""
    return any(
        it.HasField("request_put") or (it.HasField("request_txn") and _has_put(it.request_txn))
        for it in (*request.success, *request.failure)
    )
