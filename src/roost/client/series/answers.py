"""Answers to questions about series: a table for each."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Table:
    """One series, or several that were merged: rows of a time and what was asked for.

    `times` are nanoseconds since 1970, of windows their beginnings; `columns[name]` has as many
    numbers, None where there is none.
    """

    name: str
    labels: dict[str, str]
    times: list[int]
    columns: dict[str, list[float | None]]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.times)

    def to_numpy(self) -> dict[str, Any]:  # Any: numpy need not be there
        """`time` as datetime64[ns], and each column as float64, NaN where there is no number."""
        import numpy as np

        found: dict[str, Any] = {"time": np.array(self.times, np.int64).astype("datetime64[ns]")}
        for name, values in self.columns.items():
            found[name] = np.array(values, np.float64)
        return found


@dataclass(frozen=True, slots=True)
class Live:
    """Points of a series that have come; `times` are nanoseconds, a value is None for NaN.

    `has_missed` says that some before it were not told: whoever asks was too slow.
    """

    name: str
    times: list[int]
    values: list[float | None]
    has_missed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """All series that were asked for, in the order of their names or as they were asked for."""

    tables: list[Table]

    def __len__(self) -> int:
        """How many series there are."""
        return len(self.tables)

    def __getitem__(self, place: int) -> Table:
        """One of them."""
        return self.tables[place]

    def to_columns(self) -> dict[str, list[Any]]:
        """All rows below each other: `series`, `time`, and what was asked for.

        `pandas.DataFrame`, `polars.DataFrame` and `pyarrow.table` take it as it is.
        """
        found: dict[str, list[Any]] = {"series": [], "time": []}
        for table in self.tables:
            found["series"] += [table.name] * len(table)
            found["time"] += table.times
            for name, values in table.columns.items():
                found.setdefault(name, []).extend(values)
        return found

    def to_arrow(self) -> Any:  # Any: a pyarrow.Table
        """The same as a table of Arrow: `series`, `time` in nanoseconds of UTC, numbers.

        Raises:
            PackageMissing: pyarrow is not installed.

        """
        from roost.client.series.arrow import table_of

        return table_of(self.to_columns())

    def to_pandas(self) -> Any:  # Any: a pandas.DataFrame
        """The same as a frame of pandas.

        Raises:
            PackageMissing: pyarrow or pandas is not installed.

        """
        table = self.to_arrow()
        from roost.client.series.arrow import pandas_of

        return pandas_of(table)

    def to_polars(self) -> Any:  # Any: a polars.DataFrame
        """The same as a frame of polars.

        Raises:
            PackageMissing: pyarrow or polars is not installed.

        """
        table = self.to_arrow()
        from roost.client.series.arrow import polars_of

        return polars_of(table)


class _Series(msgspec.Struct, frozen=True):
    name: str
    labels: dict[str, str]
    columns: list[str]
    rows: list[list[float | int | None]]


class _Said(msgspec.Struct, frozen=True):
    series: list[_Series]


class _Told(msgspec.Struct, frozen=True):
    name: str = ""
    points: list[tuple[int, float | None]] = []
    missed: bool = False


_told = msgspec.json.Decoder(_Told)
_decoder = msgspec.json.Decoder(_Said)


def answer_of(body: bytes) -> Answer:
    """An answer as a member sends it; `precision=ns`.

    Raises:
        msgspec.DecodeError: it is none.

    """
    return Answer([_table(it) for it in _decoder.decode(body).series])


async def live_of(lines: AsyncIterator[bytes]) -> AsyncGenerator[Live, None]:
    """What is told as lines (`format=lines`, `precision=ns`).

    Raises:
        msgspec.DecodeError: it is none.

    """
    has_missed = False
    async for line in lines:
        said = _told.decode(line)
        has_missed = has_missed or said.missed
        if said.points:
            times, values = zip(*said.points, strict=True)
            yield Live(said.name, list(times), list(values), has_missed)
            has_missed = False


def _table(given: _Series) -> Table:
    columns: list[list[Any]] = [list(it) for it in zip(*given.rows, strict=True)]
    if not columns:
        columns = [[] for _ in given.columns]
    named = dict(zip(given.columns[1:], columns[1:], strict=True))
    return Table(given.name, given.labels, columns[0], named)
