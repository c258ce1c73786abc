"""The KV service's requests at the border (etcd api: KV); what they do is in `kv.py`."""

from roost.call import Call
from roost.errors import RoostError
from roost.etcd import errors
from roost.etcd.access import permissions
from roost.etcd.access.permissions import Judge
from roost.etcd.border import Border
from roost.etcd.model import ranges
from roost.etcd.model.kv import KvOperations
from roost.etcd.model.wire import read_key, read_put
from roost.etcd.upkeep.sweep import Sweep
from roost.etcd.v3 import checks
from roost.etcd.v3.requests import fail, parse
from roost.proto import rpc_pb2 as pb


class KvService:
    """Range, Put, DeleteRange, Txn and Compact."""

    def __init__(self, border: Border, operations: KvOperations, sweep: Sweep) -> None:
        """Register the operations; `sweep` removes what is compacted."""
        self._border = border
        self._operations = operations
        self._sweep = sweep
        border.register("etcd.put", operations.put, permissions.put)
        border.register("etcd.delete_range", operations.delete_range, permissions.delete_range)
        border.register("etcd.txn", operations.txn, permissions.txn)
        border.register("etcd.compact", operations.compact, permissions.root)

    def range(self, call: Call, body: bytes) -> None:
        """Range."""
        border = self._border
        key = read_key(body)
        if key is not None and not border.auth.may_be_enabled:
            self._range_one(call, key)
            return
        request = parse(call, pb.RangeRequest, body, checks.check_range)
        if request is None:
            return

        def answer() -> bytes:
            border.alarms.check_sound()
            view, mvcc = border.replica.view, border.mvcc
            revision = mvcc.revision(view)
            headed = border.header.encode(revision, border.replica.term)
            return headed + ranges.range_body(mvcc, view, request, revision)

        def check(judge: Judge) -> None:
            permissions.check_range(judge, request)

        border.read(call, answer, check, is_local=request.serializable)

    def _range_one(self, call: Call, key: bytes) -> None:
        """The read there is most of: the current value of one key, linearizable, for anybody."""
        border = self._border
        replica, mvcc, header = border.replica, border.mvcc, border.header
        if replica.is_learner:
            fail(call, errors.not_for_learner())
            return

        def done(error: RoostError | None) -> None:
            if error is not None:
                border.failed_read_count += 1
                fail(call, error)
                return
            if border.alarms.is_corrupt:
                fail(call, errors.corrupt())
                return
            if border.auth.may_be_enabled:  # since a moment ago
                fail(call, errors.user_empty())
                return
            view = replica.view
            headed = header.encode(mvcc.revision(view), replica.term)
            call.reply(headed + ranges.one_key_body(mvcc, view, key))

        replica.read_nowait(done)

    def put(self, call: Call, body: bytes) -> None:
        """Put."""
        is_good = read_put(body) or parse(call, pb.PutRequest, body, checks.check_put)
        if is_good is not None:
            self._border.write(call, "etcd.put", body)

    def delete_range(self, call: Call, body: bytes) -> None:
        """DeleteRange."""
        if parse(call, pb.DeleteRangeRequest, body, checks.check_delete) is not None:
            self._border.write(call, "etcd.delete_range", body)

    def txn(self, call: Call, body: bytes) -> None:
        """Txn; one that can write nothing is a read."""
        border = self._border

        def check_request(request: pb.TxnRequest) -> None:
            checks.check_txn(request, border.limits.operations_max)

        request = parse(call, pb.TxnRequest, body, check_request)
        if request is None:
            return
        if not checks.is_read_only(request):
            border.write(call, "etcd.txn", body)
            return

        def answer() -> bytes:
            border.alarms.check_sound()
            view = border.replica.view
            return border.headed(self._operations.read_only_txn(view, request))

        def check(judge: Judge) -> None:
            permissions.check_txn(judge, request)

        border.read(call, answer, check, is_local=checks.is_serializable(request))

    def compact(self, call: Call, body: bytes) -> None:
        """Compact; a `physical` one is answered when what it removes is gone here."""
        request = parse(call, pb.CompactionRequest, body)
        if request is not None:
            after = self._sweep.wait if request.physical else None
            self._border.write(call, "etcd.compact", body, after=after)
