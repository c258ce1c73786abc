"""Ranges: what is answered to a read of keys (etcd api: RangeRequest, RangeResponse).

A current range is the join of the values as they are stored.  What asks for more than that, for
an order, for revisions within bounds or for keys alone, has the values decoded.
"""

from collections.abc import Callable

from roost.etcd.model.mvcc import Mvcc, range_stop
from roost.etcd.model.wire import (
    KeyValue,
    decode_key_value,
    encode_key_value,
    field,
    number_field,
    varint,
)
from roost.proto import rpc_pb2 as pb
from roost.store import View

SORT_KEYS: dict[int, Callable[[KeyValue], object]] = {
    pb.RangeRequest.KEY: lambda kv: kv.key,
    pb.RangeRequest.VERSION: lambda kv: kv.version,
    pb.RangeRequest.CREATE: lambda kv: kv.create_revision,
    pb.RangeRequest.MOD: lambda kv: kv.mod_revision,
    pb.RangeRequest.VALUE: lambda kv: kv.value,
}


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
    key = SORT_KEYS[target]
    rows = sorted(
        ((decode_key_value(encoded), encoded) for encoded in found),
        key=lambda row: key(row[0]),  # type: ignore[arg-type,return-value]  # bytes or int
        reverse=order == pb.RangeRequest.DESCEND,
    )
    return [encoded for _, encoded in rows]


def _without_value(encoded: bytes) -> bytes:
    kv = decode_key_value(encoded)
    return encode_key_value(kv.key, kv.create_revision, kv.mod_revision, kv.version, b"", kv.lease)
