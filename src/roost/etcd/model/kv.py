"""Keys: the operations that write them, and transactions (etcd api: KV).

The operations run on the leader (`roost.member`) and return

    u64 revision (big-endian), then the response without its header

so that whichever member answers the client puts its own header before it.  Refusals carry etcd's
codes and texts.  A read-only transaction is a read and never goes through the log.

What looks at many keys takes many turns (`Long`), and becomes one revision all the same.  Small or
large, it is the same steps: what is small takes all of them at once.
"""

from collections.abc import Iterable
from typing import Final

from roost.database.model import Long, Txn, View, Walk
from roost.etcd import errors
from roost.etcd.model import compaction, leases
from roost.etcd.model.alarms import Alarms, cost_of
from roost.etcd.model.costs import (
    BYTES_A_ROW_LOG2,
    INLINE_ROWS_MAX,
    SLICE_NAMES,
    SLICE_ROWS,
    Costs,
    at_once,
    in_slices,
    now_or_long,
    within_a_turn,
)
from roost.etcd.model.mvcc import Mvcc, Writer, escape, range_stop
from roost.etcd.model.plans import (
    STEPS_A_ROW,
    Plan,
    check_revisions,
    has_put,
    left_of,
    operations_of,
    plan_of,
    puts_anything,
)
from roost.etcd.model.ranges import Room, range_pieces, take_room
from roost.etcd.model.wire import (
    decode_key_value,
    field,
    number_field,
    read_put,
    read_puts,
    revision_header,
    varint,
)
from roost.proto import rpc_pb2 as pb

# Of the history in one operation, of which each entry may go from two trees: to remove them and to
# apply that takes 2 ms.  Where many that are gone are passed as well, it takes many turns.
COMPACT_SLICE_COUNT: Final = 100
# A put is what every operation counts for where it is run; one that has a lease, which is looked
# up and named, more: 160 take 5 ms.
ROWS_A_LEASED_PUT: Final = 6
# A deletion, for looking whether it is long: of a range without a key 512 take 7 ms.
ROWS_A_DELETION: Final = 1
# A transaction, beside a row for each operation and comparison of it at any depth, which are
# decoded and looked at before anything is done: 92 of seventy puts, refused then, took 15 ms.
ROWS_A_TRANSACTION: Final = 1
# One of a transaction of plain puts, of which 340 take 5 ms, and of any other; with a lease more.
ROWS_A_PLAIN, ROWS_AN_OPERATION, ROWS_A_LEASE = 3, 8, 4
# What a transaction may cost in a turn, with what applies it: 80 operations, or 53 with a lease.
TXN_INLINE_COST_MAX: Final = 640
# As many puts as a transaction has if nobody says otherwise: one may come behind a full batch.
_PLAIN_MAX: Final = 128
# Operations and comparisons that a transaction may have, at all depths, to be looked at at once.
LOOKED_AT_MAX: Final = 2 * INLINE_ROWS_MAX
# What is read for the answer to a request that writes, which has to be whole: with the heads of
# its operations it fits a frame (`member.pipeline.forwarded`).
ANSWER_BYTES_MAX: Final = 60 << 20
# What a transaction may cost: about a minute, in which nobody else can write.
TXN_COST_MAX = 1 << 24


class KvOperations:
    """The operations that run on the leader; each is a plain function of a Txn."""

    def __init__(
        self, mvcc: Mvcc, alarms: Alarms, *, answer_bytes_max: int = ANSWER_BYTES_MAX
    ) -> None:
        """Work on these trees, unless an alarm is in the way."""
        self.mvcc = mvcc
        self._answer_bytes_max = answer_bytes_max
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
            writer.put(key, value, 0, self._old(txn, key))
            return writer.revision.to_bytes(8, "big")
        request = pb.PutRequest.FromString(body)
        if request.lease:
            txn.cost += ROWS_A_LEASED_PUT
            leases.check_exists(self.mvcc, txn, request.lease)
        self._check_held(txn, request)
        answer = self._put(writer, request)
        return writer.revision.to_bytes(8, "big") + answer

    def _put(self, writer: Writer, request: pb.PutRequest) -> bytes:
        key = request.key
        old = self._old(writer.txn, key)
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

    def _old(self, txn: Txn, key: bytes) -> bytes | None:
        """What is there before a put; much of it counts, for whoever puts little over much."""
        old = txn.get(self.mvcc.kv, key)
        if old is not None and len(old) >> BYTES_A_ROW_LOG2:
            txn.cost += len(old) >> BYTES_A_ROW_LOG2
        return old

    def _check_held(self, view: View, request: pb.PutRequest) -> None:
        """Refuse to keep the value or the lease of a key that is not there."""
        keeps = request.ignore_value or request.ignore_lease
        if keeps and not view.has(self.mvcc.kv, request.key):
            raise errors.key_not_found()

    def delete_range(self, txn: Txn, body: bytes) -> bytes | Long:
        """Operation `etcd.delete_range`: body is a checked DeleteRangeRequest."""
        txn.cost += ROWS_A_DELETION
        self._alarms.check_sound()
        request = pb.DeleteRangeRequest.FromString(body)
        if self._has_many_keys(txn, [request]):
            return Long(lambda its: in_slices(self._run_delete_range(its, request)))
        return now_or_long(txn, lambda its: self._run_delete_range(its, request))

    def _run_delete_range(self, txn: Txn, request: pb.DeleteRangeRequest) -> Costs[bytes]:
        writer = Writer(self.mvcc, txn)
        room = Room(self._answer_bytes_max)
        answer = yield from self._delete_range(writer, request, room)
        return b"".join([writer.revision.to_bytes(8, "big"), *answer])

    def _has_many_keys(
        self, view: View, requests: Iterable[pb.DeleteRangeRequest | pb.RangeRequest]
    ) -> bool:
        """Whether there are more keys in these ranges than a turn has time for."""
        left = INLINE_ROWS_MAX
        for request in requests:
            if not request.range_end:
                left -= 1
                continue
            walk = self._walk_over_names(view, request)
            walk.take(left + 1)
            left -= walk.cost - 1
            if left < 0 or not walk.is_done:
                return True
        return left < 0

    def _walk_over_names(
        self, view: View, request: pb.DeleteRangeRequest | pb.RangeRequest
    ) -> Walk:
        """Over what the request looks at; with values where it answers them."""
        first, stop = request.key, range_stop(request.key, request.range_end)
        if isinstance(request, pb.RangeRequest) and request.revision > 0:
            end = None if stop is None else escape(stop)
            return Walk(view, self.mvcc.history, escape(first), end, keys_only=True)
        is_answered = (
            not request.count_only if isinstance(request, pb.RangeRequest) else request.prev_kv
        )
        return Walk(view, self.mvcc.kv, first, stop, keys_only=not is_answered)

    def _delete_range(
        self, writer: Writer, request: pb.DeleteRangeRequest, room: Room
    ) -> Costs[list[bytes]]:
        self.mvcc.counts.deletes += 1
        stop = range_stop(request.key, request.range_end)
        walk = Walk(writer.txn, self.mvcc.kv, request.key, stop)
        count, previous = 0, list[bytes]()
        while not walk.is_done and count <= INLINE_ROWS_MAX:
            found = walk.take(SLICE_ROWS)
            writer.delete_all(found)
            count += len(found)
            if request.prev_kv:
                _add_previous(previous, found, room)
            yield walk.cost
        if not walk.is_done:
            count += yield from self._delete_rest(
                writer, walk.place, stop, room, previous if request.prev_kv else None
            )
        return [number_field(b"\x10", count), *previous]

    def _delete_rest(
        self,
        writer: Writer,
        first: bytes,
        stop: bytes | None,
        room: Room,
        previous: list[bytes] | None,
    ) -> Costs[int]:
        """Delete keys that are many: from `kv` they go as a range, at the end; say how many.

        Their values are read for `previous`, if there is such a list.  Else they would be for their
        leases alone; and when there are few, it is leases that are asked for keys.
        """
        mvcc, txn, count = self.mvcc, writer.txn, 0
        needs_values = previous is not None or not leases.are_few(mvcc, txn)
        walk = Walk(txn, mvcc.kv, first, stop, keys_only=not needs_values)
        while not walk.is_done:
            found = walk.take(SLICE_ROWS if needs_values else SLICE_NAMES)
            count += len(found)
            if needs_values:
                writer.leave_leases(found)
            if previous is not None:
                _add_previous(previous, found, room)
            if found:
                writer.delete_many([key for key, _ in found], as_range=True)
            yield max(SLICE_ROWS, walk.cost)
        if not needs_values:
            yield from leases.forget_keys(mvcc, txn, first, stop)
        txn.delete_range(mvcc.kv, first, stop)
        return count

    def txn(self, txn: Txn, body: bytes) -> bytes | Long:
        """Operation `etcd.txn`: body is a checked TxnRequest."""
        puts = read_puts(body, _PLAIN_MAX)
        if puts is not None and len(puts) <= _PLAIN_MAX:
            return self._put_all(txn, body, puts)
        request = pb.TxnRequest.FromString(body)
        left = left_of(request, LOOKED_AT_MAX)
        # With its bytes, which were copied.
        txn.cost += ROWS_A_TRANSACTION + LOOKED_AT_MAX - left + (len(body) >> BYTES_A_ROW_LOG2)
        if self._alarms.raised:
            self._alarms.check_sound()
        if left < 0:
            return Long(lambda its: in_slices(self._run_many(its, body, request), TXN_COST_MAX))
        if has_put(request):
            count = max(len(request.success), len(request.failure))
            self._alarms.take_space(cost_of(body, count))
        self.mvcc.counts.transactions += 1
        plan = within_a_turn(plan_of(self.mvcc, txn, request), txn)
        operations = list(operations_of(plan)) if plan else []
        if plan is None or self._is_long(txn, operations):
            return self._over_turns(request)
        at_once(self._check_operations(txn, plan))
        mark = txn.savepoint()
        answer = within_a_turn(self._carried_out(txn, plan), txn, TXN_INLINE_COST_MAX)
        if answer is not None:
            return answer
        txn.rollback(mark)  # what it has to do is little, with values that are large
        return self._over_turns(request)

    def _run_many(self, txn: Txn, body: bytes, request: pb.TxnRequest) -> Costs[bytes]:
        """One of very many operations: to see whether any of them puts takes turns as well."""
        if (yield from puts_anything(request)):
            count = max(len(request.success), len(request.failure))
            self._alarms.take_space(cost_of(body, count))
        self.mvcc.counts.transactions += 1
        return (yield from self._run(txn, request))

    def _over_turns(self, request: pb.TxnRequest) -> Long:
        return Long(lambda its: in_slices(self._run(its, request), TXN_COST_MAX))

    def _put_all(self, txn: Txn, body: bytes, puts: list[tuple[bytes, bytes]]) -> bytes | Long:
        """A transaction of plain puts: as `_run`, without what these cannot need."""
        txn.cost += ROWS_A_PLAIN * len(puts)
        if self._alarms.raised:
            self._alarms.check_sound()
        self._alarms.take_space(cost_of(body, len(puts)))
        mvcc = self.mvcc
        mvcc.counts.transactions += 1
        mark, cost_max = txn.savepoint(), txn.cost + TXN_INLINE_COST_MAX
        writer = Writer(mvcc, txn)
        for key, value in puts:
            writer.put(key, value, 0, self._old(txn, key))
            if txn.cost > cost_max:
                txn.rollback(mark)
                return self._over_turns(pb.TxnRequest.FromString(body))
        answer = field(b"\x1a", field(b"\x12", revision_header(writer.revision)))
        return b"".join([writer.revision.to_bytes(8, "big"), b"\x10\x01", *[answer] * len(puts)])

    def _is_long(self, view: View, operations: list[pb.RequestOp]) -> bool:
        """Whether they read or delete more than a turn has time for."""
        cost = sum(ROWS_AN_OPERATION + _rows_for_lease(it) for it in operations)
        if cost > TXN_INLINE_COST_MAX:
            return True  # by the kinds of them alone, so none of them is begun
        return self._has_many_keys(view, [_keys_of(it) for it in operations if not _puts(it)])

    def _run(self, txn: Txn, request: pb.TxnRequest) -> Costs[bytes]:
        """All of it, in steps; what stands before it may not have come to anything meanwhile."""
        plan = yield from plan_of(self.mvcc, txn, request)
        yield from self._check_operations(txn, plan)
        return (yield from self._carried_out(txn, plan))

    def _check_operations(self, view: View, plan: Plan) -> Costs[None]:
        """Refuse what a taken branch cannot do, before any of it is done (etcd: checkRequests).

        Revisions are held against the state before the transaction, so its own is in the future.
        """
        for number, operation in enumerate(operations_of(plan), 1):
            if _puts(operation):
                put = operation.request_put
                self._check_held(view, put)
                if put.lease:
                    leases.check_exists(self.mvcc, view, put.lease)
                yield 1
            elif not number % STEPS_A_ROW:
                yield 1
        yield from check_revisions(self.mvcc, view, operations_of(plan))

    def _carried_out(self, txn: Txn, plan: Plan) -> Costs[bytes]:
        writer = Writer(self.mvcc, txn)
        room = Room(self._answer_bytes_max)
        answer = yield from self._carry_out(txn, writer, plan, room)
        return b"".join([writer.revision.to_bytes(8, "big"), *answer])

    def _carry_out(self, txn: Txn, writer: Writer, plan: Plan, room: Room) -> Costs[list[bytes]]:
        """The fields of a TxnResponse behind its header.

        In pieces, which are joined once: what is nested would be copied at every depth.
        """
        parts = [b"\x10\x01"] if plan.succeeded else []
        for step in plan.steps:
            if isinstance(step, Plan):
                inner = yield from self._carry_out(txn, writer, step, room)
                response = _field(b"\x22", [b"\x0a\x00", *inner])
            else:
                before, cost_before = room.bytes, txn.cost
                response = yield from self._step(txn, writer, step, room)
                read = (room.bytes - before >> BYTES_A_ROW_LOG2) + txn.cost - cost_before
                yield ROWS_AN_OPERATION + _rows_for_lease(step) + read
            parts += _field(b"\x1a", response)
        return parts

    def _step(
        self, txn: Txn, writer: Writer, operation: pb.RequestOp, room: Room
    ) -> Costs[list[bytes]]:
        """One operation of a transaction, as the field of a ResponseOp."""
        if operation.HasField("request_range"):
            current, request = writer.revision, operation.request_range
            pieces = yield from range_pieces(self.mvcc, txn, request, current, room)
            return _field(b"\x0a", [revision_header(current), *pieces])
        if _puts(operation):
            body = self._put(writer, operation.request_put)
            take_room(room, len(body))
            return [field(b"\x12", revision_header(writer.revision) + body)]
        pieces = yield from self._delete_range(writer, operation.request_delete_range, room)
        return _field(b"\x1a", [revision_header(writer.revision), *pieces])

    def compact(self, txn: Txn, body: bytes) -> bytes:
        """Operation `etcd.compact`: body is a CompactionRequest."""
        self._alarms.check_sound()
        request = pb.CompactionRequest.FromString(body)
        compaction.compact(self.mvcc, txn, request.revision)
        return self.mvcc.revision(txn).to_bytes(8, "big")

    def compact_slice(self, txn: Txn, _body: bytes) -> bytes | Long:
        """Operation `etcd.compact_slice`: remove a part of what was compacted; b"1" = go on."""
        answer = within_a_turn(self._compacted(txn), txn)
        return Long(lambda its: in_slices(self._compacted(its))) if answer is None else answer

    def _compacted(self, txn: Txn) -> Costs[bytes]:
        has_more = yield from compaction.compact_slice(self.mvcc, txn, COMPACT_SLICE_COUNT)
        return b"1" if has_more else b""


def _add_previous(previous: list[bytes], found: list[tuple[bytes, bytes]], room: Room) -> None:
    """What these keys were, as fields of an answer."""
    part = b"".join([field(b"\x1a", encoded) for _, encoded in found])
    take_room(room, len(part))
    previous.append(part)


def _field(tag: bytes, pieces: list[bytes]) -> list[bytes]:
    """A length-delimited field."""
    return [tag + varint(sum(map(len, pieces))), *pieces]


def _rows_for_lease(operation: pb.RequestOp) -> int:
    return ROWS_A_LEASE if _puts(operation) and operation.request_put.lease else 0


def _puts(operation: pb.RequestOp) -> bool:
    return bool(operation.HasField("request_put"))


def _keys_of(operation: pb.RequestOp) -> pb.RangeRequest | pb.DeleteRangeRequest:
    """What an operation that puts nothing looks at."""
    if operation.HasField("request_range"):
        return operation.request_range
    return operation.request_delete_range
