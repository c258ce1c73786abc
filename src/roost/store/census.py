"""How many keys a range of a tree has, without walking over them (order statistics).

The keys of a tree are cut into blocks of neighbours, and of each block is known where it begins
and how many keys it has.  A range is then a sum over the blocks that lie in it whole, and two
walks over a part of a block at its ends: for a million keys four thousand numbers and at most two
times BLOCK_COUNT_MAX keys, whatever the range is.

It is derived, and stands in memory alone: whoever opens a store lets it be built, a part a turn
(`build`), and it says None until it knows.  What is written meanwhile counts when it lies where
the building has been already; what lies beyond is met there.

`note_born` and `note_dead` take a key when it begins or ceases to be in the tree, and
`note_range_dead` all of a range: of the blocks in it that is known.  Blocks that have
grown are cut by `cut_crowded`, a cut a call: so no call walks over more than a block.  Where a walk
meets too many keys that are gone (`TooFar`), the building and the cutting go on from there, and a
count is taken from what lies beside the range in its block.

Full?  A number and a key for every BLOCK_COUNT_MAX / 2 keys, or so.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import Final

BLOCK_COUNT_MAX = 512
# Neighbours that have no more than that are one block.
_MERGE_COUNT_MAX: Final = BLOCK_COUNT_MAX // 4
# The keys of a range in order; `stop` None = to the end.  It may raise `TooFar`.
Walk = Callable[[bytes, bytes | None], Iterator[bytes]]
# Of each of some bounds, in order, how many of certain keys lie before it.
Ranks = Callable[[list[bytes]], list[int]]


class TooFar(Exception):
    """A walk has passed as many keys that are gone as a step has time for."""

    def __init__(self, place: bytes) -> None:
        """Whoever goes on does so from `place`."""
        super().__init__(place)
        self.place = place


class MiscountError(Exception):
    """What was counted is not what is there: whoever counts begins anew."""


class Census:
    """The counts of one tree."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.begin_anew()

    def begin_anew(self) -> None:
        """Another tree has taken this one's place: forget everything, and build again."""
        self._firsts: list[bytes] = [b""]
        self._counts: list[int] = [0]
        # Where the building goes on; None when it is done.
        self._frontier: bytes | None = b""
        # Where blocks begin that have more than BLOCK_COUNT_MAX keys: those, and no others.
        self._crowded: set[bytes] = set()

    @property
    def is_built(self) -> bool:
        """Whether the whole tree has been counted."""
        return self._frontier is None

    @property
    def block_count(self) -> int:
        """How many blocks there are."""
        return len(self._firsts)

    def build(self, walk: Walk) -> bool:
        """Count another block; say whether the whole tree has been counted."""
        begin = self._frontier
        if begin is None:
            return True
        room = BLOCK_COUNT_MAX // 2 - self._counts[-1]
        if room <= 0:  # it was not done in one step, and has grown meanwhile
            self._begin_block(begin)
            room = BLOCK_COUNT_MAX // 2
        found, self._frontier = _pass_over(walk, begin, room)
        self._counts[-1] += found
        if self._frontier is not None and found == room:
            self._begin_block(self._frontier)
        return self._frontier is None

    def _begin_block(self, first: bytes) -> None:
        self._firsts.append(first)
        self._counts.append(0)

    def _block_of(self, key: bytes) -> int:
        """The block that a key belongs to; -1 when the building has not been there."""
        if self._frontier is not None and key >= self._frontier:
            return -1
        return bisect_right(self._firsts, key) - 1

    def note_born(self, key: bytes) -> None:
        """A key is in the tree that was not."""
        block = self._block_of(key)
        if block < 0:
            return
        self._counts[block] += 1
        if self._counts[block] > BLOCK_COUNT_MAX:
            self._crowded.add(self._firsts[block])

    def note_dead(self, key: bytes) -> None:
        """A key was in the tree, and is not any more.

        Raises:
            MiscountError: it was never counted.

        """
        block = self._block_of(key)
        if block < 0:
            return
        counts = self._counts
        if not counts[block]:
            raise MiscountError(key)
        counts[block] -= 1
        if counts[block] == BLOCK_COUNT_MAX:
            self._crowded.discard(self._firsts[block])  # it has shrunk before it was cut
        # The last block may be one that is being built.
        last = len(counts) - (1 if self._frontier is None else 2)
        if 0 < block <= last and counts[block] + counts[block - 1] <= _MERGE_COUNT_MAX:
            counts[block - 1] += counts.pop(block)
            self._crowded.discard(self._firsts.pop(block))

    def note_all_dead(self, ranks: Ranks, count: int) -> None:
        """So many keys were in the tree, and are not any more: a step a block.

        Raises:
            MiscountError: they were never counted.

        """
        firsts = self._firsts
        # The last block may be one that is being built: what lies there was not counted.
        end = count if self._frontier is None else ranks([self._frontier])[0]
        ends = [*ranks(firsts[1:]), end]
        begins = [0, *ends[:-1]]
        left = [
            held - (stop - begin)
            for held, begin, stop in zip(self._counts, begins, ends, strict=True)
        ]
        if min(left) < 0:
            raise MiscountError(count)
        self._merge(left)

    def note_range_dead(self, first: bytes, stop: bytes | None, walk: Walk) -> int:
        """All keys of a range were in the tree, and are not any more; how many were counted.

        Raises:
            TooFar: too many that are gone lie where the range begins or ends.
            MiscountError: more are there than were counted.

        """
        frontier = self._frontier
        if frontier is not None and (stop is None or frontier < stop):
            stop = frontier  # what lies beyond was not counted
        if stop is not None and stop <= first:
            return 0
        firsts, counts = self._firsts, self._counts
        head = bisect_right(firsts, first) - 1
        tail = len(firsts) - 1 if stop is None else bisect_left(firsts, stop) - 1
        left = [*counts[:head], *[0] * (tail + 1 - head), *counts[tail + 1 :]]
        for block in {head, tail}:
            begin, end = max(first, firsts[block]), self._end_of(block)
            if end is None or (stop is not None and stop < end):
                end = stop
            if frontier is None:
                gone = self._count_part(block, begin, end, walk)
            else:
                gone = sum(1 for _ in walk(begin, end))
            left[block] = counts[block] - gone
        if min(left) < 0:
            raise MiscountError(first)
        gone = sum(counts) - sum(left)
        self._merge(left)
        return gone

    def _merge(self, counts: list[int]) -> None:
        """Take these counts; small neighbours become one block."""
        firsts, kept_firsts, kept_counts = self._firsts, [self._firsts[0]], [counts[0]]
        # A block that is being built stays by itself.
        last = len(counts) - (1 if self._frontier is None else 2)
        for block in range(1, len(counts)):
            if block <= last and kept_counts[-1] + counts[block] <= _MERGE_COUNT_MAX:
                kept_counts[-1] += counts[block]
            else:
                kept_firsts.append(firsts[block])
                kept_counts.append(counts[block])
        self._firsts, self._counts = kept_firsts, kept_counts
        pairs = zip(kept_firsts, kept_counts, strict=True)
        self._crowded = {first for first, count in pairs if count > BLOCK_COUNT_MAX}

    @property
    def is_crowded(self) -> bool:
        """Whether a block wants to be cut."""
        return bool(self._crowded)

    def cut_crowded(self, walk: Walk) -> None:
        """Cut one block that has grown; the tree must be as it was counted.

        Raises:
            MiscountError: it is not.

        """
        first = self._crowded.pop()
        block = bisect_left(self._firsts, first)
        size = BLOCK_COUNT_MAX // 2
        assert self._counts[block] > BLOCK_COUNT_MAX, "who is cut has enough for two"
        found, middle = _pass_over(walk, first, size)
        if middle is None:
            raise MiscountError(first)
        rest = self._counts[block] - found
        self._counts[block] = found
        self._firsts.insert(block + 1, middle)
        self._counts.insert(block + 1, rest)
        if rest > BLOCK_COUNT_MAX:
            self._crowded.add(middle)

    def count(self, first: bytes, stop: bytes | None, walk: Walk) -> int | None:
        """How many keys are in a range; None when that is not known yet."""
        if self._frontier is not None:
            return None
        if stop is not None and stop <= first:
            return 0
        firsts = self._firsts
        head = bisect_right(firsts, first) - 1
        # The block in which the range ends; beyond the last when it takes that whole.
        tail = len(firsts) if stop is None else bisect_right(firsts, stop) - 1
        try:
            if head == tail:
                return self._count_part(head, first, stop, walk)
            total = sum(self._counts[head + 1 : tail])
            total += self._count_part(head, first, self._end_of(head), walk)
            if stop is not None and tail < len(firsts):
                total += self._count_part(tail, firsts[tail], stop, walk)
        except TooFar:
            return None
        return total

    def _end_of(self, block: int) -> bytes | None:
        """Where the next block begins."""
        return self._firsts[block + 1] if block + 1 < len(self._firsts) else None

    def _count_part(self, block: int, first: bytes, stop: bytes | None, walk: Walk) -> int:
        """How many keys of a block are in a part of it."""
        begin, end, count = self._firsts[block], self._end_of(block), self._counts[block]
        if not count or (first == begin and stop == end):
            return count
        try:
            return sum(1 for _ in walk(first, stop))
        except TooFar:
            before = sum(1 for _ in walk(begin, first))
            behind = 0 if stop is None or stop == end else sum(1 for _ in walk(stop, end))
            return count - before - behind


def _pass_over(walk: Walk, first: bytes, count_max: int) -> tuple[int, bytes | None]:
    """Walk over so many keys, or fewer where it goes too far; how many, and where others begin."""
    found = 0
    try:
        for key in walk(first, None):
            if found == count_max:
                return found, key
            found += 1
    except TooFar as far:
        return found, far.place
    return found, None
