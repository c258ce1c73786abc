"""Which series, names of labels and values of them there are, as Prometheus' clients ask for it.

With `match[]` it is what those series have, wherever in time they have points: `start` and `end`
are taken, and say nothing.  Without it names and values are found from row to row of the index of
tags, and a value is not looked at twice.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from roost.exchange import Answer
from roost.series.draft import Bytes
from roost.series.engine import Engine
from roost.series.prometheus.answers import success
from roost.series.prometheus.asked import Asked
from roost.series.prometheus.errors import BadQuery
from roost.series.prometheus.matching import chosen, matching
from roost.series.prometheus.parsing import parsed_matchers
from roost.series.prometheus.plan import NAME
from roost.series.prometheus.vectors import Labels

# Names, values or series of one answer; queries of one request.
LISTED_MAX, MATCHES_MAX = 10_000, 32
# Rows that are looked for in one turn.
STEP_ROWS = 32
CUT = f"there are more than {LISTED_MAX}, or than limit; these are the first"


class Cataloguing:
    """Says what there is."""

    def __init__(self, engine: Engine) -> None:
        """Ask `engine`."""
        self._engine = engine

    async def series(self, asked: Asked) -> Answer:
        """The series that are meant.

        Raises:
            BadQuery: it is not said which.

        """
        if not asked.texts("match[]"):
            raise BadQuery("no match[] parameter provided")
        found = await self._matched(asked)
        return _listed([dict(it) for it in sorted(found)], asked)

    async def names(self, asked: Asked) -> Answer:
        """Names of labels.

        Raises:
            BadQuery: a query is none.

        """
        if asked.texts("match[]"):
            names = {name for labels in await self._matched(asked) for name, _ in labels}
            return _listed(sorted(names), asked)
        limit = asked.limit(LISTED_MAX) + 1
        async with self._engine.reading() as reading:
            tags = reading.trees.tags
            found = {it async for it in _first_of(tags, b"", limit, lambda it: it.split(b"\1")[0])}
            is_any = [it async for it in reading.trees.names.pages(limit=1)]
        names = {it.decode() for it in found} | ({NAME} if is_any and any(is_any) else set())
        return _listed(sorted(names), asked)

    async def values(self, asked: Asked, name: str) -> Answer:
        """Values of a label.

        Raises:
            BadQuery: a query is none.

        """
        if asked.texts("match[]"):
            held = [dict(it).get(name) for it in await self._matched(asked)]
            return _listed(sorted({it for it in held if it is not None}), asked)
        limit = asked.limit(LISTED_MAX) + 1
        async with self._engine.reading() as reading:
            if name == NAME:
                names = reading.trees.names
                found = _first_of(names, b"", limit, lambda it: it.split(b"\0")[0])
                listed = [it.decode() async for it in found]
            else:
                first = f"{name}\1".encode()
                rows = _first_of(reading.trees.tags, first, limit, lambda it: it[:-5])
                listed = [it.removeprefix(first).decode() async for it in rows]
        return _listed(sorted(listed), asked)

    async def _matched(self, asked: Asked) -> set[Labels]:
        texts = asked.texts("match[]")
        if len(texts) > MATCHES_MAX:
            raise BadQuery(f"{len(texts)} match[] at once: {MATCHES_MAX} are the most")
        wanted = [matching(parsed_matchers(it)) for it in texts]
        found: set[Labels] = set()
        for it in wanted:
            async with self._engine.reading() as reading:
                found.update((await chosen(reading, it)).values())
        return found


async def _first_of(
    tree: Bytes, prefix: bytes, limit: int, key: Callable[[bytes], bytes]
) -> AsyncIterator[bytes]:
    """What the keys of a tree begin with, each once; `key` cuts it out of one of them.

    What follows a key's beginning is a byte of 0 or 1 in all trees that are asked.
    """
    first, stop = prefix, prefix[:-1] + b"\2" if prefix else None
    for count in range(limit):
        if not count % STEP_ROWS:
            await asyncio.sleep(0)
        row: list[bytes] = [it[0] async for page in tree.pages(first=first, stop=stop, limit=1)
                            for it in page]  # fmt: skip
        if not row:
            return
        found = key(row[0])
        yield found
        first = found + b"\2"


def _listed(found: Sequence[object], asked: Asked) -> Answer:
    limit = asked.limit(LISTED_MAX)
    return success(found[:limit], (CUT,) if len(found) > limit else ())
