"""Rows that read: ranges over all keys, whole, in order, counted, one at a time, page by page."""

import base64
import http.client
import json
from collections.abc import Callable

from roost.proto import rpc_pb2
from roost.testing.pressure.target import Caller, Target
from roost.testing.pressure.wire import Wire, drive, head_of

KEYS = b"key-"
KEYS_END = b"key."
# A whole range is one answer, and no answer may be larger than 2 GiB.
_WHOLE_BYTES_MAX = 256 << 20
ROUNDS = 10
_RANGE = head_of(b"/etcdserverpb.KV/Range")


def _at_once(
    target: Target, begin: Callable[[], None], request: rpc_pb2.RangeRequest, rounds: int
) -> dict[str, float]:
    """Ask the same of the leader, some at a time, and throw the answers away as they come."""
    wire = Wire(target.leader)
    body = request.SerializeToString()
    begin()
    for number in range(rounds):
        for _ in range(target.sizes.ranges):
            wire.ask(_RANGE, body)
        expected = (number + 1) * target.sizes.ranges
        drive([wire], lambda n=expected: sum(wire.ended.values()) >= n)  # type: ignore[misc] # bound now
    wire.close()
    return {
        "answered": wire.ended.get("0", 0),
        "failed": sum(wire.ended.values()) - wire.ended.get("0", 0),
        "bytes": wire.data_bytes,
    }


def limited(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """A page of one key of all keys."""
    request = rpc_pb2.RangeRequest(key=KEYS, range_end=KEYS_END, limit=1)
    return _at_once(target, begin, request, ROUNDS)


def counted(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """How many keys there are."""
    request = rpc_pb2.RangeRequest(key=KEYS, range_end=KEYS_END, count_only=True)
    return _at_once(target, begin, request, ROUNDS)


def ordered(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """The last key by its value."""
    request = rpc_pb2.RangeRequest(
        key=KEYS,
        range_end=KEYS_END,
        limit=1,
        sort_order=rpc_pb2.RangeRequest.DESCEND,
        sort_target=rpc_pb2.RangeRequest.VALUE,
    )
    return _at_once(target, begin, request, 1)


def whole(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """All keys in one answer, as far as an answer may have them."""
    count = min(target.sizes.keys, _WHOLE_BYTES_MAX // target.sizes.value_bytes)
    request = rpc_pb2.RangeRequest(key=KEYS, range_end=b"%s%08d" % (KEYS, count))
    return _at_once(target, begin, request, 1)


def paged(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """All keys, page by page at one revision, as Kubernetes lists them."""
    with Caller(target.leader) as caller:
        caller.range(rpc_pb2.RangeRequest(key=b"none"))
        begin()
        found, start, revision, more = 0, KEYS, 0, True
        while more:
            page = caller.range(
                rpc_pb2.RangeRequest(
                    key=start,
                    range_end=KEYS_END,
                    limit=target.sizes.page_keys,
                    revision=revision,
                )
            )
            revision = revision or page.header.revision
            found += len(page.kvs)
            more = page.more
            start = page.kvs[-1].key + b"\0" if page.kvs else start
    return {"keys": found, "missing": target.sizes.keys - found}


def paged_as_json(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """The same, by the JSON gateway."""
    connection = http.client.HTTPConnection(target.leader, timeout=180)

    def ask(start: bytes, revision: int) -> dict[str, object]:
        request = {
            "key": base64.b64encode(start).decode(),
            "range_end": base64.b64encode(KEYS_END).decode(),
            "limit": target.sizes.page_keys,
            "revision": revision,
        }
        connection.request(
            "POST", "/v3/kv/range", json.dumps(request), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        said = response.read()
        if response.status != http.HTTPStatus.OK:
            raise OSError(f"{response.status}: {said[:200]!r}")
        held: dict[str, object] = json.loads(said)
        return held

    ask(b"none", 0)
    begin()
    found, start, revision, more = 0, KEYS, 0, True
    while more:
        page = ask(start, revision)
        header, kvs = page["header"], page.get("kvs", [])
        assert isinstance(header, dict), "as the API says"
        assert isinstance(kvs, list), "as the API says"
        revision = revision or int(header["revision"])
        found += len(kvs)
        more = bool(page.get("more"))
        start = base64.b64decode(kvs[-1]["key"]) + b"\0" if kvs else start
    connection.close()
    return {"keys": found, "missing": target.sizes.keys - found}
