"""What one watch is told, as its client takes it: by callbacks, or piece by piece.

Nearly all that is told is short, and comes after a long while.  So the carrier hears of it by a
callback, in the turn in which it is told, and no task waits meanwhile.  What is long, and what a
client is too slow for, is asked for piece by piece, which takes turns (D14).  Either way a newline
goes whenever there was nothing for a while: a beat.
"""

from collections.abc import AsyncIterator, Callable

from roost.etcd.v2.patience import Patience, Wait
from roost.etcd.v2.piecewise import BEAT, told
from roost.etcd.v2.watch_hub import WatchHub
from roost.etcd.v2.watchers import Watcher
from roost.slices import Turns


class Telling:
    """One watch."""

    __slots__ = (
        "_beat",
        "_beats",
        "_hub",
        "_is_beat_due",
        "_is_fault_said",
        "_on_news",
        "_turns",
        "_watcher",
    )

    def __init__(
        self, hub: WatchHub, watcher: Watcher, beats: Patience | None, turns: Turns
    ) -> None:
        """Nothing was taken; without `beats` there are none, what is long takes `turns`."""
        self._hub = hub
        self._watcher = watcher
        self._beats = beats
        self._turns = turns
        # While somebody waits.
        self._beat: Wait | None = None
        self._on_news: Callable[[], None] | None = None
        self._is_beat_due = self._is_fault_said = False

    def close(self) -> None:
        """Nobody takes anything any more."""
        self._hub.close(self._watcher)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """All that is still to be told, piece by piece."""
        beat_s = None if self._beats is None else self._beats.seconds
        return told(self._hub, self._watcher, beat_s, self._turns)

    def take(self) -> bytes | None:
        """See `Quick`."""
        watcher, is_beat_due = self._watcher, self._is_beat_due
        self._is_beat_due = False
        if watcher.has_pending:
            return watcher.take_short()
        if watcher.is_over:
            self._is_fault_said = True
            return b"" if watcher.fault is None else watcher.fault.body
        return BEAT if is_beat_due else b""

    @property
    def is_over(self) -> bool:
        """See `Quick`."""
        watcher = self._watcher
        is_said = watcher.fault is None or self._is_fault_said
        return watcher.is_over and is_said and not watcher.has_pending

    def hear(self, on_news: Callable[[], None]) -> bool:
        """See `Quick`."""
        watcher = self._watcher
        self._hub.follow(watcher)
        if watcher.has_pending or watcher.is_over:
            return False
        self._on_news = on_news
        watcher.on_news = self._on_told
        if self._beats is not None:
            self._beat = self._beats.begin(self._on_beat)
        return True

    def _on_told(self) -> None:
        if self._beat is not None:
            self._beat.end()
            self._beat = None
        self._tell()

    def _on_beat(self) -> None:
        self._beat = None
        self._is_beat_due = True
        self._watcher.on_news = None
        self._tell()

    def _tell(self) -> None:
        on_news, self._on_news = self._on_news, None
        assert on_news is not None, "somebody waits"
        on_news()
