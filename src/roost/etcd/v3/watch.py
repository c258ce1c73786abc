"""The Watch service: every change of a key or range, in order, once (etcd api: Watch).

Applied write sets come from `Replica.observe`; the records of the `revisions` tree in them are
the events.  A member without watchers only compares a counter.

A watcher is *synced* when it has been sent everything up to the current revision; it then gets
new events as they are applied.  One that starts in the past, or whose stream has more unsent
bytes than STREAM_BYTES_MAX, is *behind*: it is served from the `revisions` tree in bounded
slices, whenever its stream has room, until it has caught up.  Nothing is buffered for it, and
applying never waits for it.  A watcher that needs compacted revisions is cancelled with
`compact_revision`.

Every watcher is served in a step of its own: one that cannot be served ends its own stream, and
no other notices.

Answers never split a revision.  Full?  `watchers_per_stream_max` and `watchers_max` refuse more.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from google.protobuf.message import DecodeError

from roost.call import StreamCall
from roost.errors import RoostError
from roost.etcd import errors
from roost.etcd.access.permissions import Judge
from roost.etcd.access.tokens import Identity
from roost.etcd.border import Border
from roost.etcd.model.mvcc import main_of, prefix_end, range_stop, revision_bytes
from roost.etcd.model.wire import decode_key_value, field, varint
from roost.etcd.upkeep.ticker import Ticker
from roost.proto import rpc_pb2 as pb
from roost.store import Changes

logger = logging.getLogger(__name__)
STREAM_BYTES_MAX = 4 << 20
SLICE_COUNT_MAX = 1000
_PROGRESS_ID = -1
# Why a watch may be refused while the stream goes on, and what Go calls these codes.
_REASONS = {
    errors.INVALID_ARGUMENT: "InvalidArgument",
    errors.PERMISSION_DENIED: "PermissionDenied",
    errors.UNAUTHENTICATED: "Unauthenticated",
}
# As Go prints the error.
_DENIED = b"rpc error: code = PermissionDenied desc = etcdserver: permission denied"


class Event:
    """One change: its main revision, its key, and the mvccpb.Event as all watchers get it."""

    __slots__ = ("_encoded", "_wire", "is_delete", "key", "main")

    def __init__(self, revision: bytes, encoded: bytes) -> None:
        """`encoded` is the KeyValue written at `revision`."""
        kv = decode_key_value(encoded)
        self.main = main_of(revision)
        self.key = kv.key
        self.is_delete = kv.version == 0
        self._encoded = encoded
        self._wire: bytes | None = None

    def wire(self, previous: bytes | None = None) -> bytes:
        """The field of a WatchResponse; made once for all who do not want the value before."""
        if previous is None and self._wire is not None:
            return self._wire
        body = (b"\x08\x01" if self.is_delete else b"") + field(b"\x12", self._encoded)
        if previous is not None:
            return field(b"\x5a", body + field(b"\x1a", previous))
        self._wire = field(b"\x5a", body)
        return self._wire


class Watcher:
    """One watch of a stream."""

    __slots__ = (
        "first",
        "id",
        "identity",
        "is_quiet",
        "may_fragment",
        "next_revision",
        "no_delete",
        "no_put",
        "range_end",
        "stop",
        "stream",
        "wants_previous",
        "wants_progress",
    )

    def __init__(self, stream: "WatchStream", request: pb.WatchCreateRequest) -> None:
        """Watch the range of `request`."""
        self.stream = stream
        self.id = request.watch_id
        # An empty key means the smallest one (etcd: watchServer.recvLoop).
        self.first = request.key or b"\0"
        self.range_end = request.range_end
        self.stop = range_stop(self.first, request.range_end)
        self.wants_previous = request.prev_kv
        self.no_put = pb.WatchCreateRequest.NOPUT in request.filters
        self.no_delete = pb.WatchCreateRequest.NODELETE in request.filters
        self.wants_progress = request.progress_notify
        self.may_fragment = request.fragment
        self.next_revision = 0
        # Who watches, while authentication is on; and whether nothing was said since the last
        # note of progress.
        self.identity: Identity | None = None
        self.is_quiet = True

    def check(self, judge: Judge) -> None:
        """Whoever watches must have the right to read the range."""
        judge.need_read(self.first, self.range_end)

    def wants(self, event: Event) -> bool:
        """Whether the event is in range, new to this watcher and not filtered."""
        key = event.key
        return (
            event.main >= self.next_revision
            and key >= self.first
            and (self.stop is None or key < self.stop)
            and not (self.no_delete if event.is_delete else self.no_put)
        )


class WatchHub:
    """All watchers of one member."""

    def __init__(self, border: Border) -> None:
        """Observe what is applied."""
        self.border = border
        self.replica = replica = border.replica
        self.mvcc = border.mvcc
        self.header = border.header
        self.count = self.stream_count = self.event_count = 0
        # Synced watchers: of one key, of a prefix, of any other range.
        self._by_key: dict[bytes, set[Watcher]] = {}
        self._by_prefix: dict[bytes, set[Watcher]] = {}
        self._prefix_lengths: Counter[int] = Counter()
        self._ranges: dict[Watcher, None] = {}
        self._behind: dict[Watcher, None] = {}
        self._is_catching_up = False
        self._ticker = Ticker(border.limits.progress_interval_s, self.note_progress)
        replica.observe(self._on_applied, trees=(self.mvcc.revisions,))
        replica.observe_switch(self._before_switch)

    def revision(self) -> int:
        """The current revision here."""
        return self.mvcc.revision(self.replica.view)

    @property
    def behind_count(self) -> int:
        """How many watchers have not been sent everything yet."""
        return len(self._behind)

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
        elif watcher.stop == range_stop(watcher.first, prefix_end(watcher.first)):
            group = self._by_prefix.setdefault(watcher.first, set())
            if not group:
                self._prefix_lengths[len(watcher.first)] += 1
            group.add(watcher)
        else:
            self._ranges[watcher] = None

    def _unsync(self, watcher: Watcher) -> None:
        self._ranges.pop(watcher, None)
        first = watcher.first
        if _leave(self._by_prefix, first, watcher):
            length = len(first)
            self._prefix_lengths[length] -= 1
            if not self._prefix_lengths[length]:
                del self._prefix_lengths[length]
        _leave(self._by_key, first, watcher)

    def _synced(self) -> list[Watcher]:
        """All that have been sent everything."""
        groups = (*self._by_key.values(), *self._by_prefix.values())
        return [*self._ranges, *(it for group in groups for it in group)]

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
        if not self._by_key and not self._by_prefix and not self._ranges:
            return
        tree = self.mvcc.revisions
        events = [
            Event(key, value)
            for _, tree_id, key, value in changes.writes
            if tree_id == tree and value is not None and len(key) == 16
        ]
        if not events:
            return
        by_watcher: dict[Watcher, list[Event]] = {}
        for event in events:
            for watcher in self._candidates(event.key):
                if watcher.wants(event):
                    by_watcher.setdefault(watcher, []).append(event)
        self._tell(by_watcher, events[-1].main)

    def _candidates(self, key: bytes) -> Iterator[Watcher]:
        """Synced watchers that may want a key."""
        yield from self._by_key.get(key, ())
        for length in self._prefix_lengths:
            if length <= len(key):
                yield from self._by_prefix.get(key[:length], ())
        yield from self._ranges

    def _tell(self, by_watcher: dict[Watcher, list[Event]], revision: int) -> None:
        """Send every watcher its events; the answers of a stream leave together."""
        outgoing: dict[WatchStream, list[bytes] | None] = {}
        for watcher, wanted in by_watcher.items():
            stream = watcher.stream
            if stream.is_over:
                continue
            try:
                if stream not in outgoing:
                    outgoing[stream] = [] if stream.has_room else None
                answers = outgoing[stream]
                if answers is None:
                    watcher.next_revision = max(watcher.next_revision, wanted[0].main)
                    self.fall_behind(watcher)
                else:
                    watcher.next_revision = revision + 1
                    answers += self._answers(watcher, wanted, revision)
            except Exception as error:  # noqa: BLE001 - it is this stream's alone
                stream.fail(error)
        for stream, answers in outgoing.items():
            if answers:
                try:
                    stream.call.send_all(answers)
                except Exception as error:  # noqa: BLE001 - it is this stream's alone
                    stream.fail(error)

    def _for_each(self, watchers: Iterable[Watcher], step: Callable[[Watcher], None]) -> None:
        """Take a step of each watcher; what one raises ends its own stream."""
        for watcher in watchers:
            try:
                step(watcher)
            except Exception as error:  # noqa: BLE001 - it is this stream's alone
                watcher.stream.fail(error)

    def _answers(self, watcher: Watcher, events: list[Event], revision: int) -> list[bytes]:
        """What a watcher is told of events; one answer, or several when it takes fragments."""
        watcher.is_quiet = False
        self.event_count += len(events)
        head = self.header.encode(revision, self.replica.term)
        if watcher.id:
            head += b"\x10" + varint(watcher.id)
        if watcher.wants_previous:
            rows = [event.wire(self._previous(event)) for event in events]
        elif len(events) == 1:
            return [head + events[0].wire()]
        else:
            rows = [event.wire() for event in events]
        if not watcher.may_fragment:
            return [head + b"".join(rows)]
        *parts, last = _fragments(rows, self.border.limits.request_bytes_max)
        answers = [head + b"\x38\x01" + b"".join(part) for part in parts]
        return [*answers, head + b"".join(last)]

    def _previous(self, event: Event) -> bytes | None:
        """The KeyValue before the event; None when there was none or it is compacted."""
        view, before = self.replica.view, event.main - 1
        if before < self.mvcc.compacted(view):
            return None
        return self.mvcc.at(view, event.key, before)

    def on_rights_changed(self) -> None:
        """Cancel the watches of those who must not see their keys any more."""
        self._for_each([*self._synced(), *self._behind], self._check_again)

    def _check_again(self, watcher: Watcher) -> None:
        identity = watcher.identity or Identity(watcher.stream.call.certificate_name)
        if not self.border.check_again(identity, watcher.check):
            watcher.stream.cancel_denied(watcher)

    def _before_switch(self) -> Callable[[], None]:
        """A snapshot is about to replace everything: what it skips is served from history."""
        synced = self._synced()
        revision = self.revision()

        def after() -> None:
            for watcher in synced:
                watcher.next_revision = max(watcher.next_revision, revision + 1)
                self.fall_behind(watcher)

        return after

    def start(self) -> None:
        """Tell quiet watchers that asked for it how far they have come, now and then."""
        self._ticker.start()

    def stop(self) -> None:
        """Tell nobody any more."""
        self._ticker.stop()

    def note_progress(self) -> None:
        """Once an interval: every synced watcher that asked for it and heard nothing."""
        wanting = [it for it in self._synced() if it.wants_progress]
        self._for_each(wanting, lambda it: it.stream.note_progress(it))

    # --- catching up -----------------------------------------------------------------------------

    def schedule_catch_up(self) -> None:
        """Serve those behind in the next loop turn."""
        if self._behind and not self._is_catching_up:
            self._is_catching_up = True
            asyncio.get_running_loop().call_soon(self._catch_up)

    def _catch_up(self) -> None:
        """One bounded slice for each watcher behind whose stream has room."""
        self._is_catching_up = False
        self._for_each(list(self._behind), self._serve_slice)
        if any(it.stream.has_room for it in self._behind):
            self.schedule_catch_up()

    def _serve_slice(self, watcher: Watcher) -> None:
        """Send a watcher its next events, if its stream has room; it may stay behind."""
        if not watcher.stream.has_room or watcher not in self._behind:
            return
        view, mvcc = self.replica.view, self.mvcc
        compacted, current = mvcc.compacted(view), self.revision()
        if watcher.next_revision < compacted:
            watcher.stream.cancel_compacted(watcher, compacted)
            return
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
        events = [Event(name, encoded) for name, encoded in rows]
        wanted = [event for event in events if watcher.wants(event)]
        watcher.next_revision = max(watcher.next_revision, until + 1)
        if wanted:
            watcher.stream.call.send_all(self._answers(watcher, wanted, current))
        if until >= current:
            self._sync(watcher)


def _leave(groups: dict[bytes, set[Watcher]], name: bytes, watcher: Watcher) -> bool:
    """Take a watcher out of its group; say whether that was the last one of it."""
    group = groups.get(name)
    if group is None or watcher not in group:
        return False
    group.discard(watcher)
    if not group:
        del groups[name]
    return not group


def _fragments(rows: list[bytes], bytes_max: int) -> list[list[bytes]]:
    """Split encoded events into answers of at most `bytes_max`, but one event at least."""
    parts: list[list[bytes]] = [[]]
    size = 0
    for row in rows:
        if parts[-1] and size + len(row) > bytes_max:
            parts.append([])
            size = 0
        parts[-1].append(row)
        size += len(row)
    return parts


class WatchStream:
    """One client's stream: any number of watchers."""

    def __init__(self, hub: WatchHub, call: StreamCall) -> None:
        """Nothing is watched yet."""
        self.hub = hub
        self.call = call
        self._watchers: dict[int, Watcher] = {}
        self._next_id = 0
        self.is_over = False
        hub.stream_count += 1
        call.on_drain = hub.schedule_catch_up

    @property
    def has_room(self) -> bool:
        """Whether the client takes what it is sent."""
        return self.call.pending_bytes <= STREAM_BYTES_MAX

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
        """Watch a range, if the client may: while authentication is on that takes a barrier."""
        border = self.hub.border
        if not border.auth.may_be_enabled:
            self._watch(Watcher(self, request), request)
            return
        watcher = Watcher(self, request)

        def allowed() -> None:
            identity = border.identity_of(self.call)
            # A watch outlives the token that it was begun with.
            watcher.identity = Identity(identity.user) if identity else None
            self._watch(watcher, request)

        border.admit(self.call, watcher.check, allowed, self._refuse)

    def _refuse(self, error: RoostError) -> None:
        """Say created and canceled at once, as etcd 3.5.5 does; or end the stream.

        Go's client logs in again when the reason is that its token is nobody's, or too old.
        """
        if self.is_over:
            return
        code, text = errors.status_of(error)
        name = _REASONS.get(code)
        if name is not None:
            self._cancel_new(f"rpc error: code = {name} desc = {text}")
        else:
            self._end()
            self.call.finish(code, text)

    def _cancel_new(self, reason: str) -> None:
        """A watch that was asked for is not begun."""
        self._say(_PROGRESS_ID, b"\x18\x01\x20\x01" + field(b"\x32", reason.encode()))

    def _watch(self, watcher: Watcher, request: pb.WatchCreateRequest) -> None:
        hub, revision = self.hub, self.hub.revision()
        if self.is_over:
            return
        limits = hub.border.limits
        reason = ""
        if watcher.stop is not None and watcher.stop <= watcher.first:
            reason = "mvcc: watcher range is empty"
        elif request.watch_id in self._watchers and request.watch_id:
            reason = "mvcc: duplicate watch ID provided on the WatchStream"
        elif (
            len(self._watchers) >= limits.watchers_per_stream_max
            or hub.count >= limits.watchers_max
        ):
            reason = "etcdserver: too many watchers"
        if reason:
            self._cancel_new(reason)
            return
        # A refused watch takes no number.
        watcher.id = request.watch_id or self._free_id()
        first = request.start_revision
        if first < 0 and hub.mvcc.compacted(hub.replica.view) < 0:
            first = 0  # as etcd: where nothing is compacted it begins now
        watcher.next_revision = first or revision + 1
        self._watchers[watcher.id] = watcher
        self._say(watcher.id, b"\x18\x01")
        hub.add(watcher)

    def _free_id(self) -> int:
        while self._next_id in self._watchers:
            self._next_id += 1
        watch_id = self._next_id
        self._next_id += 1
        return watch_id

    def _say(self, watch_id: int, body: bytes, revision: int | None = None) -> None:
        now = self.hub.revision() if revision is None else revision
        header = self.hub.header.encode(now, self.hub.replica.term)
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
        # As with etcd, this answer's header has no revision.
        self._say(watcher.id, b"\x20\x01\x28" + varint(compacted), 0)

    def cancel_denied(self, watcher: Watcher) -> None:
        """The client may not see these keys any more."""
        self._watchers.pop(watcher.id, None)
        self.hub.remove(watcher)
        self._say(watcher.id, b"\x20\x01" + field(b"\x32", _DENIED))

    def note_progress(self, watcher: Watcher) -> None:
        """Tell a watcher that has had no event for long how far it has come."""
        if watcher.is_quiet:
            self._say(watcher.id, b"")
        watcher.is_quiet = True

    def _progress(self) -> None:
        """Say how far the stream has come, if all its watchers have come that far."""
        if not any(self.hub.is_behind(watcher) for watcher in self._watchers.values()):
            self._say(_PROGRESS_ID, b"")

    def fail(self, error: Exception) -> None:
        """End the stream because of a fault of ours."""
        logger.error("a watch failed", exc_info=error)
        self._end()
        try:
            self.call.finish(*errors.INTERNAL_ERROR)
        except Exception:
            logger.exception("a watch failed as it was ended")

    def on_half_close(self) -> None:
        """The client asks no more, and goes on listening, as with etcd."""

    def on_cancel(self) -> None:
        """The stream is gone."""
        self._end()

    def _end(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        self.hub.stream_count -= 1
        watchers, self._watchers = list(self._watchers.values()), {}
        for watcher in watchers:
            self.hub.remove(watcher)
