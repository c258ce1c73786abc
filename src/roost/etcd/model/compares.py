"""Comparisons: which branch of a transaction is taken (etcd api: Compare).

A comparison may be with a range, and so with every key there is: it is made in steps (D14).
"""

from collections.abc import Sequence

from roost.database.model import View, Walk
from roost.etcd.model.costs import BYTES_A_ROW_LOG2, Costs
from roost.etcd.model.mvcc import Mvcc, range_stop
from roost.etcd.model.rows import ROWS_MAX
from roost.etcd.model.wire import KeyValue, decode_key_value
from roost.proto import rpc_pb2 as pb

# A row that is decoded and compared costs as much as so many that are only read.
ROWS_A_COMPARISON = 4
_ABSENT = KeyValue(b"", 0, 0, 0, b"", 0)


def compares_hold(mvcc: Mvcc, view: View, compares: Sequence[pb.Compare]) -> Costs[bool]:
    """Whether every comparison of a transaction holds; yields what a step has cost, in rows."""
    if compares:
        yield len(compares)
    for compare in compares:
        if compare.range_end:
            holds = yield from _holds_in_range(mvcc, view, compare)
        else:
            encoded = view.get(mvcc.kv, compare.key)
            if encoded is not None and len(encoded) >> BYTES_A_ROW_LOG2:
                yield 2 * (len(encoded) >> BYTES_A_ROW_LOG2)  # it is read, and copied from that
            holds = (
                _holds_for_none(compare)
                if encoded is None
                else _passes_compare(compare, decode_key_value(encoded))
            )
        if not holds:
            return False
    return True


def _holds_in_range(mvcc: Mvcc, view: View, compare: pb.Compare) -> Costs[bool]:
    """Every key of the range must pass; a range without keys is compared as one absent key."""
    walk = Walk(view, mvcc.kv, compare.key, range_stop(compare.key, compare.range_end))
    is_empty = True
    while not walk.is_done:
        found = walk.take(ROWS_MAX // ROWS_A_COMPARISON)
        if not all(_passes_compare(compare, decode_key_value(encoded)) for _, encoded in found):
            return False
        is_empty = is_empty and not found
        compared = (ROWS_A_COMPARISON - 1) * len(found)
        yield walk.cost + compared if walk.is_done else max(ROWS_MAX, walk.cost)
    return not is_empty or _holds_for_none(compare)


def _holds_for_none(compare: pb.Compare) -> bool:
    """An absent key has no value to compare with, not even an empty one."""
    return compare.target != pb.Compare.VALUE and _passes_compare(compare, _ABSENT)


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
