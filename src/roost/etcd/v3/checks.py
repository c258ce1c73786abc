"""What requests may not say: they are refused with etcd's words before they go any further.

Each function refuses what etcd's function of the same purpose refuses; whether the caller has the
right to ask is another question (`rights.py`).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from roost.etcd import errors
from roost.etcd.model.costs import Costs, at_once
from roost.etcd.model.sorting import SORT_KEYS
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.settings import DEFAULTS

_SORT_ORDERS = frozenset(pb.RangeRequest.SortOrder.values())
# Of a page, whose answer is no large one; longer ranges are refused while memory is short.
PAGE_LIMIT_MAX = 100
# Operations and comparisons of a transaction at all depths: a megabyte has room for a hundred
# thousand.
NESTED_OPERATIONS_MAX = 10_000
# So many are looked at in a step, of which each takes half as long as a row that is read.
_STEP_OPERATIONS = 64
# What it takes to look at one that is nested, beside its operations.
_ROWS_A_NESTED = 6


def check_range(request: pb.RangeRequest) -> None:
    """Refuse what etcd's checkRangeRequest refuses (of sorting since 3.5.5: before it panics)."""
    if not request.key:
        raise errors.empty_key()
    if request.sort_order not in _SORT_ORDERS or request.sort_target not in SORT_KEYS:
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


class TxnKind(NamedTuple):
    """What a transaction is, whichever branches it takes."""

    # It can write nothing.
    is_read_only: bool
    # Nor does any of its reads ask for more than a local answer.
    is_serializable: bool


def check_txn(request: pb.TxnRequest, operations_max: int = DEFAULTS.max_txn_ops) -> TxnKind:
    """Refuse what etcd's checkTxnRequest and checkIntervals refuse; of one that is small."""
    return at_once(txn_checked(request, operations_max))


def nested_max(operations_max: int) -> int:
    """How many operations and comparisons a transaction may have at all depths."""
    return max(NESTED_OPERATIONS_MAX, 3 * operations_max)


def txn_checked(request: pb.TxnRequest, operations_max: int) -> Costs[TxnKind]:
    """The same, in steps: of ten thousand operations it takes tens of milliseconds."""
    walk = _TxnWalk(left=nested_max(operations_max))
    yield from walk.check(request, operations_max)
    for branch in (request.success, request.failure):
        yield from _written_by(branch)
    return TxnKind(walk.is_read_only, walk.is_read_only and walk.is_serializable)


def check_puts(puts: Sequence[tuple[bytes, bytes]], operations_max: int) -> None:
    """As `check_txn`, of a transaction of plain puts."""
    if len(puts) > operations_max:
        raise errors.too_many_operations()
    if len({key for key, _ in puts}) < len(puts):
        raise errors.duplicate_key()


class _TxnWalk:
    """Operations of a transaction, looked at one after the other, at all depths."""

    def __init__(self, left: int) -> None:
        """There may be no more than those `left`."""
        self._left = left
        self.is_read_only = self.is_serializable = True

    def check(self, request: pb.TxnRequest, operations_max: int) -> Costs[None]:
        """Check each, when there are no more than so many of a kind."""
        counts = len(request.compare), len(request.success), len(request.failure)
        count = max(counts)
        self._left -= sum(counts)
        if count > operations_max or self._left < 0:
            raise errors.too_many_operations()
        for compare in request.compare:
            if not compare.key:
                raise errors.empty_key()
        yield 1 + (len(request.compare) + min(count, _STEP_OPERATIONS) >> 1)
        for branch in (request.success, request.failure):
            for number, operation in enumerate(branch):
                if number % _STEP_OPERATIONS == _STEP_OPERATIONS - 1:
                    yield _STEP_OPERATIONS >> 1
                inner = self._check_operation(operation)
                if inner is not None:
                    yield from self.check(inner, operations_max - count)

    def _check_operation(self, operation: pb.RequestOp) -> pb.TxnRequest | None:
        """Check one; a transaction within it is the caller's to check."""
        match operation.WhichOneof("request"):
            case "request_range":
                check_range(operation.request_range)
                self.is_serializable &= operation.request_range.serializable
                return None
            case "request_put":
                check_put(operation.request_put)
            case "request_delete_range":
                check_delete(operation.request_delete_range)
            case "request_txn":
                self.is_serializable = False
                inner: pb.TxnRequest = operation.request_txn
                return inner
            case _:
                raise errors.key_not_found()
        self.is_read_only = False
        return None


class _Deleted:
    """The ranges that operations delete, made one where they overlap: begins and ends, in order."""

    def __init__(self) -> None:
        """Nothing is deleted."""
        self.keys: set[bytes] = set()
        # Ends as requests have them.
        self.begins: list[bytes] = []
        self.ends: list[bytes] = []

    def __len__(self) -> int:
        """How much is to be moved where this is counted in with another."""
        return len(self.keys) + len(self.begins)

    def add(self, begin: bytes, end: bytes) -> None:
        """Count in one operation."""
        if not end:
            self.keys.add(begin)
        elif begin < end:
            begins, ends = self.begins, self.ends
            first, last = bisect_left(ends, begin), bisect_right(begins, end)
            if first < last:
                begin, end = min(begin, begins[first]), max(end, ends[last - 1])
            begins[first:last], ends[first:last] = [begin], [end]

    def with_all_of(self, other: "_Deleted") -> Costs["_Deleted"]:
        """Both; what is less is counted in with what is more."""
        small, large = sorted((self, other), key=len)
        large.keys |= small.keys
        yield len(small.keys) >> 4
        for number, begin in enumerate(small.begins):
            large.add(begin, small.ends[number])
            if number % _STEP_OPERATIONS == _STEP_OPERATIONS - 1:
                yield _STEP_OPERATIONS >> 2
        return large

    def has_any(self, keys: set[bytes]) -> Costs[bool]:
        """Whether one of these keys is deleted."""
        if not self.keys.isdisjoint(keys):
            return True
        if self.begins:
            for number, key in enumerate(keys):
                place = bisect_right(self.begins, key)
                if place and self.ends[place - 1] > key:
                    return True
                if number % _STEP_OPERATIONS == _STEP_OPERATIONS - 1:
                    yield _STEP_OPERATIONS >> 3
        return False


class _Written(NamedTuple):
    """What the operations of a branch put, and what they delete, at any depth."""

    puts: set[bytes]
    deleted: _Deleted


def _written_by(operations: Sequence[pb.RequestOp]) -> Costs[_Written]:
    """No key is put twice, or put and deleted, in one branch (etcd: checkIntervals)."""
    puts, deleted = set[bytes](), _Deleted()
    nested: list[pb.TxnRequest] = []
    own: list[bytes] = []
    for number, operation in enumerate(operations):
        match operation.WhichOneof("request"):
            case "request_delete_range":
                asked = operation.request_delete_range
                deleted.add(asked.key, asked.range_end)
            case "request_put":
                own.append(operation.request_put.key)
            case "request_txn":
                nested.append(operation.request_txn)
        if number % _STEP_OPERATIONS == _STEP_OPERATIONS - 1:
            yield _STEP_OPERATIONS >> 2
    for request in nested:
        yield _ROWS_A_NESTED
        then = yield from _written_by(request.success)
        otherwise = yield from _written_by(request.failure)
        # The branches of a nested transaction exclude each other.
        either = yield from _both(then.puts, otherwise.puts)
        puts = yield from _with_puts(puts, deleted, either)
        deleted = yield from deleted.with_all_of(then.deleted)
        deleted = yield from deleted.with_all_of(otherwise.deleted)
    keys = set(own)
    if len(keys) < len(own):
        raise errors.duplicate_key()
    puts = yield from _with_puts(puts, deleted, keys)
    return _Written(puts, deleted)


def _with_puts(puts: set[bytes], deleted: _Deleted, keys: set[bytes]) -> Costs[set[bytes]]:
    """What is put, with what a branch puts."""
    if not puts.isdisjoint(keys) or (yield from deleted.has_any(keys)):
        raise errors.duplicate_key()
    return (yield from _both(puts, keys))


def _both(some: set[bytes], others: set[bytes]) -> Costs[set[bytes]]:
    """All of both; what is less is counted in with what is more, so no level copies them all."""
    small, large = sorted((some, others), key=len)
    large |= small
    yield len(small) >> 4
    return large


def check_alarm(request: pb.AlarmRequest) -> None:
    """Refuse what is no action, and to raise what is no alarm: etcd's members end at these."""
    if request.action not in pb.AlarmRequest.AlarmAction.values():
        raise errors.unknown_alarm_action(request.action)
    is_known = request.alarm in pb.AlarmType.values()
    if request.action == pb.AlarmRequest.ACTIVATE and not is_known:
        raise errors.unknown_alarm(request.alarm)


def check_permission(request: pb.AuthRoleGrantPermissionRequest) -> None:
    """Refuse a kind of permission that is none."""
    if request.perm.permType not in auth_pb2.Permission.Type.values():
        raise errors.unknown_permission(request.perm.permType)


def is_long(request: pb.RangeRequest) -> bool:
    """Whether a range may have an answer of any size."""
    is_page = 0 < request.limit <= PAGE_LIMIT_MAX
    return bool(request.range_end) and not request.count_only and not is_page
