"""The blocks of one series at one level: found by time, put and removed, over a draft.

Blocks of a chain have no time in common, and each lies in one group.
"""

from collections.abc import AsyncGenerator

from roost.series import blocks
from roost.series.blocks import Block
from roost.series.draft import Draft
from roost.series.levels import Group, Level, block_key
from roost.series.tables import Table

# Blocks that are read in one go.
PAGE_BLOCKS = 16


class Chain:
    """Blocks of series `sid` at a level."""

    def __init__(self, draft: Draft, level: Level, sid: int) -> None:
        """Read and write `draft`, which is of the level's tree."""
        self.level = level
        self.draft = draft
        self._sid = sid

    def _key(self, group: Group, time: int) -> bytes:
        return block_key(group.number, self._sid, time)

    def _block(self, body: bytes) -> Block:
        return blocks.parse(body, self.level.column_count)

    def decode(self, block: Block) -> Table:
        """The rows of a block."""
        return blocks.decode(block.body, self.level.column_count)

    async def before(self, group: Group, time: int, count: int) -> list[Block]:
        """Up to `count` blocks that begin at `time` or before, the latest first."""
        first, stop = self._key(group, group.start), self._key(group, time + 1)
        rows = await self.draft.scan(first, stop, count, reverse=True)
        return [self._block(body) for _, body in rows]

    async def behind(self, group: Group, time: int) -> Block | None:
        """The first block that begins after `time`."""
        first, stop = self._key(group, time + 1), self._key(group, group.stop)
        rows = await self.draft.scan(first, stop, 1)
        return self._block(rows[0][1]) if rows else None

    async def span(self, start: int, stop: int) -> AsyncGenerator[Block, None]:
        """Blocks that have to do with a range, in order; what changes meanwhile is seen or not."""
        for group in self.level.groups(start, stop):
            begin = max(start, group.start)
            for block in await self.before(group, begin - 1, 1):
                if block.last >= begin:
                    yield block
            first = self._key(group, begin)
            last = self._key(group, min(stop, group.stop))
            while True:
                page = await self.draft.scan(first, last, PAGE_BLOCKS)
                for _, body in page:
                    yield self._block(body)
                if len(page) < PAGE_BLOCKS:
                    break
                first = page[-1][0] + b"\0"

    def put(self, block: Block) -> None:
        """Add a block, where there is none."""
        self.draft.put(self._key(self.level.group(block.first), block.first), block.body)

    def remove(self, block: Block) -> None:
        """Remove a block."""
        key = self._key(self.level.group(block.first), block.first)
        self.draft.remove(key, key + b"\0")

    def remove_between(self, group: Group, start: int, stop: int) -> None:
        """Remove the blocks of a group that begin in a range."""
        self.draft.remove(self._key(group, start), self._key(group, stop))
