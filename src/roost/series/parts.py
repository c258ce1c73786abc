"""Answers to questions, as JSON and as CSV, made piece by piece.

JSON is `{"series": [{"name", "labels", "columns", "rows"}, ...]}`; a series that has more rows than
a page is there once, with all its rows.  What is no number is null in JSON and empty in CSV.
"""

import csv
import io
from collections.abc import AsyncIterator, Callable
from datetime import UTC, tzinfo

import msgspec

from roost.series.extra import Floats, np
from roost.series.queries import Part
from roost.series.spelling import Precision, series_text, time_texts

# What is written in one step, a millisecond or two: so many numbers, or times in UTC; a time of
# another zone is as long as so many.
STEP_CELLS, LOCAL_CELLS = 2000, 30
# In CSV each is as long as so many.
CSV_CELLS = 4


def step_rows(column_count: int, tz: tzinfo, unit: Precision | None) -> int:
    """How many rows of so many columns are written in one step."""
    time_cells = LOCAL_CELLS if tz is not UTC and unit is None else 1
    return max(1, STEP_CELLS // (time_cells + column_count))


def _rows(part: Part, span: slice, tz: tzinfo, unit: Precision | None) -> list[tuple[object, ...]]:
    times = time_texts(part.times[span], tz, unit)
    columns = []
    for name, values in zip(part.columns, part.values, strict=True):
        column = values[span]
        found: list[object] = column.tolist()
        if name == "count" and np.isfinite(column).all():
            found = column.astype(np.int64).tolist()
        columns.append(found)
    return list(zip(times, *columns, strict=True))


def numbers(name: str, column: Floats) -> list[float | int | None]:
    """A column as JSON has it: None where there is no number, and counts are whole."""
    is_finite = np.isfinite(column)
    if not is_finite.all():
        rows = zip(column.tolist(), is_finite.tolist(), strict=True)
        return [it if is_number else None for it, is_number in rows]
    found: list[float | int | None] = (
        column.astype(np.int64) if name == "count" else column
    ).tolist()
    return found


async def as_json(
    pages: AsyncIterator[list[Part]], tz: tzinfo = UTC, unit: Precision | None = None
) -> AsyncIterator[bytes]:
    """An answer in JSON."""
    yield b'{"series":['
    held: tuple[str, str] | None = None
    is_first_row = True
    async for page in pages:
        for part in page:
            title = (part.name, repr(part.labels))
            if title != held:
                head = msgspec.json.encode(
                    {
                        "name": series_text(part.name, part.labels),
                        "labels": {it.key: it.value for it in part.labels},
                        "columns": ["time", *part.columns],
                    }
                )
                yield (b"" if held is None else b"]},\n") + head[:-1] + b',"rows":['
                held, is_first_row = title, True
            step = step_rows(len(part.columns), tz, unit)
            for begin in range(0, len(part.times), step):
                rows = msgspec.json.encode(_rows(part, slice(begin, begin + step), tz, unit))[1:-1]
                yield rows if is_first_row else b",\n" + rows
                is_first_row = False
    yield b"]}" * (held is not None) + b"]}\n"


async def as_csv(
    pages: AsyncIterator[list[Part]], tz: tzinfo = UTC, unit: Precision | None = None
) -> AsyncIterator[bytes]:
    """An answer in CSV (RFC 4180): series, time, and a column for each aggregate."""
    is_begun = False
    async for page in pages:
        for part in page:
            if not is_begun:
                yield csv_line(["series", "time", *part.columns])
                is_begun = True
            name = series_text(part.name, part.labels)
            step = max(1, step_rows(len(part.columns), tz, unit) // CSV_CELLS)
            for begin in range(0, len(part.times), step):
                text = io.StringIO()
                rows = _rows(part, slice(begin, begin + step), tz, unit)
                csv.writer(text).writerows((name, *map(_cell, row)) for row in rows)
                yield text.getvalue().encode()
    if not is_begun:
        yield csv_line(["series", "time"])


def _cell(value: object) -> object:
    return "" if isinstance(value, float) and value != value else value  # noqa: PLR0124 - NaN


def csv_line(cells: list[str]) -> bytes:
    """One line of CSV."""
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


Writer = Callable[[AsyncIterator[list[Part]], tzinfo, Precision | None], AsyncIterator[bytes]]
WRITERS: dict[str, tuple[bytes, Writer]] = {
    "json": (b"application/json", as_json),
    "csv": (b"text/csv; charset=utf-8", as_csv),
}
