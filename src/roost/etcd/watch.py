"""The Watch service: every change of a key or range, in order, once (etcd api: Watch).

Applied write sets come from `Replica.observe`; the records of the `revisions` tree in them are
the events.  A member without watchers only compares a counter.

A watcher is *synced* when it has been sent everything up to the current revision; it then gets
new events as they are applied.  One that starts in the past, or whose stream has more unsent
bytes than STREAM_BYTES_MAX, is *behind*: it is served from the `revisions` tree in bounded
slices, whenever its stream has room, until it has caught up.  Nothing is buffered for it, and
applying never waits for it.  A watcher that needs compacted revisions is cancelled with
`compact_revision`.

Answers never split a revision.  Full?  WATCHERS_PER_STREAM_MAX and WATCHERS_MAX refuse more.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from google.protobuf.message import DecodeError

from roost.etcd import errors
from roost.etcd.mvcc import Mvcc, main_of, range_stop, revision_bytes
from roost.etcd.ports import Replica, StreamCall
from roost.etcd.proto import rpc_pb2 as pb
from roost.etcd.wire import Header, KeyValue, decode_key_value, field, number_field, varint
from roost.store import Changes

STREAM_BYTES_MAX = 4 << 20
SLICE_COUNT_MAX = 1000
WATCHERS_PER_STREAM_MAX = 10_000
WATCHERS_MAX = 100_000
_PROGRESS_ID = -1


class Event(NamedTuple):
    """One change; `encoded` is its KeyValue."""

    main: int
    kv: KeyValue
    encoded: bytes

    @property
    def is_delete(self) -> bool:
        """Whether the key went away."""
        return self.kv.version == 0


def _event(revision: bytes, encoded: bytes) -> Event:
    return Event(main_of(revision), decode_key_value(encoded), encoded)


class Watcher:
    """One watch of a stream."""

    __slots__ = (
        "first",
        "id",
        "next_revision",
        "no_delete",
        "no_put",
        "stop",
        "stream",
        "wants_previous",
    )

    def __init__(
        self, stream: "WatchStream", watch_id: int, request: pb.WatchCreateRequest
    ) -> None:
        """Watch the range of `request`."""
        self.stream = stream
        self.id = watch_id
        # An empty key means the smallest one (etcd: watchServer.recvLoop).
        self.first = request.key or b"\0"
        self.stop = range_stop(self.first, request.range_end)
        self.wants_previous = request.prev_kv
        self.no_put = pb.WatchCreateRequest.NOPUT in request.filters
        self.no_delete = pb.WatchCreateRequest.NODELETE in request.filters
        self.next_revision = 0

    def wants(self, event: Event) -> bool:
        """Whether the event is in range, new to this watcher and not filtered."""
        key = event.kv.key
        return (
            event.main >= self.next_revision
            and key >= self.first
            and (self.stop is None or key < self.stop)
            and not (self.no_delete if event.is_delete else self.no_put)
        )


class WatchHub:
    """All watchers of one member."""

    def __init__(self, replica: Replica, mvcc: Mvcc) -> None:
        """Observe what is applied."""
        self.replica = replica
        self.mvcc = mvcc
        self.header = Header(replica.cluster_id, replica.member_id)
        self.count = 0
        self._by_key: dict[bytes, set[Watcher]] = {}
        self._ranges: dict[Watcher, None] = {}
        self._behind: dict[Watcher, None] = {}
        self._is_catching_up = False
        replica.observe(self._on_applied)
        replica.observe_switch(self._before_switch)

    def revision(self) -> int:
        """The current revision here."""
        return self.mvcc.revision(self.replica.view)

    # --- who watches -------------------------------------------------------------------------

    def add(self, watcher: Watcher) -> None:
        """Begin: synced when it starts now or later, behind otherwise."""
        self.count += 1
        if watcher.next_revision > self.revision():
            self._sync(watcher)
        else:
            self.fall_behind(watcher)

    def _sync(self, watcher: Watcher) -> None:
        self._behind.pop(watcher, None)
        if watcher.stop == watcher.first + b"\0":
            self._by_key.setdefault(watcher.first, set()).add(watcher)
        else:
            self._ranges[watcher] = None

    def _unsync(self, watcher: Watcher) -> None:
        self._ranges.pop(watcher, None)
        of_key = self._by_key.get(watcher.first)
        if of_key is not None:
            of_key.discard(watcher)
            if not of_key:
                del self._by_key[watcher.first]

    def remove(self, watcher: Watcher) -> None:
        """Stop."""
        self.count -= 1
        self._unsync(watcher)
        self._behind.pop(watcher, None)

    def is_behind(self, watcher: Watcher) -> bool:
        """Whether events it wants are applied and not yet sent."""
        return watcher in self._behind

    def fall_behind(self, watcher: Watcher) -> None:
        """Serve it from history, when its stream has room."""
        self._unsync(watcher)
        self._behind[watcher] = None
        self.schedule_catch_up()

    # --- new events ----------------------------------------------------------------------------

    def _on_applied(self, _index: int, changes: Changes) -> None:
        if not self._by_key and not self._ranges:
            return
        tree = self.mvcc.revisions
        events = [
            _event(key, value)
            for _, tree_id, key, value in changes.writes
            if tree_id == tree and value is not None and len(key) == 16
        ]
        if not events:
            return
        by_watcher: dict[Watcher, list[Event]] = {}
        for event in events:
            for watcher in self._by_key.get(event.kv.key, ()):
                if watcher.wants(event):
                    by_watcher.setdefault(watcher, []).append(event)
            for watcher in self._ranges:
                if watcher.wants(event):
                    by_watcher.setdefault(watcher, []).append(event)
        revision = events[-1].main
        for watcher, wanted in by_watcher.items():
            if watcher.stream.call.pending_bytes > STREAM_BYTES_MAX:
                watcher.next_revision = max(watcher.next_revision, wanted[0].main)
                self.fall_behind(watcher)
                continue
            watcher.next_revision = revision + 1
            self._send_events(watcher, wanted, revision)

    def _send_events(self, watcher: Watcher, events: list[Event], revision: int) -> None:
        parts = [self.header.encode(revision, self.replica.term)]
        parts.append(number_field(b"\x10", watcher.id))
        for event in events:
            body = (b"\x08\x01" if event.is_delete else b"") + field(b"\x12", event.encoded)
            if watcher.wants_previous:
                previous = self._previous(event)
                if previous is not None:
                    body += field(b"\x1a", previous)
            parts.append(field(b"\x5a", body))
        watcher.stream.call.send(b"".join(parts))

    def _previous(self, event: Event) -> bytes | None:
        """The KeyValue before the event; None when there was none or it is compacted."""
        view, before = self.replica.view, event.main - 1
        if before < self.mvcc.compacted(view):
            return None
        return self.mvcc.at(view, event.kv.key, before)

    def _before_switch(self) -> Callable[[], None]:
        """A snapshot is about to replace everything: what it skips is served from history."""
        synced = [*self._ranges, *(it for group in self._by_key.values() for it in group)]
        revision = self.revision()

        def after() -> None:
            for watcher in synced:
                watcher.next_revision = max(watcher.next_revision, revision + 1)
                self.fall_behind(watcher)

        return after

    # --- catching up -----------------------------------------------------------------------------

    def schedule_catch_up(self) -> None:
        """Serve those behind in the next loop turn."""
        if self._behind and not self._is_catching_up:
            self._is_catching_up = True
            asyncio.get_running_loop().call_soon(self._catch_up)

    def _catch_up(self) -> None:
        """One bounded slice for each watcher behind whose stream has room."""
        self._is_catching_up = False
        has_more = False
        for watcher in list(self._behind):
            if watcher.stream.call.pending_bytes <= STREAM_BYTES_MAX:
                has_more |= self._serve_slice(watcher)
        if has_more:
            self.schedule_catch_up()

    def _serve_slice(self, watcher: Watcher) -> bool:
        """Send a watcher its next events; say whether it is still behind."""
        view, mvcc = self.replica.view, self.mvcc
        compacted, current = mvcc.compacted(view), self.revision()
        if watcher.next_revision < compacted:
            watcher.stream.cancel_compacted(watcher, compacted)
            return False
        first = revision_bytes(watcher.next_revision, 0)
        rows = view.scan(mvcc.revisions, first, None, limit=SLICE_COUNT_MAX)
        until = current
        if len(rows) == SLICE_COUNT_MAX:
            # The last revision may go on behind the slice; it is sent whole next time.
            last = main_of(rows[-1][0])
            if main_of(rows[0][0]) == last:
                rows = view.scan(mvcc.revisions, first, revision_bytes(last + 1, 0))
            else:
                rows = [row for row in rows if main_of(row[0]) < last]
            until = main_of(rows[-1][0])
        events = [_event(name, encoded) for name, encoded in rows]
        wanted = [event for event in events if watcher.wants(event)]
        watcher.next_revision = max(watcher.next_revision, until + 1)
        if wanted:
            self._send_events(watcher, wanted, current)
        if until < current:
            return True
        self._sync(watcher)
        return False


class WatchStream:
    """One client's stream: any number of watchers."""

    def __init__(self, hub: WatchHub, call: StreamCall) -> None:
        """Nothing is watched yet."""
        self.hub = hub
        self.call = call
        self._watchers: dict[int, Watcher] = {}
        self._next_id = 0
        call.on_drain = hub.schedule_catch_up

    def on_message(self, message: bytes) -> None:
        """Create, cancel, or ask for progress."""
        try:
            request = pb.WatchRequest.FromString(message)
        except DecodeError:
            refusal = errors.malformed_request()
            self._end()
            self.call.finish(refusal.code, refusal.text)
            return
        match request.WhichOneof("request_union"):
            case "create_request":
                self._create(request.create_request)
            case "cancel_request":
                self._cancel(request.cancel_request.watch_id)
            case "progress_request":
                self._progress()
            case _:
                pass  # as etcd: an empty request is ignored

    def _create(self, request: pb.WatchCreateRequest) -> None:
        hub, revision = self.hub, self.hub.revision()
        watch_id = request.watch_id or self._free_id()
        reason = ""
        if watch_id in self._watchers:
            reason = "mvcc: duplicate watch ID provided on the WatchStream"
        elif len(self._watchers) >= WATCHERS_PER_STREAM_MAX or hub.count >= WATCHERS_MAX:
            reason = "etcdserver: too many watchers"
        watcher = Watcher(self, watch_id, request)
        if not reason and watcher.stop is not None and watcher.stop <= watcher.first:
            reason = "mvcc: watcher range is empty"
        if reason:
            self._say(_PROGRESS_ID, b"\x18\x01\x20\x01" + field(b"\x32", reason.encode()))
            return
        watcher.next_revision = request.start_revision or revision + 1
        self._watchers[watch_id] = watcher
        self._say(watch_id, b"\x18\x01")
        hub.add(watcher)

    def _free_id(self) -> int:
        while self._next_id in self._watchers:
            self._next_id += 1
        watch_id = self._next_id
        self._next_id += 1
        return watch_id

    def _say(self, watch_id: int, body: bytes) -> None:
        header = self.hub.header.encode(self.hub.revision(), self.hub.replica.term)
        number = b"\x10" + varint(watch_id) if watch_id else b""
        self.call.send(header + number + body)

    def _cancel(self, watch_id: int) -> None:
        watcher = self._watchers.pop(watch_id, None)
        if watcher is not None:
            self.hub.remove(watcher)
            self._say(watch_id, b"\x20\x01")

    def cancel_compacted(self, watcher: Watcher, compacted: int) -> None:
        """The revisions a watcher needs are gone."""
        self._watchers.pop(watcher.id, None)
        self.hub.remove(watcher)
        self._say(watcher.id, b"\x20\x01\x28" + varint(compacted))

    def _progress(self) -> None:
        """Say how far the stream has come, if all its watchers have come that far."""
        if not any(self.hub.is_behind(watcher) for watcher in self._watchers.values()):
            self._say(_PROGRESS_ID, b"")

    def on_half_close(self) -> None:
        """The client is done: so are its watches."""
        self._end()
        self.call.finish(0, "")

    def on_cancel(self) -> None:
        """The stream is gone."""
        self._end()

    def _end(self) -> None:
        watchers, self._watchers = list(self._watchers.values()), {}
        for watcher in watchers:
            self.hub.remove(watcher)
