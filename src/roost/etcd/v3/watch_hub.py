"""The hub of watches: every change of a key or range, in order, once, on one member.

Applied write sets come from `Replica.observe`; the records of the `revisions` tree in them are
the events.  A member without watchers only looks whether there is one.

A watcher is *synced* when it has been sent everything up to the current revision; it then gets
new events as they are applied.  One that starts in the past, or whose stream has more unsent
bytes than it takes, is *behind*: it is served from the `revisions` tree in bounded slices,
whenever its stream has room, until it has caught up.  Nothing is buffered for it, and applying
never waits for it.  A watcher that needs compacted revisions is cancelled.

Every watcher is served in a step of its own: one that cannot be served ends its own stream, and
no other notices.  Answers never split a revision.
"""

import asyncio
from collections.abc import Callable, Iterable

from roost.etcd.access.tokens import Identity
from roost.etcd.model.mvcc import REVISION_BYTES, main_of, revision_bytes
from roost.etcd.model.wire import varint
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.watchers import Event, Listener, SyncedWatchers, Watcher
from roost.store import Changes
from roost.ticker import Ticker

SLICE_COUNT_MAX = 1000


class WatchHub:
    """All watchers of one member."""

    def __init__(self, desk: Desk) -> None:
        """Observe what is applied."""
        self.desk = desk
        self.replica = replica = desk.replica
        self.mvcc = desk.mvcc
        self.header = desk.header
        self.count = self.stream_count = self.event_count = 0
        self._synced = SyncedWatchers()
        self._behind: dict[Watcher, None] = {}
        self._is_catching_up = False
        self._ticker = Ticker(desk.limits.progress_interval_s, self.note_progress)
        replica.observe(self._on_applied, trees=(self.mvcc.revisions,))
        replica.observe_switch(self._before_switch)

    def revision(self) -> int:
        """The current revision here."""
        return self.mvcc.revision(self.replica.view)

    @property
    def behind_count(self) -> int:
        """How many watchers have not been sent everything yet."""
        return len(self._behind)

    def add(self, watcher: Watcher) -> None:
        """Begin: synced when it starts now or later, behind otherwise."""
        self.count += 1
        if watcher.next_revision > self.revision():
            self._sync(watcher)
        else:
            self.fall_behind(watcher)

    def _sync(self, watcher: Watcher) -> None:
        self._behind.pop(watcher, None)
        self._synced.add(watcher)

    def remove(self, watcher: Watcher) -> None:
        """Stop."""
        self.count -= 1
        self._synced.discard(watcher)
        self._behind.pop(watcher, None)

    def is_behind(self, watcher: Watcher) -> bool:
        """Whether events it wants are applied and not yet sent."""
        return watcher in self._behind

    def fall_behind(self, watcher: Watcher) -> None:
        """Serve it from history, when its stream has room."""
        self._synced.discard(watcher)
        self._behind[watcher] = None
        self.schedule_catch_up()

    def _on_applied(self, _index: int, changes: Changes) -> None:
        if not self._synced:
            return
        tree = self.mvcc.revisions
        events = [
            Event(key, value)
            for _, tree_id, key, value in changes.writes
            if tree_id == tree and value is not None and len(key) == REVISION_BYTES
        ]
        if not events:
            return
        candidates = self._synced.candidates
        by_watcher: dict[Watcher, list[Event]] = {}
        for event in events:
            for watcher in candidates(event.key):
                if watcher.wants(event):
                    by_watcher.setdefault(watcher, []).append(event)
        self._tell(by_watcher, events[-1].main)

    def _tell(self, by_watcher: dict[Watcher, list[Event]], revision: int) -> None:
        """Send every watcher its events; the answers of a stream leave together."""
        outgoing: dict[Listener, list[bytes] | None] = {}
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
        *parts, last = _fragments(rows, self.desk.limits.request_bytes_max)
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
        self._for_each([*self._synced, *self._behind], self._check_again)

    def _check_again(self, watcher: Watcher) -> None:
        identity = watcher.identity or Identity(watcher.stream.call.certificate_name)
        if not self.desk.border.callers.check_again(identity, watcher.check):
            watcher.stream.cancel_denied(watcher)

    def _before_switch(self) -> Callable[[], None]:
        """A snapshot is about to replace everything: what it skips is served from history."""
        synced = list(self._synced)
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
        wanting = [it for it in self._synced if it.wants_progress]
        self._for_each(wanting, lambda it: it.stream.note_progress(it))

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
