"""A question about series on its way to a member, for asyncio."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self

from roost.client.series.answers import Answer
from roost.client.series.errors import SeriesRefused
from roost.client.series.questions import Asked, Building, changed
from roost.client.series.ways import Way


class Question(Building):
    """A question on its way: each step makes another one, `fetch` and its like send it."""

    __slots__ = ("way",)

    def __init__(self, way: Way, asked: Asked) -> None:
        """Use `Connection.query`."""
        self.way = way
        self.asked = asked

    def _with(self, **given: Any) -> Self:
        return type(self)(self.way, changed(self.asked, given))

    async def fetch(self) -> Answer:
        """The answer.

        Raises:
            ClientError: as `Way.ask`.

        """
        return await self.way.answer(self.asked)

    async def to_csv(self) -> bytes:
        """The answer as CSV, with times as RFC 3339.

        Raises:
            ClientError: as `Way.ask`.

        """
        return await self.way.ask("GET", self.asked.target(form="csv"))

    async def batches(self) -> AsyncGenerator[Any, None]:
        """The answer as record batches of Arrow as they come, however long it is; none if empty.

        Raises:
            PackageMissing: pyarrow is not installed here.
            SeriesRefused: nor at the member, `package_missing`; or as `Way.ask`.
            ClientError: as `Way.pieces`.

        """
        from roost.client.series.arrow import Batches

        reading = Batches()
        async with aclosing(self.way.pieces(self.asked.target(form="arrow"))) as pieces:
            async for piece in pieces:
                for batch in reading.feed(piece):
                    yield batch.rows
        reading.end()

    async def to_arrow(self) -> Any:
        """The answer as a table of Arrow: `series`, `time` in nanoseconds of UTC, numbers.

        A member without pyarrow is asked for another form.

        Raises:
            PackageMissing: pyarrow is not installed here.
            ClientError: as `batches`.

        """
        from roost.client.series.arrow import tables_of

        try:
            async with aclosing(self.batches()) as found:
                rows = [it async for it in found]
        except SeriesRefused as refusal:
            if refusal.kind != "package_missing":
                raise
            rows = []
        return tables_of(rows) if rows else (await self.fetch()).to_arrow()

    async def to_pandas(self) -> Any:
        """The answer as a frame of pandas.

        Raises:
            PackageMissing: pyarrow or pandas is not installed here.
            ClientError: as `batches`.

        """
        from roost.client.series.arrow import pandas_of

        return pandas_of(await self.to_arrow())

    async def to_polars(self) -> Any:
        """The answer as a frame of polars.

        Raises:
            PackageMissing: pyarrow or polars is not installed here.
            ClientError: as `batches`.

        """
        from roost.client.series.arrow import polars_of

        return polars_of(await self.to_arrow())

    async def to_numpy(self) -> dict[str, dict[str, Any]]:
        """By series: `time` as datetime64[ns], and each column as float64, NaN for no number.

        Raises:
            ClientError: as `fetch`.

        """
        return {it.name: it.to_numpy() for it in (await self.fetch()).tables}

    async def to_parquet(self, path: str | Path) -> None:
        """The answer as a file of Parquet, which is there as a whole or not at all.

        Raises:
            PackageMissing: pyarrow is not installed here.
            ClientError: as `batches`.
            OSError: the file cannot be written.

        """
        from roost.client.series.arrow import parquet_of

        table = await self.to_arrow()
        await asyncio.to_thread(parquet_of, table, path)
