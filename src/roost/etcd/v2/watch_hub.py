"""All watches of v2 on one member: told at once what is applied, or from history what was.

Who begins in the past, or did not take what was told, is behind: history is read for it, a part a
turn, and when it has come to the end it is told at once like all others.  So a stream that is slow
keeps little in memory, and ends, with the reason, only when what it has not seen yet is kept no
longer.

Work is counted (D14): of events and those who want them TELL_STEPS a turn, of history READ_STEPS
parts of PART_ROWS.

Full?  There are `watchers_max` watches; one more is refused.
"""

from collections.abc import Iterator

from roost.database.model import Walk
from roost.errors import Overloaded
from roost.etcd.ports import Replica
from roost.etcd.v2 import history
from roost.etcd.v2.faults import Fault, Reason
from roost.etcd.v2.nodes import Trees
from roost.etcd.v2.watchers import Told, Watcher, Watchers, wants
from roost.slices import Slices

TELL_STEPS, READ_STEPS = 250, 4
PART_ROWS, PART_BYTES = 50, 64 << 10
# Of the last events that were told, those that are short, for whoever made the change.
RECENT_MAX, RECENT_BYTES = 512, 1 << 10


class WatchHub:
    """Watches of one member."""

    def __init__(self, replica: Replica, trees: Trees, *, watchers_max: int) -> None:
        """Nobody watches."""
        self._replica = replica
        self._trees = trees
        self._watchers_max = watchers_max
        self._watchers = Watchers()
        self._telling, self._reading = Slices(TELL_STEPS), Slices(READ_STEPS)
        self._is_telling = False
        # By the index, which goes round.
        self._recent: list[Told | None] = [None] * RECENT_MAX
        # All there are, those that are behind as well.
        self._open: dict[Watcher, None] = {}
        # What is applied, and what of it everybody was told who is told at once.
        self._index = self._told_index = history.now(trees, replica.view).index
        replica.observe(lambda _index, _changes: self.on_changed(), trees=(trees.meta,))

    @property
    def count(self) -> int:
        """How many watch."""
        return len(self._open)

    @property
    def open_watchers(self) -> list[Watcher]:
        """All there are, in the order of coming."""
        return list(self._open)

    @property
    def behind_count(self) -> int:
        """How many are told from history."""
        return len(self._open) - self._watchers.count

    def open(self, path: bytes, wait_index: int, *, is_recursive: bool, is_stream: bool) -> Watcher:
        """Watch from an index on, 0 = from now on; `close` ends it.

        Raises:
            Fault: what happened there is kept no longer.
            Overloaded: too many watch.

        """
        now = history.now(self._trees, self._replica.view)
        if wait_index and wait_index < now.first:
            raise _cleared(now.first, wait_index, now.index)
        if len(self._open) >= self._watchers_max:
            raise Overloaded("too many watch")
        watcher = Watcher(
            path, wait_index or now.index + 1, is_recursive=is_recursive, is_stream=is_stream
        )
        self._open[watcher] = None
        if watcher.next_index > now.index:
            self._watchers.add(watcher)
        else:
            self.follow(watcher)
        return watcher

    def close(self, watcher: Watcher) -> None:
        """Nobody takes anything any more."""
        watcher.end()
        self._watchers.remove(watcher)
        self._open.pop(watcher, None)

    def follow(self, watcher: Watcher) -> None:
        """Tell a watch what comes, and before that what it has not seen; it may be done already."""
        if not (watcher.is_live or watcher.is_reading or watcher.is_over):
            watcher.is_reading = True
            self._reading.run(self._read(watcher))

    def end_all(self, fault: Fault) -> None:
        """Nobody who watches now is told any more, but why."""
        self._telling.run(_ended(list(self._open), fault))

    def on_changed(self) -> None:
        """Something was applied, or a snapshot has replaced everything, which has its events."""
        self._index = history.now(self._trees, self._replica.view).index
        if self._is_telling:
            return
        if self._watchers.count:
            self._is_telling = True
            self._telling.run(self._tell())
        else:
            self._told_index = self._index

    def told(self, index: int) -> Told | None:
        """An event that watchers were told of just now, if it is short."""
        found = self._recent[index % RECENT_MAX]
        return found if found is not None and found.index == index else None

    def _tell(self) -> Iterator[None]:
        """Tell all events that were not told; more may come meanwhile."""
        view, trees = self._replica.view, self._trees
        try:
            while self._told_index < self._index:
                index = self._told_index + 1
                key = history.event_key(index)
                row = view.get(trees.events, key)
                if row is None:  # so much came meanwhile that it is kept no longer
                    yield
                    for watcher in list(self._watchers.all()):
                        self._fall_behind(watcher, index)
                        yield
                    index = max(index, history.now(trees, view).first - 1)
                else:
                    told = Told(history.decode(key, row))
                    if told.size_bytes <= RECENT_BYTES:
                        self._recent[index % RECENT_MAX] = told
                    is_wanted = False
                    for watcher in self._watchers.wanting(told.event):
                        is_wanted = True
                        self._tell_one(watcher, told)
                        yield
                    if not is_wanted:
                        yield
                self._told_index = index
        finally:
            self._is_telling = False

    def _fall_behind(self, watcher: Watcher, index: int) -> None:
        """One was told all that it wants before an index, and is not told what comes then."""
        if watcher.is_live:
            self._watchers.remove(watcher)
            watcher.next_index = max(watcher.next_index, index)
            watcher.wake()

    def _tell_one(self, watcher: Watcher, told: Told) -> None:
        """Tell one who wants it, unless it came later, or takes nothing."""
        if told.index < watcher.next_index or not watcher.is_live:
            return
        if watcher.is_full:
            self._fall_behind(watcher, told.index)
            return
        watcher.tell(told)
        if watcher.is_over:
            self._watchers.remove(watcher)

    def _read(self, watcher: Watcher) -> Iterator[None]:
        """Tell one from history what it wants, as long as it takes it."""
        try:
            while not watcher.is_over and not watcher.is_full:
                now = history.now(self._trees, self._replica.view)
                if watcher.next_index > now.index:
                    self._watchers.add(watcher)
                    return
                if watcher.next_index < now.first:
                    watcher.end(_cleared(now.first, watcher.next_index, now.index))
                    return
                self._read_part(watcher)
                yield
        finally:
            watcher.is_reading = False
            watcher.wake()

    def _read_part(self, watcher: Watcher) -> None:
        first = history.event_key(watcher.next_index)
        walk = Walk(self._replica.view, self._trees.events, first, None)
        for key, row in walk.take(PART_ROWS, PART_BYTES):
            event = history.decode(key, row)
            watcher.next_index = event.index + 1
            if wants(watcher.path, event, is_recursive=watcher.is_recursive):
                watcher.tell(Told(event))
                if watcher.is_over or watcher.is_full:
                    return


def _cleared(first: int, asked: int, index: int) -> Fault:
    cause = f"the requested history has been cleared [{first}/{asked}]"
    return Fault(Reason.EVENT_CLEARED, cause, index)


def _ended(watchers: list[Watcher], fault: Fault) -> Iterator[None]:
    for watcher in watchers:
        watcher.end(fault)
        yield
