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
    elif is_current:
        return _current_range(mvcc, view, request, key, range_stop(key, range_end))
    else:
        found = list(mvcc.range_at(view, key, range_stop(key, range_end), revision))
    return _range_answer(request, found, len(found))


def _current_range(
    mvcc: Mvcc, view: View, request: pb.RangeRequest, first: bytes, stop: bytes | None
) -> bytes:
    """A range of the newest values; where it can end at its limit, it does."""
    if request.count_only:
        return number_field(b"\x20", mvcc.count(view, first, stop))
    limit = request.limit
    is_by_key = request.sort_target == pb.RangeRequest.KEY
    ends_at_limit = limit > 0 and not _is_filtered(request)
    # As etcd: who names no order gets the first keys, and only these are sorted.
    if ends_at_limit and (is_by_key or request.sort_order == pb.RangeRequest.NONE):
        is_reverse = is_by_key and request.sort_order == pb.RangeRequest.DESCEND
        rows = view.scan(mvcc.kv, first, stop, reverse=is_reverse, limit=limit + 1)
        if is_reverse:
            rows.reverse()
        count = len(rows) if len(rows) <= limit else mvcc.count(view, first, stop)
        return _range_answer(request, [encoded for _, encoded in rows], count)
    found = [encoded for _, encoded in view.iterate(mvcc.kv, first, stop)]
    return _range_answer(request, found, len(found))


def _range_answer(request: pb.RangeRequest, found: list[bytes], count: int) -> bytes:
    """The answer with those that were found of `count` keys, in the order of keys."""
    if request.count_only:
        return number_field(b"\x20", count)
    if _is_filtered(request):
        found = [encoded for encoded in found if _passes(request, decode_key_value(encoded))]
    elif request.sort_order == pb.RangeRequest.NONE and request.limit > 0:
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
