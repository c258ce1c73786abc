"""What requests may not say: they are refused with etcd's words before they go any further.

Each function refuses what etcd's function of the same purpose refuses; whether the caller has the
right to ask is another question (`rights.py`).
"""

from collections.abc import Iterable, Sequence

from roost.etcd import errors
from roost.etcd.model.sorting import SORT_KEYS
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.settings import DEFAULTS

_SORT_ORDERS = frozenset(pb.RangeRequest.SortOrder.values())
# The first key of a delete, and the end of its range as requests have it.
_Interval = tuple[bytes, bytes]
# Of a page, whose answer is no large one; longer ranges are refused while memory is short.
PAGE_LIMIT_MAX = 100


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


def _intersects(deletes: Iterable[_Interval], key: bytes) -> bool:
    return any(key == first if not end else first <= key < end for first, end in deletes)


def _check_overlaps(operations: Sequence[pb.RequestOp]) -> tuple[set[bytes], list[_Interval]]:
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
