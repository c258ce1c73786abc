"""The keys of a layer in order: blocks of neighbours, so that no insertion and no sort is long.

A map remembers in which order its keys came.  So those that are *fresh*, in no block yet,
are the last of it, and whoever adds one has nothing to do for that.  They are put in order when
somebody asks for the order, or when there are more than FRESH_COUNT_MAX of them
(`TreeLayer.put_in_order`).  A hundred thousand that are sorted in one go take a twentieth of a
second (D14); two thousand that are put into blocks take one or two milliseconds, however many are
there.  Keys that come in increasing order cost next to nothing.

Full?  A reference a key; blocks have BLOCK_COUNT_MAX keys at most.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from roost.parted import PartedMap

BLOCK_COUNT_MAX = 1024
FRESH_COUNT_MAX: Final = 2048
# From so many new keys a block on blocks are sorted, below keys are inserted one by one.
_SORTED_COUNT_MIN = 32

# What keys are set to; None = "deleted here".
KeyValues = PartedMap[bytes, bytes | None]


class KeyOrder:
    """The keys of `values` in order; they are added there, and removed by `take` alone."""

    __slots__ = ("_blocks", "_firsts", "_placed_count", "_values")

    def __init__(self, values: KeyValues) -> None:
        """None is placed yet."""
        self._values = values
        # How many stand in blocks: the first of `values`, as it remembers them.
        self._placed_count = 0
        self._blocks: list[list[bytes]] = []
        # The first key of each block.
        self._firsts: list[bytes] = []

    @property
    def fresh_count(self) -> int:
        """How many stand in no block yet."""
        return len(self._values) - self._placed_count

    def put_in_order(self) -> None:
        """Put all keys in order.

        Raises:
            MemoryError: they are in no order then, and will be put in one from the beginning.

        """
        count = self.fresh_count
        if not count:
            return
        try:
            self._place(count)
        except MemoryError:
            self._forget()
            raise

    def take_blocks(self) -> list[list[bytes]]:
        """Hand over the blocks: the keys are in no order any more."""
        blocks = self._blocks
        self._forget()
        return blocks

    def _forget(self) -> None:
        """None is placed: half of a move in blocks would lose keys, and `values` has all."""
        self._placed_count = 0
        self._blocks, self._firsts = [], []

    def _place(self, count: int) -> None:
        fresh = sorted(self._values.latest(count))
        self._placed_count += count
        if not self._blocks:
            self._append(fresh)
            return
        behind = bisect_right(fresh, self._blocks[-1][-1])
        if behind < len(fresh):
            self._append(fresh[behind:])
            del fresh[behind:]
        if len(fresh) < _SORTED_COUNT_MIN * len(self._blocks):
            self._insert_each(fresh)
        else:
            self._insert_parts(fresh)

    def _insert_each(self, keys: list[bytes]) -> None:
        """Put keys among the others, few in each block."""
        blocks, firsts = self._blocks, self._firsts
        for key in keys:
            position = bisect_right(firsts, key) - 1
            if position < 0:
                position, firsts[0] = 0, key
            block = blocks[position]
            insort(block, key)
            if len(block) > BLOCK_COUNT_MAX:
                self._cut(position)

    def _insert_parts(self, keys: list[bytes]) -> None:
        """Put sorted keys among the others, many in each block."""
        blocks, firsts = self._blocks, self._firsts
        end = len(keys)
        for position in range(len(blocks) - 1, -1, -1):
            begin = bisect_left(keys, firsts[position], 0, end) if position else 0
            if begin < end:
                block = blocks[position]
                block += keys[begin:end]
                block.sort()
                firsts[position] = block[0]
                if len(block) > BLOCK_COUNT_MAX:
                    self._cut(position)
                end = begin

    def _append(self, keys: list[bytes]) -> None:
        """Put sorted keys behind all others."""
        begin = 0
        if self._blocks:
            block = self._blocks[-1]
            begin = max(0, BLOCK_COUNT_MAX - len(block))
            block += keys[:begin]
        for at in range(begin, len(keys), BLOCK_COUNT_MAX):
            self._blocks.append(keys[at : at + BLOCK_COUNT_MAX])
            self._firsts.append(keys[at])

    def _cut(self, position: int) -> None:
        """Make of a block that has grown some that are half as long."""
        block, size = self._blocks[position], BLOCK_COUNT_MAX // 2
        parts = [block[at : at + size] for at in range(0, len(block), size)]
        self._blocks[position : position + 1] = parts
        self._firsts[position : position + 1] = [it[0] for it in parts]

    def keys(self) -> list[bytes]:
        """All keys, in order."""
        self.put_in_order()
        return [key for block in self._blocks for key in block]

    def ranks(self, bounds: list[bytes]) -> list[int]:
        """Of each bound, in order, how many keys lie before it; a step a block and a bound."""
        self.put_in_order()
        blocks, firsts = self._blocks, self._firsts
        before = [0, *accumulate(map(len, blocks))]
        found: list[int] = []
        for bound in bounds:
            position = bisect_left(firsts, bound) - 1
            inside = bisect_left(blocks[position], bound) if position >= 0 else 0
            found.append(before[max(position, 0)] + inside)
        return found

    def iterate(
        self, first: bytes, stop: bytes | None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        """The keys of a range in order; none may be added meanwhile."""
        self.put_in_order()
        return self._backward(first, stop) if reverse else self._forward(first, stop)

    def _forward(self, first: bytes, stop: bytes | None) -> Iterator[bytes]:
        blocks, firsts = self._blocks, self._firsts
        begin = max(0, bisect_right(firsts, first) - 1)
        end = len(blocks) if stop is None else bisect_left(firsts, stop)
        for position in range(begin, end):
            block = blocks[position]
            low = bisect_left(block, first) if position == begin else 0
            if stop is not None and position + 1 == end:
                yield from block[low : bisect_left(block, stop)]
            else:
                yield from block[low:] if low else block

    def _backward(self, first: bytes, stop: bytes | None) -> Iterator[bytes]:
        blocks, firsts = self._blocks, self._firsts
        begin = max(0, bisect_right(firsts, first) - 1)
        end = len(blocks) if stop is None else bisect_left(firsts, stop)
        for position in range(end - 1, begin - 1, -1):
            block = blocks[position]
            high = len(block)
            if stop is not None and position + 1 == end:
                high = bisect_left(block, stop)
            low = bisect_left(block, first) if position == begin else 0
            yield from reversed(block[low:high])

    def take(self, first: bytes, stop: bytes | None, count_max: int | None = None) -> list[bytes]:
        """Remove keys of a range and their values, `count_max` at most; return them in order."""
        self.put_in_order()
        try:
            taken = self._displace(first, stop, count_max)
        except MemoryError:
            self._forget()
            raise
        self._values.remove(taken)
        self._placed_count -= len(taken)
        return taken

    def _displace(self, first: bytes, stop: bytes | None, count_max: int | None) -> list[bytes]:
        """Take them out of their blocks."""
        blocks, firsts = self._blocks, self._firsts
        taken: list[bytes] = []
        position = max(0, bisect_right(firsts, first) - 1)
        while position < len(blocks) and (count_max is None or len(taken) < count_max):
            block = blocks[position]
            low = bisect_left(block, first)
            high = len(block) if stop is None else bisect_left(block, stop)
            if count_max is not None:
                high = min(high, low + count_max - len(taken))
            is_at_end = high < len(block)
            if low < high:
                taken += block[low:high]
                del block[low:high]
            if block:
                firsts[position] = block[0]
                position += 1
            else:
                del blocks[position], firsts[position]
            if is_at_end:
                break
        return taken
