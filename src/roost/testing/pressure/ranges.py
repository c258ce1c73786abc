"""Rows that read: ranges over all keys, whole, in order, counted, one at a time, page by page.

And what else reads all there is: hashes, copies, and clients that ask and do not read.
"""

import base64
import http.client
import json
import time
from collections.abc import Callable
from http import HTTPStatus

from google.protobuf.message import Message

from roost.proto import rpc_pb2
from roost.server.h2 import frames as f
from roost.testing.pressure.target import Caller, Target
from roost.testing.pressure.wire import Wire, drive, drive_sent, head_of

KEYS = b"key-"
KEYS_END = b"key."
# A whole range is one answer, and no answer may be larger than 2 GiB.
_WHOLE_BYTES_MAX = 256 << 20
ROUNDS = 10
_RANGE = head_of(b"/etcdserverpb.KV/Range")
_HASH = head_of(b"/etcdserverpb.Maintenance/HashKV")
_SNAPSHOT = head_of(b"/etcdserverpb.Maintenance/Snapshot")
_UNREAD_CONNECTIONS, UNREAD_S = 4, 5.0


def _at_once(
    target: Target,
    begin: Callable[[], None],
    request: Message,
    rounds: int,
    *,
    head: bytes = _RANGE,
    width: int = 0,
) -> dict[str, float]:
    """Ask the same of the leader, some at a time, and throw the answers away as they come."""
    wire = Wire(target.leader)
    body = request.SerializeToString()
    width = width or target.sizes.ranges
    begin()
    for number in range(rounds):
        for _ in range(width):
            wire.ask(head, body)
        expected = (number + 1) * width
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


def crowded(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """Short ranges, each of which a member answers at once, and very many of them."""
    keys = target.sizes.crowd_keys
    request = rpc_pb2.RangeRequest(key=KEYS, range_end=KEYS_END, limit=keys, serializable=True)
    return _at_once(target, begin, request, 3, width=target.sizes.crowd)


def hashed(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """Hashes of all keys at once."""
    return _at_once(target, begin, rpc_pb2.HashKVRequest(), 1, head=_HASH)


def copied(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """Copies of the store, thrown away as they come."""
    return _at_once(target, begin, rpc_pb2.SnapshotRequest(), 1, head=_SNAPSHOT, width=2)


def unread(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """All keys, asked for again and again by who takes no more than a window of it.

    The connections' windows are as small as they begin; nobody answers for what is not taken.
    """
    wires = [
        Wire(target.leader, connection_window=f.WINDOW_DEFAULT) for _ in range(_UNREAD_CONNECTIONS)
    ]
    count = min(target.sizes.keys, _WHOLE_BYTES_MAX // target.sizes.value_bytes // 16)
    body = rpc_pb2.RangeRequest(
        key=KEYS, range_end=b"%s%08d" % (KEYS, count), serializable=True
    ).SerializeToString()
    begin()
    for number in range(target.sizes.unread):
        wires[number % len(wires)].ask(_RANGE, body)
    drive_sent(wires)
    until_s = time.monotonic() + UNREAD_S
    drive(wires, lambda: time.monotonic() >= until_s, look_s=0.05)
    said = sum(it.data_bytes for it in wires)
    for it in wires:
        it.close()
    return {"bytes": said}


def posted(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """Transactions of many reads as JSON, each a body of a megabyte or so."""
    name = base64.b64encode(b"posted").decode()
    operation = {"request_range": {"key": name, "range_end": "", "serializable": True}}
    body = json.dumps({"success": [operation] * target.sizes.body_operations})
    connection = http.client.HTTPConnection(target.leader, timeout=180)
    answered = 0
    begin()
    for _ in range(target.sizes.bodies):
        connection.request("POST", "/v3/kv/txn", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        answered += response.status in (HTTPStatus.OK, HTTPStatus.BAD_REQUEST)
    connection.close()
    # etcd takes no transaction of more than 128 operations: it only must be done with it.
    return {"body_bytes": len(body), "missing": target.sizes.bodies - answered}


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
        if response.status != HTTPStatus.OK:
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
