"""The KV service: what Range, Put, DeleteRange, Txn and Compact do.

The operations run on the leader (`roost.member`) and return

    u64 revision (big-endian), then the response without its header

so that whichever member answers the client puts its own header before it.  Refusals carry etcd's
codes and texts.  A read-only transaction is a read and never goes through the log.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from roost.etcd import errors
from roost.etcd.limits import OPERATIONS_MAX
from roost.etcd.model.alarms import Alarms, cost_of
from roost.etcd.model.leases import check_exists
from roost.etcd.model.mvcc import Mvcc, Writer, range_stop
from roost.etcd.model.mvcc import compact as start_compaction
from roost.etcd.model.mvcc import compact_slice as remove_slice
from roost.etcd.model.wire import (
    KeyValue,
    decode_key_value,
    encode_key_value,
    field,
    number_field,
    read_put,
    revision_header,
    varint,
)
from roost.proto import rpc_pb2 as pb
from roost.store import Txn, View

COMPACT_SLICE_COUNT = 1000
_SORT_KEYS: dict[int, Callable[[KeyValue], object]] = {
    pb.RangeRequest.KEY: lambda kv: kv.key,
    pb.RangeRequest.VERSION: lambda kv: kv.version,
    pb.RangeRequest.CREATE: lambda kv: kv.create_revision,
    pb.RangeRequest.MOD: lambda kv: kv.mod_revision,
    pb.RangeRequest.VALUE: lambda kv: kv.value,
}

_SORT_ORDERS = frozenset(pb.RangeRequest.SortOrder.values())


# --- checks at the border -----------------------------------------------------------------------


def check_range(request: pb.RangeRequest) -> None:
    """Refuse what etcd's checkRangeRequest refuses (of sorting since 3.5.5: before it panics)."""
    if not request.key:
        raise errors.empty_key()
    if request.sort_order not in _SORT_ORDERS or request.sort_target not in _SORT_KEYS:
        raise errors.invalid_sort_option()


def check_put(request: pb.PutRequest) -> None:
    """Refuse what etcd's checkPutRequest refuses."""
    if not request.key:
        raise errors.empty_key()
    if request.ignore_value and request.value:
        raise errors.value_provided()
    if request.ignore_lease and request.lease:
        raise errors.lease_provided()


def check_delete(request: pb.DeleteRangeRequest) -> None:
    """Refuse what etcd's checkDeleteRequest refuses."""
    if not request.key:
        raise errors.empty_key()


def check_txn(request: pb.TxnRequest, operations_max: int = OPERATIONS_MAX) -> None:
    """Refuse what etcd's checkTxnRequest and checkIntervals refuse."""
    _check_txn_operations(request, operations_max)
    for branch in (request.success, request.failure):
        _check_overlaps(branch)


def _check_txn_operations(request: pb.TxnRequest, operations_max: int) -> None:
    count = max(len(request.compare), len(request.success), len(request.failure))
    if count > operations_max:
        raise errors.too_many_operations()
    for compare in request.compare:
        if not compare.key:
            raise errors.empty_key()
    for branch in (request.success, request.failure):
        for operation in branch:
            match operation.WhichOneof("request"):
                case "request_range":
                    check_range(operation.request_range)
                case "request_put":
                    check_put(operation.request_put)
                case "request_delete_range":
                    check_delete(operation.request_delete_range)
                case "request_txn":
                    _check_txn_operations(operation.request_txn, operations_max - count)
                case _:
                    raise errors.key_not_found()


Interval = tuple[bytes, bytes]


def _intersects(deletes: Iterable[Interval], key: bytes) -> bool:
    return any(key == first if not end else first <= key < end for first, end in deletes)


def _check_overlaps(operations: Sequence[pb.RequestOp]) -> tuple[set[bytes], list[Interval]]:
    """No key is put twice, or put and deleted, in one branch (etcd: checkIntervals)."""
    deletes = [
        (op.request_delete_range.key, op.request_delete_range.range_end)
        for op in operations
        if op.WhichOneof("request") == "request_delete_range"
    ]
    puts: set[bytes] = set()
    for operation in operations:
        if operation.WhichOneof("request") != "request_txn":
            continue
        then_puts, then_deletes = _check_overlaps(operation.request_txn.success)
        else_puts, else_deletes = _check_overlaps(operation.request_txn.failure)
        # The branches of a nested transaction exclude each other.
        for key in then_puts | else_puts:
            if key in puts or _intersects(deletes, key):
                raise errors.duplicate_key()
        puts |= then_puts | else_puts
        deletes += then_deletes + else_deletes
    for operation in operations:
        if operation.WhichOneof("request") == "request_put":
            key = operation.request_put.key
            if key in puts or _intersects(deletes, key):
                raise errors.duplicate_key()
            puts.add(key)
    return puts, deletes


# --- reading ------------------------------------------------------------------------------------


def one_key_body(mvcc: Mvcc, view: View, key: bytes) -> bytes:
    """What `range_body` says to a request that names a key and nothing else."""
    mvcc.counts.ranges += 1
    encoded = view.get(mvcc.kv, key)
    return b"" if encoded is None else field(b"\x12", encoded) + b"\x20\x01"


def range_body(mvcc: Mvcc, view: View, request: pb.RangeRequest, current: int) -> bytes:
    """The RangeResponse without its header (etcd: applierV3backend.Range)."""
    mvcc.counts.ranges += 1
    revision = request.revision
    if revision > 0:
        mvcc.check_revision(view, revision, current)
    is_current = revision <= 0 or revision == current
    key, range_end = request.key, request.range_end
    if not range_end:
        encoded = view.get(mvcc.kv, key) if is_current else mvcc.at(view, key, revision)
        found = [] if encoded is None else [encoded]
    else:
        stop = range_stop(key, range_end)
        if is_current and request.count_only:
            return number_field(b"\x20", view.count(mvcc.kv, key, stop))
        if is_current:
            found = [encoded for _, encoded in view.iterate(mvcc.kv, key, stop)]
        else:
            found = list(mvcc.range_at(view, key, stop, revision))
    return _range_answer(request, found)


def _range_answer(request: pb.RangeRequest, found: list[bytes]) -> bytes:
    count = len(found)
    if request.count_only:
        return number_field(b"\x20", count)
    if _is_filtered(request):
        found = [encoded for encoded in found if _passes(request, decode_key_value(encoded))]
    elif request.sort_order == pb.RangeRequest.NONE and request.limit > 0:
        # As etcd: who names no order gets the first keys, and only these are sorted.
        found = found[: request.limit + 1]
    found = _sort(request, found)
    has_more = 0 < request.limit < len(found)
    if has_more:
        found = found[: request.limit]
    if request.keys_only:
        found = [_without_value(encoded) for encoded in found]
    parts = [part for encoded in found for part in (b"\x12", varint(len(encoded)), encoded)]
    if has_more:
        parts.append(b"\x18\x01")
    parts.append(number_field(b"\x20", count))
    return b"".join(parts)


def _is_filtered(request: pb.RangeRequest) -> bool:
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _passes(request: pb.RangeRequest, kv: KeyValue) -> bool:
    return not (
        (request.min_mod_revision and kv.mod_revision < request.min_mod_revision)
        or (request.max_mod_revision and kv.mod_revision > request.max_mod_revision)
        or (request.min_create_revision and kv.create_revision < request.min_create_revision)
        or (request.max_create_revision and kv.create_revision > request.max_create_revision)
    )


def _sort(request: pb.RangeRequest, found: list[bytes]) -> list[bytes]:
    order, target = request.sort_order, request.sort_target
    if order == pb.RangeRequest.NONE:
        if target == pb.RangeRequest.KEY:
            return found
        order = pb.RangeRequest.ASCEND
    if target == pb.RangeRequest.KEY:
        return found[::-1] if order == pb.RangeRequest.DESCEND else found
    key = _SORT_KEYS[target]
    rows = sorted(
        ((decode_key_value(encoded), encoded) for encoded in found),
        key=lambda row: key(row[0]),  # type: ignore[arg-type,return-value]  # bytes or int
        reverse=order == pb.RangeRequest.DESCEND,
    )
    return [encoded for _, encoded in rows]


def _without_value(encoded: bytes) -> bytes:
    kv = decode_key_value(encoded)
    return encode_key_value(kv.key, kv.create_revision, kv.mod_revision, kv.version, b"", kv.lease)


# --- writing ------------------------------------------------------------------------------------


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
        answer = self._txn(writer, request)
        return writer.revision.to_bytes(8, "big") + answer

    def read_only_txn(self, view: View, request: pb.TxnRequest) -> bytes:
        """The TxnResponse of a transaction that writes nothing, without its header."""
        # `Writer` only reads until something is written, and nothing will be.
        return self._txn(Writer(self.mvcc, cast("Txn", view)), request)

    def _txn(self, writer: Writer, request: pb.TxnRequest) -> bytes:
        self.mvcc.counts.transactions += 1
        succeeded = compares_hold(self.mvcc, writer.txn, request.compare)
        parts = [b"\x10\x01"] if succeeded else []
        # Which branches are taken is settled before anything is written (etcd: compareToPath),
        # so a nested comparison never sees this transaction's own writes.
        branch = request.success if succeeded else request.failure
        plans = [_plan(self.mvcc, writer.txn, operation) for operation in branch]
        self._check_plans(writer.txn, plans)
        parts += [self._carry_out(writer, plan) for plan in plans]
        return b"".join(parts)

    def _check_plans(self, view: View, plans: list["Plan"]) -> None:
        """Refuse what a taken branch cannot do, before any of it is done (etcd: checkRequests).

        Revisions are held against the state before the transaction, so its own is in the future.
        """
        operations = [plan.operation for plan in _taken(plans)]
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

    def _carry_out(self, writer: Writer, plan: "Plan") -> bytes:
        """One operation of a transaction, as a ResponseOp field (number 3)."""
        operation = plan.operation
        match operation.WhichOneof("request"):
            case "request_range":
                body = range_body(self.mvcc, writer.txn, operation.request_range, writer.revision)
                response = field(b"\x0a", revision_header(writer.revision) + body)
            case "request_put":
                body = self._put(writer, operation.request_put)
                response = field(b"\x12", revision_header(writer.revision) + body)
            case "request_delete_range":
                body = self._delete_range(writer, operation.request_delete_range)
                response = field(b"\x1a", revision_header(writer.revision) + body)
            case _:
                parts = [b"\x0a\x00"] + ([b"\x10\x01"] if plan.succeeded else [])
                parts += [self._carry_out(writer, inner) for inner in plan.nested]
                response = field(b"\x22", b"".join(parts))
        return field(b"\x1a", response)

    def compact(self, txn: Txn, body: bytes) -> bytes:
        """Operation `etcd.compact`: body is a CompactionRequest."""
        self._alarms.check_sound()
        request = pb.CompactionRequest.FromString(body)
        start_compaction(self.mvcc, txn, request.revision)
        return self.mvcc.revision(txn).to_bytes(8, "big")

    def compact_slice(self, txn: Txn, _body: bytes) -> bytes:
        """Operation `etcd.compact_slice`: remove a part of what was compacted; b"1" = go on."""
        return b"1" if remove_slice(self.mvcc, txn, COMPACT_SLICE_COUNT) else b""


def _has_put(request: pb.TxnRequest) -> bool:
    """Whether any branch puts anything, at any depth (etcd: Quota.Cost)."""
    return any(
        it.HasField("request_put") or (it.HasField("request_txn") and _has_put(it.request_txn))
        for it in (*request.success, *request.failure)
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """One operation of a taken branch; a nested transaction has the plans of its own branch."""

    operation: pb.RequestOp
    nested: list["Plan"]
    succeeded: bool


def _taken(plans: Iterable[Plan]) -> Iterator[Plan]:
    """All that will be done, at any depth, in order."""
    for plan in plans:
        yield plan
        yield from _taken(plan.nested)


def _plan(mvcc: Mvcc, view: View, operation: pb.RequestOp) -> Plan:
    if operation.WhichOneof("request") != "request_txn":
        return Plan(operation, [], succeeded=False)
    request = operation.request_txn
    succeeded = compares_hold(mvcc, view, request.compare)
    branch = request.success if succeeded else request.failure
    return Plan(operation, [_plan(mvcc, view, inner) for inner in branch], succeeded)


# --- comparing ----------------------------------------------------------------------------------

_ABSENT = KeyValue(b"", 0, 0, 0, b"", 0)


def compares_hold(mvcc: Mvcc, view: View, compares: Iterable[pb.Compare]) -> bool:
    """Whether every comparison of a transaction holds."""
    return all(_compare_holds(mvcc, view, compare) for compare in compares)


def _compare_holds(mvcc: Mvcc, view: View, compare: pb.Compare) -> bool:
    """Every key of the range must pass; a range without keys is compared as one absent key."""
    if compare.range_end:
        rows = view.scan(mvcc.kv, compare.key, range_stop(compare.key, compare.range_end))
        found = [encoded for _, encoded in rows]
    else:
        encoded = view.get(mvcc.kv, compare.key)
        found = [] if encoded is None else [encoded]
    if not found:
        # An absent key has no value to compare with, not even an empty one.
        return compare.target != pb.Compare.VALUE and _passes_compare(compare, _ABSENT)
    return all(_passes_compare(compare, decode_key_value(encoded)) for encoded in found)


def _passes_compare(compare: pb.Compare, kv: KeyValue) -> bool:
    held: bytes | int
    wanted: bytes | int
    match compare.target:
        case pb.Compare.VERSION:
            held, wanted = kv.version, compare.version
        case pb.Compare.CREATE:
            held, wanted = kv.create_revision, compare.create_revision
        case pb.Compare.MOD:
            held, wanted = kv.mod_revision, compare.mod_revision
        case pb.Compare.VALUE:
            held, wanted = kv.value, compare.value
        case pb.Compare.LEASE:
            held, wanted = kv.lease, compare.lease
        case _:
            held = wanted = 0  # as etcd: what has no target is equal
    order = (held > wanted) - (held < wanted)  # type: ignore[operator]  # both of one type
    match compare.result:
        case pb.Compare.EQUAL:
            return order == 0
        case pb.Compare.NOT_EQUAL:
            return order != 0
        case pb.Compare.GREATER:
            return order > 0
        case pb.Compare.LESS:
            return order < 0
        case _:
            return True


def is_read_only(request: pb.TxnRequest) -> bool:
    """Whether a transaction can write nothing, whichever branch it takes."""
    for branch in (request.success, request.failure):
        for operation in branch:
            match operation.WhichOneof("request"):
                case "request_range":
                    continue
                case "request_txn" if is_read_only(operation.request_txn):
                    continue
                case _:
                    return False
    return True


def is_serializable(request: pb.TxnRequest) -> bool:
    """Whether every read of a read-only transaction asks for no more than a local answer."""
    return all(
        operation.WhichOneof("request") == "request_range" and operation.request_range.serializable
        for branch in (request.success, request.failure)
        for operation in branch
    )
