"""The trees of time series, as somebody reads them: this member's as they are, or one state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from roost.series.draft import Bytes, Draft, Spend
from roost.series.head import (
    HEAD_KEY,
    HEAD_TREE,
    STAGED_TREE,
    STATES_TREE,
    Head,
    State,
    decode_head,
    decode_state,
    sid_key,
)
from roost.series.jobs import JOBS_TREE
from roost.series.levels import POINTS_TREE, ROWS_TREE
from roost.series.names import INFO_TREE, NAMES_TREE, TAGS_TREE, Info, decode_info

__all__ = ["Trees", "trees_of"]


# Series that lie so far apart are asked for one by one.
SPREAD_MAX = 4


class Source(Protocol):
    """What has trees: `Database`, its `local`, or a view of it."""

    def tree(self, name: str) -> Bytes:
        """The tree of that name."""


@dataclass(frozen=True, slots=True)
class Trees:
    """All of them."""

    head: Bytes
    names: Bytes
    info: Bytes
    tags: Bytes
    staged: Bytes
    states: Bytes
    points: Bytes
    rows: Bytes
    jobs: Bytes

    async def read_head(self) -> Head:
        """How far staging and sealing are."""
        return decode_head(await self.head.get(HEAD_KEY))

    async def read_info(self, sid: int) -> Info | None:
        """What a series is; None when it was deleted, or never was."""
        row = await self.info.get(sid_key(sid))
        return None if row is None else decode_info(row)

    async def read_state(self, sid: int) -> State:
        """What sealing knows of a series."""
        return decode_state(await self.states.get(sid_key(sid)))

    async def read_many(self, sids: Sequence[int]) -> list[tuple[Info | None, State]]:
        """What some series are, and what sealing knows of them; `sids` go up."""
        infos = await _rows_of(self.info, sids)
        states = await _rows_of(self.states, sids)
        return [
            (None if info is None else decode_info(info), decode_state(state))
            for info, state in zip(infos, states, strict=True)
        ]

    def drafts(self, spend: Spend) -> dict[str, Draft]:
        """Those with blocks and states, to be changed or only read."""
        named = ((POINTS_TREE, self.points), (ROWS_TREE, self.rows), (STATES_TREE, self.states))
        return {name: Draft(name, tree, spend) for name, tree in named}


async def _rows_of(tree: Bytes, sids: Sequence[int]) -> list[bytes | None]:
    """The rows of series: in one go where they lie together, which costs a tenth."""
    if not sids:
        return []
    keys = [sid_key(it) for it in sids]
    if sids[-1] - sids[0] >= SPREAD_MAX * len(sids):
        return [await tree.get(it) for it in keys]
    pages = tree.pages(first=keys[0], stop=keys[-1] + b"\0")
    held = {key: row async for page in pages for key, row in page}
    return [held.get(it) for it in keys]


def trees_of(source: Source) -> Trees:
    """The trees of a database, of what this member has applied, or of a view."""
    return Trees(
        head=source.tree(HEAD_TREE),
        names=source.tree(NAMES_TREE),
        info=source.tree(INFO_TREE),
        tags=source.tree(TAGS_TREE),
        staged=source.tree(STAGED_TREE),
        states=source.tree(STATES_TREE),
        points=source.tree(POINTS_TREE),
        rows=source.tree(ROWS_TREE),
        jobs=source.tree(JOBS_TREE),
    )
