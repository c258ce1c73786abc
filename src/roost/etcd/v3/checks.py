"""What requests may not say: they are refused with etcd's words before they go any further.

Each function refuses what etcd's function of the same purpose refuses; whether the caller has the
right to ask is another question (`rights.py`).
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from roost.etcd import errors
from roost.etcd.model.sorting import SORT_KEYS
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.settings import DEFAULTS

_SORT_ORDERS = frozenset(pb.RangeRequest.SortOrder.values())
# Of a page, whose answer is no large one; longer ranges are refused while memory is short.
PAGE_LIMIT_MAX = 100
# Operations and comparisons of a transaction at all depths: a megabyte has room for a hundred
# thousand, and whoever looks at each of them holds up everybody.
NESTED_OPERATIONS_MAX = 10_000


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


def check_txn(request: pb.TxnRequest, operations_max: int = DEFAULTS.max_txn_ops) -> None:
    """Refuse what etcd's checkTxnRequest and checkIntervals refuse."""
    _check_txn_operations(
        request, operations_max, left=max(NESTED_OPERATIONS_MAX, 3 * operations_max)
    )
    for branch in (request.success, request.failure):
        _check_overlaps(branch)


def check_puts(puts: Sequence[tuple[bytes, bytes]], operations_max: int) -> None:
    """As `check_txn`, of a transaction of plain puts."""
    if len(puts) > operations_max:
        raise errors.too_many_operations()
    if len({key for key, _ in puts}) < len(puts):
        raise errors.duplicate_key()


def _check_txn_operations(request: pb.TxnRequest, operations_max: int, left: int) -> int:
    """Check each, when there are no more than so many; say how many of those `left` are left."""
    counts = len(request.compare), len(request.success), len(request.failure)
    count = max(counts)
    left -= sum(counts)
    if count > operations_max or left < 0:
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
                    inner = operation.request_txn
                    left = _check_txn_operations(inner, operations_max - count, left)
                case _:
                    raise errors.key_not_found()
    return left


class _Deleted:
    """What the operations of a branch delete, at any depth."""

    def __init__(self) -> None:
        """Nothing is deleted."""
        self.keys: set[bytes] = set()
        # Begin, and end as requests have it.
        self.ranges: list[tuple[bytes, bytes]] = []

    def add(self, request: pb.DeleteRangeRequest) -> None:
        """Count in one operation."""
        if request.range_end:
            self.ranges.append((request.key, request.range_end))
        else:
            self.keys.add(request.key)

    def update(self, other: "_Deleted") -> None:
        """Count in all that another branch deletes."""
        self.keys |= other.keys
        self.ranges += other.ranges

    def has_any(self, keys: set[bytes]) -> bool:
        """Whether one of these keys is deleted.

        There may be a hundred thousand of both, so no key is held against every range: those that
        begin at or before it have it among them if the one that ends last does.
        """
        if not self.keys.isdisjoint(keys):
            return True
        if not self.ranges or not keys:
            return False
        self.ranges.sort()
        begins = [first for first, _ in self.ranges]
        ends = list(accumulate((end for _, end in self.ranges), max))
        return any(
            ends[place - 1] > key for key in keys if (place := bisect_right(begins, key)) > 0
        )


def _check_overlaps(operations: Sequence[pb.RequestOp]) -> tuple[set[bytes], _Deleted]:
    """No key is put twice, or put and deleted, in one branch (etcd: checkIntervals)."""
    puts: set[bytes] = set()
    deleted = _Deleted()
    nested: list[pb.TxnRequest] = []
    own: list[bytes] = []
    for operation in operations:
        match operation.WhichOneof("request"):
            case "request_delete_range":
                deleted.add(operation.request_delete_range)
            case "request_put":
                own.append(operation.request_put.key)
            case "request_txn":
                nested.append(operation.request_txn)
    for request in nested:
        then_puts, then_deleted = _check_overlaps(request.success)
        else_puts, else_deleted = _check_overlaps(request.failure)
        # The branches of a nested transaction exclude each other.
        _add_puts(puts, deleted, then_puts | else_puts)
        deleted.update(then_deleted)
        deleted.update(else_deleted)
    keys = set(own)
    if len(keys) < len(own):
        raise errors.duplicate_key()
    _add_puts(puts, deleted, keys)
    return puts, deleted


def _add_puts(puts: set[bytes], deleted: _Deleted, keys: set[bytes]) -> None:
    """Count in what a branch puts."""
    if not puts.isdisjoint(keys) or deleted.has_any(keys):
        raise errors.duplicate_key()
    puts |= keys


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
