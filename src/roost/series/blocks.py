"""Blocks: some rows of a table as bytes, about a page of LMDB's.  Format 1, little-endian.

     0  u8   format, 1
     1  u8   columns besides the times, k: 1 for points, 7 for what is summed up
     2  u8   how the times are written (`columns`)
     3  u8   whether statistics follow: 1, else 0
     4  u32  rows, 1 … ROWS_MAX
     8  i64  first time
    16  i64  last time
    24  u32  bytes of the times
    28       statistics, for points from STATISTICS_MIN on: u32 numbers that are none of them NaN,
             f64 sum, squared distances, least, most, first, last (`summaries`); 52 bytes
             k times: u8 how the column is written, u32 its bytes
             the times, then the columns

In equal steps times take no bytes.  A block holds BYTES_MAX bytes, so that with LMDB's and the
store's own heads it fills one page and not a little of a second; one row may be larger.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError

from roost.series.columns import decode_floats, decode_ints, encode_floats, encode_ints
from roost.series.errors import SeriesDamaged
from roost.series.extra import np
from roost.series.summaries import COLUMN_COUNT, summed
from roost.series.tables import TIME_MIN, TIME_STOP, Table

FORMAT = 1
HEAD = Struct("<BBBBIqqI")
STATISTICS = Struct("<I6d")
COLUMN = Struct("<BI")
ROWS_MAX = 8192
BYTES_MAX = 4072
# What has fewer bytes and rows is merged with what comes before or behind it.
FULL_BYTES, FULL_ROWS = BYTES_MAX * 5 // 8, ROWS_MAX // 2
STATISTICS_MIN = 1024
# A guess, before anything is known: rows of a block are tried, and tried again.
ROW_BYTES = 1.0
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Block:
    """A block: where it begins and ends, its statistics as a row, if it has them, and its bytes."""

    row_count: int
    first: int
    last: int
    summary: Table | None
    body: bytes

    @property
    def is_full(self) -> bool:
        """Whether it is as large as blocks are to be."""
        return len(self.body) >= FULL_BYTES or self.row_count >= FULL_ROWS

    @property
    def row_bytes(self) -> float:
        """Bytes of a row."""
        return len(self.body) / self.row_count


def encode(rows: Table) -> bytes:
    """Rows as one block, whatever comes of it; ROWS_MAX at most, and one at least."""
    count = len(rows)
    assert 1 <= count <= ROWS_MAX, "the caller cuts"
    times = encode_ints(rows.times)
    columns = [encode_floats(it) for it in rows.columns]
    statistics = b""
    if len(columns) == 1 and count >= STATISTICS_MIN:
        found = summed(rows, np.zeros(count, np.int64))
        if len(found):
            numbers = found.columns[:, 0].tolist()
            statistics = STATISTICS.pack(int(numbers[0]), *numbers[1:])
    head = HEAD.pack(
        FORMAT, len(columns), times.codec, len(statistics) > 0,
        count, int(rows.times[0]), int(rows.times[-1]), len(times.body),
    )  # fmt: skip
    table = b"".join(COLUMN.pack(it.codec, len(it.body)) for it in columns)
    return b"".join((head, statistics, table, times.body, *(it.body for it in columns)))


def parse(body: bytes, column_count: int) -> Block:
    """What a block says of itself.

    Raises:
        SeriesDamaged: it is none of so many columns.

    """
    try:
        form, held, _, is_summed, count, first, last, _ = HEAD.unpack_from(body)
        summary = None
        if is_summed:
            numbers = STATISTICS.unpack_from(body, HEAD.size)
            summary = Table(np.array([first]), np.array(numbers, np.float64).reshape(-1, 1))
    except StructError as error:
        raise SeriesDamaged(f"{len(body)} bytes are no block") from error
    if form != FORMAT or held != column_count or is_summed > (column_count == 1):
        raise SeriesDamaged(f"a block of format {form} with {held} columns")
    is_range = TIME_MIN <= first <= last < TIME_STOP and (first == last) == (count == 1)
    if not 1 <= count <= ROWS_MAX or not is_range:
        raise SeriesDamaged(f"a block of {count} rows from {first} to {last}")
    return Block(count, first, last, summary, body)


def decode(body: bytes, column_count: int) -> Table:
    """The rows of a block.

    Raises:
        SeriesDamaged: it is none of so many columns.

    """
    block = parse(body, column_count)
    codec, times_bytes = body[2], HEAD.unpack_from(body)[-1]
    offset = HEAD.size + (0 if block.summary is None else STATISTICS.size)
    heads = body[offset : offset + column_count * COLUMN.size]
    offset += column_count * COLUMN.size
    try:
        columns = list(COLUMN.iter_unpack(heads))
    except StructError as error:
        raise SeriesDamaged(f"a block of {len(body)} bytes has no heads of columns") from error
    ends = np.cumsum([offset, times_bytes, *(size for _, size in columns)]).tolist()
    if len(columns) != column_count or ends[-1] != len(body):
        raise SeriesDamaged(f"a block of {len(body)} bytes is said to have {ends[-1]}")
    view = memoryview(body)
    times = decode_ints(codec, view[offset : ends[1]], block.row_count, block.first, block.last)
    if not (times[1:] > times[:-1]).all():
        raise SeriesDamaged("the times of a block are not in order")
    found = np.empty((column_count, block.row_count))
    for place, (form, _) in enumerate(columns):
        found[place] = decode_floats(form, view[ends[place + 1] : ends[place + 2]], len(times))
    return Table(times, found)


def cut(rows: Table, row_bytes: float = ROW_BYTES, *, is_even: bool = False) -> Iterator[Block]:
    """Rows as blocks, all full but the last; or all alike, if that is asked.

    `row_bytes` is what a row may take, as those before did.
    """
    place, count = 0, len(rows)
    while place < count:
        left = count - place
        size = _fitting(left, row_bytes)
        if is_even:
            size = -(-left // -(-left // size))
        body = encode(rows.at(slice(place, place + size)))
        for _ in range(_TRIES):
            again = _better(size, len(body), size if is_even else left)
            if again == size:
                break
            size = again
            body = encode(rows.at(slice(place, place + size)))
        while len(body) > BYTES_MAX and size > 1:
            size = max(1, size * 3 // 4)
            body = encode(rows.at(slice(place, place + size)))
        row_bytes = len(body) / size
        yield parse(body, len(rows.columns))
        place += size


def _fitting(left: int, row_bytes: float) -> int:
    return max(1, min(left, ROWS_MAX, int(0.97 * BYTES_MAX / row_bytes)))


def _better(size: int, body_bytes: int, left: int) -> int:
    """How many rows to try after `size` came to that; the same when it is good enough."""
    is_short = body_bytes < FULL_BYTES and size < min(left, ROWS_MAX)
    if body_bytes <= BYTES_MAX and not is_short:
        return size
    return _fitting(left, body_bytes / size * 1.02)


assert COLUMN_COUNT == 7, "the format says so"
