"""Who wants to hear of totals that change, whatever the protocol.

A counter is told once in an interval, however often it changed, and what it reads then; None = it
is gone.  Nothing comes now and then, so that nobody takes an idle stream for a dead one.
Who comes back hears all totals first: more than were missed, and each true.

What has become durable is offered to watchers over turns of the loop: some names, in order, to one
watcher in a step.

Full?  Of names that wait to be told a watcher has NAMES_MAX; beyond that its stream ends, and its
client comes again.  So do all of them when UNOFFERED_MAX names wait to be offered.  WATCHERS_MAX
watch at a time.
"""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import islice

from roost.call import StreamCall
from roost.counters import names
from roost.counters.desk import SLICE_NAMES, Desk
from roost.errors import Overloaded, Stopped
from roost.slices import Slices

INTERVAL_S, HEARTBEAT_S = 0.1, 10.0
NAMES_MAX, WATCHERS_MAX = 20_000, 1_000
# Names that were not offered yet; of them so many are offered together, to so many in a turn.
UNOFFERED_MAX, OFFERED_NAMES, OFFERS_A_TURN = 100_000, 256, 128
# What a client has not taken yet, in bytes; with more nothing is read for it.
PENDING_BYTES_MAX = 256 << 10


class Watcher:
    """One that listens."""

    def __init__(self, hub: "Hub", prefix: str, *, has_missed: bool) -> None:
        """`has_missed` = it is told all totals first."""
        self._hub = hub
        self._prefix = prefix
        self._key = names.encode(prefix)
        self._changed: dict[bytes, None] = {}
        self._has_missed = has_missed
        # Whether its client has gone, or it was ended here.
        self.is_cancelled = self._is_over = False
        self._wake = asyncio.Event()

    def note(self, keys: Sequence[bytes]) -> None:
        """Counters have changed; in the order of their keys."""
        at = bisect_left(keys, self._key)
        while at < len(keys) and keys[at].startswith(self._key):
            self._changed[keys[at]] = None
            at += 1
        if len(self._changed) > NAMES_MAX:
            self.end()
        elif self._changed:
            self._wake.set()

    def end(self) -> None:
        """Hear no more."""
        self._is_over = True
        self._wake.set()
        self._hub.watchers.pop(self, None)

    def close(self) -> None:
        """Its client takes no more."""
        self.is_cancelled = True
        self.end()

    async def wait_drained(self, call: StreamCall) -> None:
        """Wait until its client has taken most of what was sent, or is gone."""
        while call.pending_bytes > PENDING_BYTES_MAX and not self._is_over:
            self._wake.clear()
            call.on_drain = self._wake.set
            await self._wake.wait()

    async def events(self) -> AsyncGenerator[dict[str, int | None], None]:
        """Totals that have changed, some at a time; empty = nothing has, for a while.

        Raises:
            RoostError: this member does not serve any more.

        """
        if self._has_missed:
            after: str | None = ""
            while after is not None and not self._is_over:
                listed = await self._hub.desk.search(self._prefix, after)
                if listed.rows:
                    yield dict(listed.rows)
                after = listed.after
        while not self._is_over:
            if not await self._has_changed_in_time():
                yield {}
            while self._changed and not self._is_over:
                keys = list(self._changed)[:SLICE_NAMES]
                for it in keys:
                    del self._changed[it]
                wanted = [names.decode(it) for it in keys]
                values = await self._hub.desk.read(wanted)
                yield dict(zip(wanted, values, strict=True))
            if not self._is_over:
                await asyncio.sleep(INTERVAL_S)

    async def _has_changed_in_time(self) -> bool:
        """Whether something has changed, or it is over, before a heartbeat is due."""
        self._wake.clear()
        if not self._changed and not self._is_over:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._wake.wait()
            except TimeoutError:
                return False
        return True


class Hub:
    """All that listen at one member."""

    def __init__(self, desk: Desk) -> None:
        """Hear what becomes durable."""
        self.desk = desk
        self.watchers: dict[Watcher, None] = {}
        self._unoffered: dict[bytes, None] = {}
        self._slices = Slices(OFFERS_A_TURN)
        self._is_closed = False
        desk.counting.observers.append(self._on_durable)

    def watch(self, prefix: str, *, has_missed: bool) -> Watcher:
        """Listen for counters whose names begin so.

        Raises:
            Overloaded: as many listen as can.
            Stopped: this member stops.

        """
        if self._is_closed:
            raise Stopped("this member stops")
        if len(self.watchers) >= WATCHERS_MAX:
            raise Overloaded(f"{WATCHERS_MAX} watch counters here already")
        watcher = Watcher(self, prefix, has_missed=has_missed)
        self.watchers[watcher] = None
        return watcher

    def _on_durable(self, keys: Sequence[bytes]) -> None:
        if not self.watchers:
            return
        self._unoffered.update(dict.fromkeys(keys))
        if len(self._unoffered) > UNOFFERED_MAX:
            self.end_all()
        if not self._slices:
            self._slices.run(self._offer())

    def _offer(self) -> Iterator[None]:
        """Offer to everybody what has changed; more may come meanwhile."""
        unoffered = self._unoffered
        while unoffered and self.watchers:
            keys = sorted(islice(unoffered, OFFERED_NAMES))
            for it in keys:
                del unoffered[it]
            yield
            for watcher in list(self.watchers):
                watcher.note(keys)
                yield
        unoffered.clear()

    def close(self) -> None:
        """Nobody hears anything any more."""
        self._is_closed = True
        self.end_all()

    def end_all(self) -> None:
        """Everybody who listens has to come again."""
        self._unoffered.clear()
        for it in list(self.watchers):
            it.end()
