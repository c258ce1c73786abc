"""Comparisons: which branch of a transaction is taken (etcd api: Compare)."""

from collections.abc import Iterable

from roost.etcd.model.mvcc import Mvcc, range_stop
from roost.etcd.model.wire import KeyValue, decode_key_value
from roost.proto import rpc_pb2 as pb
from roost.store import View

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
