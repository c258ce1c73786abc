"""Answers as tables of Arrow, and what is made of these: frames of pandas and polars, Parquet.

Rows have `series` (text, as a dictionary), `time` (nanoseconds, UTC) and what was asked for.  Needs
the extra `roost[arrow]`, and pandas or polars where it is their frames that are wanted.
"""

import os
from collections.abc import Container, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from roost.arrow import STREAM, BadArrow, Batches, pa
from roost.errors import PackageMissing

__all__ = [
    "STREAM", "BadArrow", "Batches", "ParquetFile", "pandas_of", "parquet_of", "polars_of",
    "table_of", "tables_of",
]  # fmt: skip

_TEXT, _TIME = pa.dictionary(pa.int32(), pa.string()), pa.timestamp("ns", "UTC")
_POINTS = pa.schema([("series", _TEXT), ("time", _TIME), ("value", pa.float64())])


def table_of(columns: Mapping[str, Sequence[Any]]) -> Any:
    """`series`, `time` in nanoseconds, and numbers, as a table."""
    kinds = {"series": _TEXT, "time": _TIME, "count": pa.int64()}
    fields = {it: kinds.get(it, pa.float64()) for it in columns}
    arrays = [pa.array(columns[name], kind) for name, kind in fields.items()]
    return pa.table(arrays, schema=pa.schema(fields))


def tables_of(rows: Sequence[Any]) -> Any:
    """Record batches below each other, at least one, with one dictionary; times are UTC's."""
    table = pa.Table.from_batches(rows)
    return table.cast(_in_utc(table.schema)).unify_dictionaries()


def _in_utc(schema: Any) -> Any:
    place = schema.get_field_index("time")
    return schema.set(place, pa.field("time", _TIME))


def pandas_of(table: Any) -> Any:
    """A table as a frame of pandas.

    Raises:
        PackageMissing: pandas is not installed.

    """
    _needed("pandas")
    return table.to_pandas()


def polars_of(table: Any) -> Any:
    """A table as a frame of polars.

    Raises:
        PackageMissing: polars is not installed.

    """
    return _needed("polars").from_arrow(table)


def parquet_of(table: Any, path: str | Path) -> None:
    """Write a table to a file; it is there as a whole, or not at all.

    Raises:
        OSError: it cannot be written.

    """
    from pyarrow import parquet

    begun = Path(f"{path}.part")
    parquet.write_table(table, begun, compression="zstd")
    begun.replace(path)


class ParquetFile:
    """Points as a file of Parquet, durable when its block has ended; what failed leaves none."""

    def __init__(self, path: Path, group_rows: int) -> None:
        """Begin it, with so many rows in a row group."""
        from pyarrow import parquet

        self._path = path
        self._group_rows = group_rows
        self._held: list[Any] = []
        self._held_rows = self.row_count = 0
        # What all readers know: dictionaries, and differences for times.
        self._writer = parquet.ParquetWriter(
            path,
            _POINTS,
            compression="zstd",
            use_dictionary=["series", "value"],
            column_encoding={"time": "DELTA_BINARY_PACKED"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        if kind is None:
            self._write()
        self._writer.close()
        if kind is not None:
            self._path.unlink()
            return
        with self._path.open("rb") as file:
            os.fsync(file.fileno())

    def add(self, rows: Any, names: Container[str]) -> None:
        """Rows of a record batch, those of the series that are named."""
        series = rows.column("series")
        is_wanted = [it in names for it in series.dictionary.to_pylist()]
        if not all(is_wanted):
            rows = rows.filter(pa.array(is_wanted, pa.bool_()).take(series.indices))
        self._held.append(rows)
        self._held_rows += rows.num_rows
        self.row_count += rows.num_rows
        if self._held_rows >= self._group_rows:
            self._write()

    def _write(self) -> None:
        if self._held_rows:
            table = pa.Table.from_batches(self._held).cast(_POINTS).unify_dictionaries()
            self._writer.write_table(table, row_group_size=self._group_rows)
        self._held, self._held_rows = [], 0


def _needed(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        text = f"frames of {name} need it, and it is not installed: pip install {name}"
        raise PackageMissing(text) from error
