"""Whether there is memory for more: a member takes no new work before something would die of it.

Of each limit there is (`memory_limit`) a reserve is kept: for what was taken in already, for
consensus, for the answer that says no.  When it is touched the member is *short*: what is new is
refused, with the limit's name, and what is small or frees something goes on.  It takes work again
when half a reserve more is free, so that it does not flap.

Looking costs microseconds, and is done a few times a second (`look`), whenever so many bytes were
taken in (`note`), and when an allocation has failed (`on_error`), which is the one sign that
cannot be too early.

What a process has freed it does not always give back; a server has the allocator keep some of it
(`tune_allocator`).  So while it is short the allocator is asked to give back all, and when next to
nothing is held any more (`held`) but the process is no smaller, what it takes is what it takes
empty: then it works on, with the reserve above that.

Full?  That is what this is about.
"""

import ctypes
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from roost.errors import ShortOfMemory
from roost.memory_limit import ADDRESSES, Limit, Statm, Taken
from roost.runbook import place_of

logger = logging.getLogger(__name__)
RESERVE_BYTES_MIN, RESERVE_BYTES_MAX = 16 << 20, 256 << 20
_RESERVE_PART: Final = 6
# The allocator is asked at every so many looks while memory is short: it may take milliseconds.
_LOOKS_A_TRIM: Final = 8
# Look again when so much was taken in.
STRIDE_BYTES: Final = 2 << 20
# With less a pool cannot work.
SHARE_BYTES_MIN: Final = 2 << 20
# Less than that is next to nothing.
HELD_BYTES_MIN: Final = 1 << 20
# Of glibc (malloc.h): with how much free at its end an arena is cut; from where on a block is
# mapped, and so given back when it is freed (without it that bound grows with what is freed); and
# the arenas, each of which takes 64 MiB of addresses.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# The first is above what a request and its entry take, so that these are not mapped.
_MAPPED_BYTES_MIN, _ARENAS_MAX = 4 << 20, 2
# What an arena keeps: as much as is handled at once, where there is plenty.
_KEPT_BYTES_MIN, _KEPT_BYTES_MAX, _KEPT_PART = 128 << 10, 64 << 20, 32


class Memory:
    """What one process has left."""

    def __init__(
        self, limits: Sequence[Limit] = (), read: Callable[[], Taken] | None = None
    ) -> None:
        """Without limits there is always room; nothing is read before `look`."""
        self._limits = limits
        self._read = read or (Statm().read if limits else Taken)
        # What is read of files is read at `look`; in between, what we took since is added.
        self._base: list[int] = [0] * len(limits)
        self._base_taken = Taken()
        self._floors = [0] * len(limits)
        self._unseen_bytes = self._look_count = 0
        self.is_short = False
        # The limit that leaves the least.
        self._tightest = 0
        self.used_bytes = self.limit_bytes = 0
        self.refused_count = self.error_count = self.short_count = 0
        # What the pools hold that work fills.
        self.held: Callable[[], int] = lambda: HELD_BYTES_MIN
        if limits:
            self.look()

    @property
    def reason(self) -> str:
        """Whose limit it is, for those who are refused."""
        return self._limits[self._tightest].name if self._limits else "the machine's memory"

    @property
    def room_bytes(self) -> int:
        """What may be taken until the reserve is touched."""
        if not self._limits:
            return 1 << 62
        return max(0, self.limit_bytes - _reserve(self.limit_bytes) - self.used_bytes)

    @property
    def address_bytes(self) -> int | None:
        """How much may be mapped; None when there is no limit."""
        return next((it.bytes_max for it in self._limits if it.name == ADDRESSES), None)

    def share(self, wanted: int, parts: int, least: int = SHARE_BYTES_MIN) -> int:
        """The bound of a pool that would have `wanted` bytes: no more than a part of what is left.

        For pools that are made when a process begins; each has at least `least`, or what it wants.
        """
        self.look()
        return min(wanted, max(least, self.room_bytes // parts))

    def check(self) -> None:
        """Go on if there is room.

        Raises:
            ShortOfMemory: there is not.

        """
        if self.is_short:
            raise self.refusal()

    def refusal(self) -> ShortOfMemory:
        """What one who is refused is told; counted."""
        self.refused_count += 1
        return ShortOfMemory(self.reason)

    def note(self, count: int) -> None:
        """So many bytes were taken in: look, when it is much since the last look."""
        self._unseen_bytes += count
        if self._unseen_bytes >= STRIDE_BYTES:
            self._look(self._estimate(self._read()))

    def look(self) -> None:
        """Look at everything; a few times a second."""
        taken = self._read()
        self._base = [it.used(taken) for it in self._limits]
        self._base_taken = taken
        self._look(self._base)
        if self.is_short:
            self._look_count += 1
            if self._look_count % _LOOKS_A_TRIM == 1:
                give_back()

    def _estimate(self, taken: Taken) -> list[int]:
        grown = taken.anonymous_bytes - self._base_taken.anonymous_bytes
        return [
            base + grown if it.reads_files else it.used(taken)
            for it, base in zip(self._limits, self._base, strict=True)
        ]

    def _look(self, used: Sequence[int]) -> None:
        self._unseen_bytes = 0
        if not self._limits:
            return
        rooms = [it.bytes_max - count for it, count in zip(self._limits, used, strict=True)]
        parts = [
            room / _reserve(it.bytes_max) for room, it in zip(rooms, self._limits, strict=True)
        ]
        self._tightest = tightest = parts.index(min(parts))
        self.used_bytes, self.limit_bytes = used[tightest], self._limits[tightest].bytes_max
        reserve = _reserve(self.limit_bytes)
        floor = self._floors[tightest]
        room = rooms[tightest]
        if self.is_short:
            is_empty = self.held() < HELD_BYTES_MIN
            if room > reserve + reserve // 2:
                self._floors[tightest] = 0
                self._set_short(is_short=False)
            elif is_empty and room > reserve // 2:
                self._floors[tightest] = self.used_bytes
                self._set_short(is_short=False)
        elif room < reserve and (not floor or self.used_bytes > floor + reserve // 4):
            self._set_short(is_short=True)

    def _set_short(self, *, is_short: bool) -> None:
        self.is_short = is_short
        self.short_count += is_short
        text = "there is memory again"
        if is_short:
            text = f"memory is short: new work is refused ({place_of('memory is short')})"
        name = self._limits[self._tightest].name
        logger.warning("%s: %d of %d bytes (%s)", text, self.used_bytes, self.limit_bytes, name)

    def on_error(self) -> ShortOfMemory:
        """An allocation has failed: nothing new until there is room; return what to tell."""
        self.error_count += 1
        if self._limits and not self.is_short:
            self._set_short(is_short=True)
        return self.refusal()

    def describe(self) -> str:
        """All limits in words, the tightest first."""
        if not self._limits:
            return "no limit is known"
        said = [f"{it.bytes_max} bytes ({it.name})" for it in self._limits]
        return ", ".join(
            [said[self._tightest], *said[: self._tightest], *said[self._tightest + 1 :]]
        )


def _reserve(limit_bytes: int) -> int:
    return min(RESERVE_BYTES_MAX, max(RESERVE_BYTES_MIN, limit_bytes // _RESERVE_PART))


def _libc() -> ctypes.CDLL | None:
    with suppress(OSError, TypeError):
        return ctypes.CDLL(None)
    return None


def give_back() -> None:
    """Ask the allocator to give back what is free; where it is not glibc's nothing happens."""
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def kept_bytes(memory: Memory) -> int:
    """How much free memory an arena of the allocator keeps: little where there is little."""
    return memory.share(_KEPT_BYTES_MAX, _KEPT_PART, _KEPT_BYTES_MIN)


def tune_allocator(memory: Memory) -> None:
    """Have a part of what is free kept, the rest given back, and threads take few addresses.

    By itself glibc gives back whatever is free at the end of its memory beyond 128 KiB: a block of
    a megabyte came with 256 page faults each time, a quarter of what a put of that size took of the
    processor.  A small machine or limit keeps less, and one that is short nothing (`give_back`).
    Where the allocator is not glibc's nothing happens.
    """
    tune = getattr(_libc(), "mallopt", None)
    if tune is not None:
        tune(_M_TRIM_THRESHOLD, kept_bytes(memory))
        tune(_M_MMAP_THRESHOLD, _MAPPED_BYTES_MIN)
        tune(_M_ARENA_MAX, _ARENAS_MAX)
