"""The hub of watches: every change of a key or range, in order, once, on one member.

Applied write sets come from `Replica.observe`; the records of the `revisions` tree in them are
the events.  A member without watchers only looks whether there is one.

A watcher is *synced* when it has been sent everything up to the current revision; it then gets
new events as they are applied.  One that starts in the past, or whose stream has more unsent
bytes than it takes, is *behind*: it is served from the `revisions` tree with all others that are
(`latecomers.py`), whenever its stream has room, until it has caught up.  Nothing is buffered for
it, and applying never waits for it.  A watcher that needs compacted revisions is cancelled.

A long write has more events than a step may send: then everybody is behind, and is led through it.
So are those who want an event that more than FAN_OUT_MAX do; who watches other keys is not.

Every watcher is served in a step of its own: one that cannot be served ends its own stream, and
no other notices.  Answers never split a revision.
"""

import logging
from collections.abc import Callable, Sequence

from roost.database.model import Changes
from roost.etcd.model.costs import BYTES_A_ROW_LOG2
from roost.etcd.model.mvcc import REVISION_BYTES
from roost.etcd.model.wire import varint
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.latecomers import Latecomers
from roost.etcd.v3.watch_rights import WatchRights
from roost.etcd.v3.watchers import Event, Listener, Watcher, WatcherIndex
from roost.slices import Slices
from roost.ticker import Ticker

# What one applied entry is told to at once, in events times watchers; and how many that watch the
# same are a crowd, which gives way to the others when it is more than that.
FAN_OUT_MAX, CROWD_MAX = 400, 50
# Of what is done for each of many watchers, so many a turn of the loop.
STEPS_A_TURN = 200
logger = logging.getLogger(__name__)


class WatchHub:
    """All watchers of one member."""

    def __init__(self, desk: Desk) -> None:
        """Observe what is applied."""
        self.desk = desk
        self.replica = replica = desk.replica
        self.mvcc = desk.mvcc
        self.header = desk.header
        self.stream_count = self.event_count = 0
        # Watchers that were told of an event later than in the step in which it was applied,
        # because too many wanted it.
        self.fanned_out_count = 0
        self._all: dict[Watcher, None] = {}
        self._slices = Slices(STEPS_A_TURN)
        self._progress = Slices(STEPS_A_TURN)
        self._rights = WatchRights(desk.border, self._all, self._on_asked)
        # What was applied when somebody was last told.
        self._seen_revision = self.revision()
        self._synced = WatcherIndex()
        self._behind = Latecomers(self, desk)
        self._ticker = Ticker(desk.limits.progress_interval_s, self.note_progress)
        replica.observe(self._on_applied, trees=(self.mvcc.revisions,))
        replica.observe_switch(self._before_switch)

    def revision(self) -> int:
        """The current revision here."""
        return self.mvcc.revision(self.replica.view)

    @property
    def count(self) -> int:
        """How many watchers there are."""
        return len(self._all)

    @property
    def behind_count(self) -> int:
        """How many watchers have not been sent everything yet."""
        return len(self._behind)

    def add(self, watcher: Watcher) -> None:
        """Begin: synced when it starts now or later, behind otherwise."""
        self._all[watcher] = None
        self._rights.note(watcher)
        if watcher.next_revision > self.revision():
            self.sync(watcher)
        else:
            self.fall_behind(watcher)

    def sync(self, watcher: Watcher) -> None:
        """It has been sent everything: tell it of new events as they are applied."""
        self._synced.add(watcher)

    def remove(self, watcher: Watcher) -> None:
        """Stop."""
        self._all.pop(watcher, None)
        self._synced.discard(watcher)
        self._behind.discard(watcher)

    def remove_all(self, watchers: Sequence[Watcher]) -> None:
        """Stop all of a stream that is over; the many in turns to come, when they hear nothing."""
        self._slices.run(map(self.remove, watchers))

    def is_behind(self, watcher: Watcher) -> bool:
        """Whether events it wants are applied and not yet sent."""
        return watcher in self._behind

    @property
    def arrival_count(self) -> int:
        """A number that is another one when somebody has begun to be behind."""
        return self._behind.arrival_count

    def fall_behind(self, watcher: Watcher) -> None:
        """Serve it from history, when its stream has room."""
        self._synced.discard(watcher)
        self._behind.add(watcher)

    def resume(self, listener: Listener) -> None:
        """A client has read what it was sent: those of its watchers that wait for it go on."""
        self._behind.resume(listener)

    def _on_applied(self, _index: int, changes: Changes) -> None:
        # An entry may have several revisions: it begins behind what was applied before.
        first, self._seen_revision = self._seen_revision + 1, self.revision()
        if not self._synced:
            return
        if changes.is_long:
            self._on_long(first)
            return
        try:
            self._tell_synced(changes)
        except MemoryError:
            # Nobody was told so far: history has it, in parts.
            logger.warning("there was no memory for the events of an entry: all are served later")
            self._on_long(first)

    def _tell_synced(self, changes: Changes) -> None:
        """Tell those who have been sent everything of what has changed."""
        tree = self.mvcc.revisions
        events = [
            Event(key, value)
            for _, tree_id, key, value in changes.writes
            if tree_id == tree and value is not None and len(key) == REVISION_BYTES
        ]
        if not events:
            return
        if sum(it.units for it in events) * len(self._synced) > FAN_OUT_MAX:
            self._fan_out(events)
        candidates = self._synced.candidates
        by_watcher: dict[Watcher, list[Event]] = {}
        for event in events:
            for watcher in candidates(event.key):
                if watcher.wants(event):
                    by_watcher.setdefault(watcher, []).append(event)
        self._tell(by_watcher, events[-1].main)

    def _fan_out(self, events: list[Event]) -> None:
        """Have those be behind who are too many to be told in this step; others are told at once.

        They are served a part a turn, with all others that are behind, from where they stood.
        """
        for crowd in (CROWD_MAX, 0):
            if self._synced.weight(events, FAN_OUT_MAX + 1) > FAN_OUT_MAX:
                taken = self._synced.take_for(events, crowd)
                if taken:
                    self.fanned_out_count += len(taken)
                    self._behind.add_all(taken, events[0].main)

    def _on_long(self, first: int) -> None:
        """So many events at once that they are served a part a turn: everybody is behind."""
        synced, self._synced = self._synced, WatcherIndex()
        self._behind.add_all(synced, first)

    def _tell(self, by_watcher: dict[Watcher, list[Event]], revision: int) -> None:
        """Send every watcher its events; the answers of a stream leave together."""
        outgoing: dict[Listener, list[bytes] | None] = {}
        left = FAN_OUT_MAX
        for watcher, wanted in by_watcher.items():
            stream = watcher.stream
            if stream.is_over:
                continue
            try:
                if stream not in outgoing:
                    outgoing[stream] = [] if stream.has_room else None
                answers = outgoing[stream]
                for event in wanted if left >= 0 else ():
                    left -= self.units(watcher, event)
                    if left < 0:
                        break  # what was before the others is not even looked up
                if answers is None or left < 0 or not self._rights.is_known(watcher):
                    watcher.next_revision = max(watcher.next_revision, wanted[0].main)
                    self.fall_behind(watcher)
                else:
                    watcher.next_revision = revision + 1
                    answers += self.answers(watcher, wanted, revision)
            except Exception as error:  # noqa: BLE001 - it is this stream's alone
                stream.fail(error)
        for stream, answers in outgoing.items():
            if answers:
                try:
                    stream.call.send_all(answers)
                except Exception as error:  # noqa: BLE001 - it is this stream's alone
                    stream.fail(error)

    def _guarded(self, step: Callable[[Watcher], object]) -> Callable[[Watcher], None]:
        """A step of a watcher; what it raises ends the stream of that, and no other."""

        def take(watcher: Watcher) -> None:
            if watcher not in self._all or watcher.stream.is_over:
                return
            try:
                step(watcher)
            except Exception as error:  # noqa: BLE001 - it is this stream's alone
                watcher.stream.fail(error)

        return take

    def answers(self, watcher: Watcher, events: list[Event], revision: int) -> list[bytes]:
        """What a watcher is told of events; one answer, or several when it takes fragments."""
        return self.answers_of(watcher, self.rows(watcher, events), revision)

    def rows(self, watcher: Watcher, events: list[Event]) -> list[bytes]:
        """Events as a watcher wants them, encoded."""
        self.event_count += len(events)
        if watcher.wants_previous:
            return [event.wire_with_previous(self._previous) for event in events]
        return [event.wire() for event in events]

    def units(self, watcher: Watcher, event: Event) -> int:
        """How much work it is to tell a watcher of an event, as it wants it.

        What was there before is looked up here, once for all: how long it is nobody knows else.
        """
        if not watcher.wants_previous:
            return event.units
        return 1 + (len(event.wire_with_previous(self._previous)) >> BYTES_A_ROW_LOG2)

    def answers_of(self, watcher: Watcher, rows: list[bytes], revision: int) -> list[bytes]:
        """The answers that tell a watcher of encoded events; none when it may not see them."""
        if watcher.is_denied:
            watcher.stream.cancel_denied(watcher)
            return []
        watcher.is_quiet = False
        head = self.header.encode(revision, self.replica.term)
        if watcher.id:
            head += b"\x10" + varint(watcher.id)
        if not watcher.may_fragment or len(rows) == 1:
            return [head + b"".join(rows)]
        *parts, last = _fragments(rows, self.desk.limits.request_bytes_max)
        answers = [head + b"\x38\x01" + b"".join(part) for part in parts]
        return [*answers, head + b"".join(last)]

    def _previous(self, event: Event) -> bytes | None:
        """The KeyValue before the event; None when there was none or it is compacted."""
        view = self.replica.view
        if event.is_first or event.main - 1 < self.mvcc.compacted(view):
            return None
        return self.mvcc.before(view, event.key, event.main)

    def on_rights_changed(self) -> None:
        """Cancel the watches of those who must not see their keys any more.

        That takes turns when there are many; who is told of an event before its turn is asked then.
        """
        self._rights.change()

    def is_asked(self, watcher: Watcher) -> bool:
        """Whether it is known if a watcher may be told anything; else that will be heard of."""
        return self._rights.is_known(watcher)

    def _on_asked(self, watcher: Watcher) -> None:
        """It is known whether a watcher may go on."""
        if watcher.is_denied:
            watcher.stream.cancel_denied(watcher)
        else:
            self._behind.resume_asked(watcher)

    def _before_switch(self) -> Callable[[], None]:
        """A snapshot is about to replace everything: what it skips is served from history."""
        revision = self.revision()

        def after() -> None:
            self._seen_revision = self.revision()
            if self._synced:
                self._on_long(revision + 1)

        return after

    def start(self) -> None:
        """Tell quiet watchers that asked for it how far they have come, now and then."""
        self._ticker.start()

    def stop(self) -> None:
        """Tell nobody any more."""
        self._ticker.stop()

    def note_progress(self) -> None:
        """Once an interval: every synced watcher that asked for it and heard nothing.

        When an interval is too short to tell all of them, the next ones are left out.
        """
        if not self._progress:
            self._progress.run(map(self._guarded(self._note_progress), list(self._all)))

    def _note_progress(self, watcher: Watcher) -> None:
        if watcher.wants_progress and watcher not in self._behind:
            watcher.stream.note_progress(watcher)


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
