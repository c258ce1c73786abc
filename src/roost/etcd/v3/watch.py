"""The Watch service: streams of any number of watches (etcd api: Watch).

A stream creates and cancels watches as its client asks, and says what became of them; what they
see comes from the hub (`watch_hub.py`).

Full?  `watchers_per_stream_max` and `watchers_max` refuse more.  A stream with more unsent bytes
than STREAM_BYTES_MAX has no room: its watchers fall behind until it has.
"""

import logging

from google.protobuf.message import DecodeError

from roost.call import StreamCall
from roost.errors import RoostError
from roost.etcd import errors
from roost.etcd.access.tokens import Identity
from roost.etcd.limits import WATCH_FILTERS_MAX
from roost.etcd.model.wire import field, varint
from roost.etcd.v3.watch_hub import WatchHub
from roost.etcd.v3.watchers import Watcher
from roost.proto import rpc_pb2 as pb

logger = logging.getLogger(__name__)
STREAM_BYTES_MAX = 4 << 20
_PROGRESS_ID = -1


class WatchStream:
    """One client's stream: any number of watchers."""

    def __init__(self, hub: WatchHub, call: StreamCall) -> None:
        """Nothing is watched yet."""
        self.hub = hub
        self.call = call
        self._watchers: dict[int, Watcher] = {}
        self._next_id = 0
        # One that was behind when somebody asked for progress; and, where there was none, what
        # `WatchHub.arrival_count` was.
        self._held_up: Watcher | None = None
        self._in_step_at = -1
        self.is_over = False
        hub.stream_count += 1
        call.on_drain = lambda: hub.resume(self)

    @property
    def has_room(self) -> bool:
        """Whether the client takes what it is sent."""
        return self.call.pending_bytes <= STREAM_BYTES_MAX

    def on_message(self, message: bytes) -> None:
        """Create, cancel, or ask for progress."""
        try:
            request = pb.WatchRequest.FromString(message)
        except DecodeError:
            self._end()
            self.call.finish(*errors.status_of(errors.malformed_request()))
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
        desk = self.hub.desk
        if len(request.filters) > WATCH_FILTERS_MAX:
            self._cancel_new(errors.WATCH_FILTERS)
            return
        if not desk.auth.may_be_enabled:
            self._watch(Watcher(self, request), request)
            return
        watcher = Watcher(self, request)

        def allowed() -> None:
            identity = desk.border.callers.identity_of(self.call)
            # A watch outlives the token that it was begun with.
            watcher.identity = Identity(identity.user) if identity else None
            self._watch(watcher, request)

        desk.border.admit(self.call, watcher.check, allowed, self._refuse)

    def _refuse(self, error: RoostError) -> None:
        """Say created and canceled at once, as etcd 3.5.5 does; or end the stream.

        Go's client logs in again when the reason is that its token is nobody's, or too old.
        """
        if self.is_over:
            return
        reason = errors.watch_refusal(error)
        if reason is not None:
            self._cancel_new(reason)
        else:
            self._end()
            self.call.finish(*errors.status_of(error))

    def _cancel_new(self, reason: str) -> None:
        """A watch that was asked for is not begun."""
        self._say(_PROGRESS_ID, b"\x18\x01\x20\x01" + field(b"\x32", reason.encode()))

    def _watch(self, watcher: Watcher, request: pb.WatchCreateRequest) -> None:
        hub, revision = self.hub, self.hub.revision()
        if self.is_over:
            return
        limits = hub.desk.limits
        reason = ""
        if watcher.stop is not None and watcher.stop <= watcher.first:
            reason = errors.WATCH_RANGE_EMPTY
        elif request.watch_id in self._watchers and request.watch_id:
            reason = errors.WATCH_ID_TAKEN
        elif (
            len(self._watchers) >= limits.watchers_per_stream_max
            or hub.count >= limits.watchers_max
        ):
            reason = errors.TOO_MANY_WATCHERS
        elif hub.desk.memory.is_short:
            reason = errors.status_of(hub.desk.memory.refusal()).text
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
        self._say(watcher.id, b"\x20\x01" + field(b"\x32", errors.WATCH_DENIED.encode()))

    def note_progress(self, watcher: Watcher) -> None:
        """Tell a watcher that has had no event for long how far it has come."""
        if watcher.is_quiet:
            self._say(watcher.id, b"")
        watcher.is_quiet = True

    def _progress(self) -> None:
        """Say how far the stream has come, if all its watchers have come that far.

        A client may ask as often as it can, and have ten thousand watchers: so they are looked
        through when somebody, of whatever stream, has begun to be behind since the last time.
        """
        hub, held_up = self.hub, self._held_up
        if held_up is not None and self._watchers.get(held_up.id) is held_up:
            if hub.is_behind(held_up):
                return
        elif self._in_step_at == hub.arrival_count:
            self._say(_PROGRESS_ID, b"")
            return
        found = (it for it in self._watchers.values() if hub.is_behind(it))
        self._held_up = next(found, None)
        if self._held_up is None:
            self._in_step_at = hub.arrival_count
            self._say(_PROGRESS_ID, b"")

    def fail(self, error: Exception) -> None:
        """End the stream because of a fault of ours."""
        logger.error("a watch failed", exc_info=error)
        self._end()
        try:
            self.call.finish(*errors.status_of_fault(error))
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
        self.hub.remove_all(watchers)
