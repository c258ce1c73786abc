"""Who watches what: watchers by the paths they watch, as a tree of names.

An event is told to whoever watches its path; to whoever watches a directory above it recursively,
unless something between both is hidden; and when a directory is gone, to whoever watches anything
below.  The same rule holds for what is told at once and what is told from history (etcd has three,
and tells some watchers twice).
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from roost.etcd.v2.faults import Fault
from roost.etcd.v2.history import pieces_of, size_of, text_of
from roost.etcd.v2.json_text import PIECE_BYTES
from roost.etcd.v2.paths import ROOT, is_below, is_hidden
from roost.etcd.v2.values import Event, Flags

# What waits for a client that takes nothing; then it is told from history, when it takes some.
PENDING_MAX, PENDING_BYTES_MAX = 100, 256 << 10
# Of a larger event no JSON is kept, which may be six times as long.
TEXT_BYTES_MAX: Final = 4 << 10


def wants(path: bytes, event: Event, *, is_recursive: bool) -> bool:
    """Whether who watches a path is told of an event."""
    if event.flags & Flags.REFRESH:
        return False
    if event.path == path:
        return True
    if is_recursive and is_below(event.path, path):
        return not is_hidden(path, event.path)
    return bool(event.flags & Flags.DIRECTORY_GONE) and is_below(path, event.path)


class Told:
    """An event, made JSON once for all who are told of it, unless that is long."""

    __slots__ = ("_text", "event", "index", "size_bytes")

    def __init__(self, event: Event) -> None:
        """Nobody has taken it."""
        self.event = event
        self.index = event.index
        # What it takes, about.
        self.size_bytes = size_of(event)
        self._text = b""

    @property
    def is_short(self) -> bool:
        """Whether its JSON is made in one piece."""
        return self.size_bytes <= TEXT_BYTES_MAX

    @property
    def text(self) -> bytes:
        """Its JSON, if that is short."""
        assert self.is_short, "what is long is told in pieces"
        if not self._text:
            self._text = text_of(self.event)
        return self._text

    def pieces(self) -> Iterator[bytes]:
        """Its JSON; one piece unless it is long."""
        if self.is_short:
            yield self.text
        else:
            yield from pieces_of(self.event)


class Watcher:
    """One watch: of one event, or of all from an index on."""

    __slots__ = (
        "_pending",
        "_pending_bytes",
        "_waiting",
        "fault",
        "is_live",
        "is_over",
        "is_reading",
        "is_recursive",
        "is_stream",
        "next_index",
        "on_news",
        "path",
    )

    def __init__(
        self, path: bytes, next_index: int, *, is_recursive: bool, is_stream: bool
    ) -> None:
        """Nothing is told before `next_index`."""
        self.path = path
        self.next_index = next_index
        self.is_recursive = is_recursive
        self.is_stream = is_stream
        # Whether it is told at once; else somebody reads history for it, or its client has to take
        # something first.
        self.is_live = self.is_reading = False
        # Nothing more comes; what waits is still to be taken, and then the fault.
        self.is_over = False
        self.fault: Fault | None = None
        self._pending: list[Told] = []
        self._pending_bytes = 0
        self._waiting: asyncio.Future[None] | None = None
        # Whoever looks again without a task: called once, and raises nothing.
        self.on_news: Callable[[], None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether its client has to take something first."""
        return len(self._pending) >= PENDING_MAX or self._pending_bytes >= PENDING_BYTES_MAX

    def tell(self, told: Told) -> None:
        """An event that it wants."""
        self.next_index = told.index + 1
        self._pending.append(told)
        self._pending_bytes += told.size_bytes
        self.is_over = not self.is_stream
        self.wake()

    def end(self, fault: Fault | None = None) -> None:
        """Nothing more comes, and why."""
        if not self.is_over:
            self.is_over, self.fault = True, fault
            self.wake()

    def wake(self) -> None:
        """Have whoever waits look again."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        on_news, self.on_news = self.on_news, None
        if on_news is not None:
            on_news()

    @property
    def has_pending(self) -> bool:
        """Whether something waits for the client."""
        return bool(self._pending)

    def take_short(self) -> bytes | None:
        """All that waits for the client, as JSON; None when that is long."""
        pending = self._pending
        if self._pending_bytes > PIECE_BYTES:
            return None
        if len(pending) == 1 and pending[0].is_short:  # as it nearly always is
            told = pending.pop()
            self._pending_bytes = 0
            return told.text
        return b"".join(self.take_pieces())

    def take_pieces(self) -> Iterator[bytes]:
        """What waits for the client, as JSON, piece by piece."""
        while self._pending:
            told = self._pending.pop(0)  # of PENDING_MAX
            self._pending_bytes -= told.size_bytes
            yield from told.pieces()

    async def wait(self, within_s: float | None) -> bool:
        """Wait until something has happened; False when nothing has for so long."""
        if self._pending or self.is_over:
            return True
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                await self._waiting
        except TimeoutError:
            return False
        finally:
            self._waiting = None
        return True


class _Place:
    """Those who watch one path, and the places below."""

    __slots__ = ("below", "exact", "recursive")

    def __init__(self) -> None:
        self.below: dict[bytes, _Place] = {}
        # In the order of coming.
        self.exact: dict[Watcher, None] = {}
        self.recursive: dict[Watcher, None] = {}

    @property
    def is_empty(self) -> bool:
        return not (self.below or self.exact or self.recursive)

    def of(self, watcher: Watcher) -> "dict[Watcher, None]":
        return self.recursive if watcher.is_recursive else self.exact


def _names(path: bytes) -> list[bytes]:
    return [] if path == ROOT else path[1:].split(b"/")


class Watchers:
    """All that are told at once."""

    def __init__(self) -> None:
        """Nobody watches."""
        self._root = _Place()
        self.count = 0

    def add(self, watcher: Watcher) -> None:
        """Tell it from now on."""
        assert not watcher.is_live, "it is told once"
        watcher.is_live = True
        place = self._root
        for name in _names(watcher.path):
            below = place.below.get(name)
            if below is None:
                below = place.below[name] = _Place()
            place = below
        place.of(watcher)[watcher] = None
        self.count += 1

    def remove(self, watcher: Watcher) -> None:
        """Tell it no more, if it is told."""
        if not watcher.is_live:
            return
        watcher.is_live = False
        self.count -= 1
        names, way = _names(watcher.path), [self._root]
        for name in names:
            way.append(way[-1].below[name])
        del way.pop().of(watcher)[watcher]
        for name in reversed(names):
            above = way.pop()
            if not above.below[name].is_empty:
                break
            del above.below[name]

    def all(self) -> Iterator[Watcher]:
        """Everybody; who comes or goes meanwhile may be among them or not."""
        yield from self._at_or_below(self._root)

    def wanting(self, event: Event) -> Iterator[Watcher]:
        """Whoever wants an event, and was there when it is asked for."""
        if event.flags & Flags.REFRESH:
            return
        place, path = self._root, ROOT
        for name in _names(event.path):
            if place.recursive and not is_hidden(path, event.path):
                yield from list(place.recursive)
            below = place.below.get(name)
            if below is None:
                return
            place = below
            path = path + name if path == ROOT else path + b"/" + name
        if event.flags & Flags.DIRECTORY_GONE:
            yield from self._at_or_below(place)
        else:
            yield from (*place.recursive, *place.exact)

    def _at_or_below(self, place: _Place) -> Iterator[Watcher]:
        places = [place]
        while places:
            place = places.pop()
            yield from (*place.recursive, *place.exact)
            places += place.below.values()
