"""Points and answers as streams of Arrow's record batches; with the extra `roost[arrow]`.

An answer has the columns `series` (text, as a dictionary), `time` (nanoseconds, in the zone that
was asked for) and those that were asked for: `value` of points, where NaN is what was written; of
windows floats, null where there is no number, and `count` as whole numbers.

What is taken has points in one of two forms, and columns of a whole or floating type:

    series | name, time, value      a row is a point
    time, and any others            each other column is a series, called by its name

Times are timestamps, or whole numbers of `precision`; a row without a value is no point.  A batch
whose metadata have `flush` is followed by that flush, as in the other forms (`frames`).
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, tzinfo
from functools import partial
from typing import Any, NamedTuple, cast

from roost.arrow import STREAM, BadArrow, Batch, Batches, pa
from roost.series.errors import BadPoints
from roost.series.extra import Floats, Ints, np
from roost.series.frames import NAMES_MAX, PAUSE, STEP_NAMES, Aside, Event, Flush
from roost.series.intake import Points
from roost.series.names import Info
from roost.series.queries import Part
from roost.series.spelling import Precision, parse_series, series_text
from roost.series.tables import TIME_MIN, TIME_STOP

__all__ = ["STREAM", "ArrowFrames", "as_arrow"]

# Rows that become points in one step: a millisecond or two.
STEP_ROWS = 1 << 15
# So long as to look at so many rows a column takes, however few it has: 20 µs.
COLUMN_ROWS = 330
# A message of more bytes is read on a thread: it is copied, and all of it is looked at.
ASIDE_BYTES = 256 << 10
NAME_COLUMNS = ("series", "name")
FLUSH = b"flush"


class _Column(NamedTuple):
    """One series of a frame."""

    info: Info
    times: Ints
    values: Floats


class ArrowFrames:
    """A streamed request of points; see `frames.Frames`."""

    def __init__(self, unit: Precision) -> None:
        """Nothing has come; `unit` is what whole numbers of times count."""
        self._unit = unit
        self._batches = Batches(_check)
        self._known: dict[str, Info] = {}

    def feed(self, data: bytes) -> Iterator[Event]:
        """See `Frames`."""
        try:
            for message in self._batches.messages(data):
                if self._batches.bytes_of(message) <= ASIDE_BYTES:
                    batch = self._batches.read(message)
                else:
                    aside = Aside(partial(self._batches.read, message))
                    yield aside
                    batch = cast("Batch | None", aside.found())
                if batch is not None:
                    yield from self._events(batch)
        except (BadArrow, pa.ArrowException) as error:
            raise BadPoints(str(error)) from error

    def end(self) -> Iterator[Event]:
        """See `Frames`."""
        try:
            self._batches.end()
        except BadArrow as error:
            raise BadPoints(str(error)) from error
        return iter(())

    def _events(self, batch: Batch) -> Iterator[Event]:
        is_long = _name_column(batch.rows.schema) is not None
        for begin in range(0, batch.rows.num_rows, STEP_ROWS):
            rows = batch.rows.slice(begin, STEP_ROWS)
            yield from self._long(rows) if is_long else self._wide(rows)
        asked = batch.said.get(FLUSH)
        if asked is not None:
            if not asked.isdigit() or len(asked) > 18:
                raise BadPoints("flush is a whole number")
            yield Flush(int(asked))

    def _long(self, rows: Any) -> Iterator[Event]:
        """A row is a point."""
        names = rows.column(_name_column(rows.schema))
        values, is_held = _values(rows.column("value"))
        if names.null_count:
            raise BadPoints("a row without the name of its series")
        if not pa.types.is_dictionary(names.type):
            names = names.dictionary_encode()
        places = np.asarray(names.indices.to_numpy(zero_copy_only=False), np.int64)[is_held]
        times = self._times(rows)[is_held]
        used, places = np.unique(places, return_inverse=True)
        named = names.dictionary.take(pa.array(used))
        if named.null_count:
            raise BadPoints("a row without the name of its series")
        infos, spent = list[Info](), 0
        for begin in range(0, len(named), STEP_NAMES):
            for text in named.slice(begin, STEP_NAMES).to_pylist():
                if spent >= STEP_NAMES:
                    spent = 0
                    yield PAUSE
                infos.append(self._info(text))
                spent += 1 + len(infos[-1].labels)
        if len(times):
            yield Points(infos, places, times, values[is_held])

    def _wide(self, rows: Any) -> Iterator[Event]:
        """Each column is a series; of many columns some at a time."""
        times, count, left = self._times(rows), 0, STEP_ROWS
        found: list[_Column] = []
        for name in rows.schema.names:
            if name == "time":
                continue
            left -= COLUMN_ROWS + rows.num_rows
            if left <= 0:
                yield PAUSE
                left = STEP_ROWS
            values, is_held = _values(rows.column(name))
            found.append(_Column(self._info(name), times[is_held], values[is_held]))
            count += len(found[-1].times)
            if count >= STEP_ROWS:
                yield _points_of(found)
                found, count = [], 0
        if count:
            yield _points_of(found)

    def _info(self, text: str) -> Info:
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= NAMES_MAX:
                raise BadPoints(f"more than {NAMES_MAX} series in one request")
            found = self._known[text] = parse_series(text)
        return found

    def _times(self, rows: Any) -> Ints:
        column = rows.column("time")
        if column.null_count:
            raise BadPoints("a row without a time")
        if pa.types.is_timestamp(column.type):
            # Refuses what does not fit.
            column, width = column.cast(pa.timestamp("ns", column.type.tz)), 1
        else:
            width = self._unit.value
        times = np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
        least, most = -(-TIME_MIN // width), (TIME_STOP - 1) // width
        if len(times) and not least <= int(times.min()) <= int(times.max()) <= most:
            raise BadPoints("times are from 1678 to 2261")
        found: Ints = times * width
        return found


def _points_of(columns: list[_Column]) -> Points:
    """Columns as points."""
    return Points(
        [it.info for it in columns],
        np.repeat(np.arange(len(columns)), [len(it.times) for it in columns]),
        np.concatenate([it.times for it in columns]),
        np.concatenate([it.values for it in columns]),
    )


def _values(column: Any) -> tuple[Floats, Any]:
    """Numbers, and which of them are there."""
    held = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float64), held


def _name_column(schema: Any) -> str | None:
    return next((it for it in NAME_COLUMNS if it in schema.names), None)


def _check(schema: Any) -> None:
    """Refuse what has no points in it.

    Raises:
        BadPoints: it says what there must be.

    """
    names = schema.names
    if len(set(names)) != len(names):
        raise BadPoints("two columns of one name")
    if "time" not in names:
        raise BadPoints(f"no column time; there are {', '.join(names)[:200]}")
    kind = schema.field("time").type
    if not (pa.types.is_timestamp(kind) or pa.types.is_integer(kind)):
        raise BadPoints(f"time is {kind}: a timestamp, or whole numbers")
    named = _name_column(schema)
    if named is not None:
        if "value" not in names or len(names) != 3:
            raise BadPoints(f"columns beside {named} are time and value")
        kind = schema.field(named).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise BadPoints(f"{named} is {kind}: text, or a dictionary of it")
    for name in names:
        kind = schema.field(name).type
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if name not in ("time", named) and not is_number:
            raise BadPoints(f"{name[:200]} is {kind}: whole or floating numbers")


class _Pieces:
    """A file to write to, of which the bytes are taken."""

    closed = False

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._held.append(piece)
        return len(piece)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        found = b"".join(self._held)
        self._held.clear()
        return found


async def as_arrow(
    pages: AsyncIterator[list[Part]], tz: tzinfo = UTC, unit: Precision | None = None
) -> AsyncIterator[bytes]:
    """An answer as Arrow's stream; with `unit` times are whole numbers of it."""
    pieces, writer, schema = _Pieces(), None, _schema((), tz, unit)
    async for page in pages:
        for part in _together(page):
            if writer is None:
                schema = _schema(part[0].columns, tz, unit)
                writer = pa.ipc.new_stream(pieces, schema)
            writer.write_batch(_batch(part, schema, unit))
            yield pieces.take()
    if writer is None:
        writer = pa.ipc.new_stream(pieces, schema)
    writer.close()
    yield pieces.take()


def _together(page: list[Part]) -> Iterator[list[Part]]:
    """Parts of a page as they become batches: no more rows in one than are made in a step."""
    held: list[Part] = []
    count = 0
    for part in (piece for whole in page for piece in _cut(whole)):
        if held and count + len(part.times) > STEP_ROWS:
            yield held
            held, count = [], 0
        held.append(part)
        count += len(part.times)
    if held:
        yield held


def _cut(part: Part) -> Iterator[Part]:
    """A part in pieces of so many rows at most; one without rows is one."""
    for begin in range(0, max(len(part.times), 1), STEP_ROWS):
        span = slice(begin, begin + STEP_ROWS)
        yield replace(part, times=part.times[span], values=part.values[:, span])


def _schema(columns: tuple[str, ...], tz: tzinfo, unit: Precision | None) -> Any:
    text = pa.dictionary(pa.int32(), pa.string())
    time = pa.timestamp("ns", str(tz)) if unit is None else pa.int64()
    numbers = [(it, pa.int64() if it == "count" else pa.float64()) for it in columns]
    return pa.schema([("series", text), ("time", time), *numbers])


def _batch(parts: list[Part], schema: Any, unit: Precision | None) -> Any:
    names = [series_text(it.name, it.labels) for it in parts]
    counts = [len(it.times) for it in parts]
    places = pa.array(np.repeat(np.arange(len(parts), dtype=np.int32), counts))
    times = np.concatenate([it.times for it in parts])
    if unit is not None:
        times = times // unit.value
    arrays = [
        pa.DictionaryArray.from_arrays(places, pa.array(names, pa.string())),
        pa.array(times).cast(schema.field("time").type),
    ]
    values = np.concatenate([it.values for it in parts], axis=1)
    for name, column in zip(parts[0].columns, values, strict=True):
        kind = schema.field(name).type
        array = pa.array(column, from_pandas=name != "value")
        arrays.append(array.cast(kind, safe=False))
    return pa.record_batch(arrays, schema=schema)
