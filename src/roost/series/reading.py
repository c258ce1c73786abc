"""Series as they are read: with what is staged for them, of one state of the trees."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial

from roost.series.content import Content
from roost.series.draft import Spend
from roost.series.effects import Effects
from roost.series.generations import ASIDE_POINTS, Records, Staged
from roost.series.head import Head
from roost.series.names import Tag, sids_of, tag_prefix
from roost.series.trees import Trees

# Rows of a tag that are read in one go, 256 series each.
PAGE_SHARDS = 64
# What it costs to look a name up, and to find out what a series has.
NAME_ROWS, CONTENT_ROWS = 5, 15
# Has something done on a thread, while the loop goes on.
Aside = Callable[[Callable[[], Effects]], Awaitable[Effects]]


class Reading:
    """Many series of one state; `trees` must not change meanwhile (`Database.view`)."""

    def __init__(self, trees: Trees, spend: Spend, aside: Aside) -> None:
        """Use `open_reading`."""
        self.trees = trees
        self._spend = spend
        self._aside = aside
        self._staged = Staged(Head(), (), ())

    async def load(self, records: Records) -> None:
        """Read what is staged; `records` has what was decoded before."""
        head, staged = await self.trees.read_head(), self.trees.staged
        frozen = await records.read(staged, head.frozen, self._spend) if head.frozen else []
        self._staged = Staged(head, frozen, await records.read(staged, head.active, self._spend))

    async def content(self, sid: int) -> Content | None:
        """One series, or None when there is none of that number."""
        info = await self.trees.read_info(sid)
        if info is None:
            return None
        state = await self.trees.read_state(sid)
        await self._spend(CONTENT_ROWS + self._staged.row_count)
        steps = self._staged.of(sid)
        work = partial(steps.effects, state, keeps_highest=info.keeps_highest)
        staged = work() if steps.point_count <= ASIDE_POINTS else await self._aside(work)
        return Content(self.trees.drafts(self._spend), sid, state, staged)

    async def sid(self, key: bytes) -> int | None:
        """The number of a series, by its name's key."""
        row = await self.trees.names.get(key)
        return None if row is None else int.from_bytes(row, "big")

    async def named(self, name: str) -> AsyncGenerator[list[int], None]:
        """The numbers of the series of a name, with labels or without, by their labels."""
        key = name.encode()
        await self._spend(NAME_ROWS)  # as well when there is none
        async for page in self.trees.names.pages(first=key, stop=key + b"\1"):
            await self._spend(1 + len(page))
            yield [int.from_bytes(row, "big") for _, row in page]

    async def tagged(self, given: Tag) -> AsyncGenerator[list[int], None]:
        """The numbers of the series that have a tag or label, in order, some at a time."""
        first = tag_prefix(given)
        stop = first[:-1] + b"\1"
        while True:
            page = [
                it
                async for part in self.trees.tags.pages(first=first, stop=stop, limit=PAGE_SHARDS)
                for it in part
            ]
            await self._spend(1 + 16 * len(page))
            for key, row in page:
                yield sids_of(key, row)
            if len(page) < PAGE_SHARDS:
                return
            first = page[-1][0] + b"\0"


async def open_reading(trees: Trees, records: Records, spend: Spend, aside: Aside) -> Reading:
    """Series of one state of the trees.

    Raises:
        SeriesDamaged: something that is staged is not what was written.

    """
    found = Reading(trees, spend, aside)
    await found.load(records)
    return found
