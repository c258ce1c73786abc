"""Rows of watchers that begin in the past, and of gets beside them."""

import time
from collections.abc import Callable

from roost.proto import rpc_pb2
from roost.testing.pressure.target import Caller, Target, puts
from roost.testing.pressure.wire import Wire, drive, head_of

STREAMS = 10
_WATCH = head_of(b"/etcdserverpb.Watch/Watch")
_RANGE = head_of(b"/etcdserverpb.KV/Range")


class _Watchers:
    """Streams on one connection, and the events that came on them."""

    def __init__(self, target: Target, on_events: Callable[[], None] = lambda: None) -> None:
        """Open the streams."""
        self.wire = Wire(target.leader)
        self.event_count = self.cancelled_count = 0
        self._on_events = on_events
        self.wire.on_message = self._on_message
        self._streams = [self.wire.ask(_WATCH, is_last=False) for _ in range(STREAMS)]

    def watch(self, number: int, key: bytes, start_revision: int) -> None:
        """One more, on the stream whose turn it is; as much as the windows let out is certain."""
        create = rpc_pb2.WatchCreateRequest(key=key, start_revision=start_revision)
        body = rpc_pb2.WatchRequest(create_request=create).SerializeToString()
        stream_id = self._streams[number % STREAMS]
        drive([self.wire], lambda: self.wire.room_of(stream_id) > len(body) + 5)
        self.wire.tell(stream_id, b"\0" + len(body).to_bytes(4, "big") + body)

    def _on_message(self, _stream_id: int, data: bytes) -> None:
        answer = rpc_pb2.WatchResponse.FromString(data)
        self.cancelled_count += answer.canceled
        if answer.events:
            self.event_count += len(answer.events)
            self._on_events()


def behind(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """Watches from an old revision that match nothing of what happened since.

    Each watches a key that is put once all of them are there: whoever gets that event has been
    through everything before it.
    """
    sizes, name = target.sizes, b"behind-%d-" % time.monotonic_ns()
    with Caller(target.leader) as caller:
        first = caller.fill(puts(name + b"first", 1, b"v"))
        for at in range(0, sizes.events, 1000):
            caller.fill(puts(name + b"event", min(1000, sizes.events - at), b"v"))
        watchers = _Watchers(target)
        begin()
        for number in range(sizes.watches):
            watchers.watch(number, b"%slast%08d" % (name, number), first)
        caller.fill(puts(name + b"last", sizes.watches, b"v"))
        drive(
            [watchers.wire],
            lambda: watchers.event_count + watchers.cancelled_count >= sizes.watches,
        )
        watchers.wire.close()
    return {"missing": sizes.watches - watchers.event_count}


def getters(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """As etcd's `benchmark watch-get`: each answer to a watcher that catches up begins a get."""
    sizes, name = target.sizes, b"getter-%d" % time.monotonic_ns()
    with Caller(target.leader) as caller:
        first = caller.fill([rpc_pb2.PutRequest(key=name, value=b"0")])
        for number in range(1, sizes.getter_events):
            caller.fill([rpc_pb2.PutRequest(key=name, value=b"%d" % number)])
    body = rpc_pb2.RangeRequest(key=b"abc", serializable=True).SerializeToString()
    getter, asked = Wire(target.leader), 0

    def get() -> None:
        nonlocal asked
        asked += 1
        getter.ask(_RANGE, body)

    watchers = _Watchers(target, get)
    expected = sizes.getters * sizes.getter_events
    begin()
    started_s = time.monotonic()
    for number in range(sizes.getters):
        watchers.watch(number, name, first)

    def is_over() -> bool:
        return watchers.event_count >= expected and sum(getter.ended.values()) >= asked

    drive([watchers.wire, getter], is_over)
    took_s = time.monotonic() - started_s
    watchers.wire.close()
    getter.close()
    return {
        "gets_per_s": round(asked / took_s),
        "failed": asked - getter.ended.get("0", 0),
        "missing": expected - watchers.event_count,
    }
