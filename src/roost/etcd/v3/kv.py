"""The KV service (etcd api: KV); what its operations do is in `model/kv.py`."""

import logging
from collections.abc import Iterator
from functools import partial
from typing import Final

from roost.call import Call
from roost.errors import Refused, RoostError
from roost.etcd import errors
from roost.etcd.access.judge import Judge, root
from roost.etcd.model import ranges
from roost.etcd.model.costs import Costs, in_slices
from roost.etcd.model.kv import KvOperations
from roost.etcd.model.txn_reading import TxnReading
from roost.etcd.model.wire import operations_left, read_key, read_key_here, read_put, read_puts
from roost.etcd.upkeep.sweep import Sweep
from roost.etcd.v3 import checks
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.long_reads import LongRead, Steps, answered
from roost.etcd.v3.requests import fail, guarded, parse
from roost.etcd.v3.rights import Rights
from roost.outcome import Outcome
from roost.proto import rpc_pb2 as pb
from roost.slices import Slices

logger = logging.getLogger(__name__)
# What a value that takes longer than all else about the read of one key has at least.
_LARGE_BYTES: Final = 8 << 10
# A transaction of no more bytes has so few operations that they are looked at at once.
SMALL_TXN_BYTES: Final = 4 << 10
# One of more is counted before it is decoded: as many as that has room for take 3 ms.
LARGE_TXN_BYTES: Final = 256 << 10


class KvService:
    """Range, Put, DeleteRange, Txn and Compact."""

    def __init__(self, desk: Desk, operations: KvOperations, sweep: Sweep) -> None:
        """Register the operations; `sweep` removes what is compacted."""
        self._desk = desk
        self._operations = operations
        self._sweep = sweep
        # Large transactions that are looked at: a slice a turn.
        self._checking = Slices(1)
        self._rights = rights = Rights(desk.mvcc)
        border = desk.border
        border.register("etcd.put", operations.put, rights.put)
        border.register("etcd.delete_range", operations.delete_range, rights.delete_range)
        border.register("etcd.txn", operations.txn, rights.txn)
        border.register("etcd.compact", operations.compact, root)

    def range(self, call: Call, body: bytes) -> None:
        """Range."""
        desk = self._desk
        if not desk.auth.may_be_enabled:
            if (key := read_key(body)) is not None:
                self._range_one(call, key, body)
                return
            if (key := read_key_here(body)) is not None:
                self._range_one_here(call, key)
                return
        request = parse(call, pb.RangeRequest, body, checks.check_range)
        if request is None:
            return
        if desk.memory.is_short and checks.is_long(request):
            fail(call, desk.memory.refusal())
            return

        def check(judge: Judge) -> Costs[None]:
            return self._rights.check_range(judge, request)

        begin = partial(self._read_range, call, request)
        desk.read_long(call, begin, check, is_local=request.serializable)

    def _read_range(self, call: Call, request: pb.RangeRequest, read: LongRead) -> Steps:
        desk = self._desk
        desk.alarms.check_sound()
        view, mvcc = read.view, desk.mvcc
        revision = mvcc.revision(view)
        headed = desk.header.encode(revision, desk.replica.term)
        if not request.range_end:
            body = yield from ranges.single_body(mvcc, view, request, revision)
            read.last_cost = ranges.units_of(body)
            call.reply(headed + body)
            return
        room = desk.long_reads.room
        reading = ranges.RangeReading(mvcc, view, request, revision, room=room)
        yield from answered(read, headed, reading)

    def _range_one(self, call: Call, key: bytes, body: bytes) -> None:
        """The read there is most of: the current value of one key, linearizable, for anybody.

        It does what `Desk.read` does, without the closures and look-ups that nobody needs then.
        """
        desk = self._desk
        replica = desk.replica
        if replica.is_learner:
            fail(call, errors.not_for_learner())
            return

        def done(error: RoostError | None) -> None:
            if error is not None:
                desk.border.failed_read_count += 1
                fail(call, error)
                return
            if call.is_over:
                return  # its client is gone
            if desk.auth.may_be_enabled:
                # Since a moment ago: who calls was not asked yet.
                self.range(call, body)
            else:
                self._range_one_here(call, key)

        replica.read_nowait(done, call.flow)

    def _range_one_here(self, call: Call, key: bytes) -> None:
        """Answer with the value of a key as this member has it, to anybody."""
        desk = self._desk
        replica, mvcc = desk.replica, desk.mvcc
        if desk.alarms.is_corrupt:
            fail(call, errors.corrupt())
            return
        if not desk.long_reads.has_left:
            self._range_one_later(call, key)
            return
        view = replica.view
        try:
            body = ranges.one_key_body(mvcc, view, key)
            headed = desk.header.encode(mvcc.revision(view), replica.term)
        except RoostError as error:
            fail(call, error)
        else:
            if len(body) > _LARGE_BYTES:
                desk.long_reads.spend(len(body))
            call.reply(headed + body)

    def _range_one_later(self, call: Call, key: bytes) -> None:
        """The same in a turn to come: hundreds of large values are too much for one."""
        request = pb.RangeRequest(key=key)

        def check(judge: Judge) -> Costs[None]:
            return self._rights.check_range(judge, request)

        self._desk.read_long(call, partial(self._read_range, call, request), check, is_local=True)

    def put(self, call: Call, body: bytes) -> None:
        """Put."""
        desk = self._desk
        is_plain = read_put(body) is not None
        if is_plain and not desk.auth.may_be_enabled and len(body) <= desk.limits.request_bytes_max:
            self._put_plain(call, body)
        elif is_plain or parse(call, pb.PutRequest, body, checks.check_put) is not None:
            desk.write(call, "etcd.put", body)

    def _put_plain(self, call: Call, body: bytes) -> None:
        """The write there is most of: a key and a value, for anybody.

        It does what `Desk.write` does, without the closures and look-ups that nobody needs then.
        The answer is a revision alone.
        """
        desk = self._desk
        replica, header = desk.replica, desk.header

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, RoostError):
                desk.border.failed_write_count += not isinstance(outcome, Refused)
                fail(call, outcome)
            else:
                call.reply(header.encode(int.from_bytes(outcome, "big"), replica.term))

        replica.transact_nowait("etcd.put", body, done, call.flow, call)

    def delete_range(self, call: Call, body: bytes) -> None:
        """DeleteRange."""
        if parse(call, pb.DeleteRangeRequest, body, checks.check_delete) is not None:
            self._desk.write(call, "etcd.delete_range", body)

    def txn(self, call: Call, body: bytes) -> None:
        """Txn; one that can write nothing is a read."""
        desk = self._desk
        if (puts := read_puts(body, desk.limits.operations_max)) is not None:
            try:
                checks.check_puts(puts, desk.limits.operations_max)
            except Refused as refusal:
                fail(call, refusal)
            else:
                desk.write(call, "etcd.txn", body)
            return

        steps = self._txn_checked(call, body)
        if len(body) <= SMALL_TXN_BYTES:
            for _ in steps:  # which are few
                pass
        else:
            self._checking.run(steps)

    def _txn_checked(self, call: Call, body: bytes) -> Iterator[None]:
        """Have a transaction run once all of it was looked at, a part a turn."""
        operations_max = self._desk.limits.operations_max
        try:
            if len(body) > LARGE_TXN_BYTES:
                most = checks.nested_max(operations_max)
                if (yield from in_slices(operations_left(body, most))) < 0:
                    raise errors.too_many_operations()
            request = parse(call, pb.TxnRequest, body)
            if request is None:
                return
            kind = yield from in_slices(checks.txn_checked(request, operations_max))
        except Refused as refusal:
            fail(call, refusal)
            return
        except Exception as error:
            logger.exception("a transaction could not be looked at")
            call.fail(*errors.status_of_fault(error))
            return
        guarded(call, partial(self._run_txn, call, body, request, kind))()

    def _run_txn(
        self, call: Call, body: bytes, request: pb.TxnRequest, kind: checks.TxnKind
    ) -> None:
        desk = self._desk
        if not kind.is_read_only:
            desk.write(call, "etcd.txn", body)
            return

        def check(judge: Judge) -> Costs[None]:
            return self._rights.check_txn(judge, request)

        begin = partial(self._read_txn, request)
        desk.read_long(call, begin, check, is_local=kind.is_serializable)

    def _read_txn(self, request: pb.TxnRequest, read: LongRead) -> Steps:
        desk = self._desk
        desk.alarms.check_sound()
        view, mvcc = read.view, desk.mvcc
        headed = desk.headed(b"", mvcc.revision(view))
        reading = TxnReading(mvcc, view, request, room=desk.long_reads.room)
        yield from answered(read, headed, reading)

    def compact(self, call: Call, body: bytes) -> None:
        """Compact; a `physical` one is answered when what it removes is gone here."""
        request = parse(call, pb.CompactionRequest, body)
        if request is not None:
            after = self._sweep.wait if request.physical else None
            self._desk.write(call, "etcd.compact", body, after=after)
