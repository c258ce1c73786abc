"""Columns of numbers as bytes: times are int64 of nanoseconds, values float64.  Format 1.

A column is written in one of these ways, and whoever keeps it keeps which, how many numbers it has
and how many bytes; all of it is little-endian:

    0  RAW      8 bytes a number
    1  REGULAR  nothing: numbers from the first to the last in equal steps, which the keeper knows
    2  PCO      a file of pcodec's standalone format, versions below 2

Every float comes back bit by bit: NaNs with their payloads, infinities, -0.0.

Bounds: a column has NUMBERS_MAX numbers at most, and decoding takes no more memory than they need.
What is no column is `SeriesDamaged`, whatever it is (`tests/series/test_columns.py`).

pcodec reads what older versions of it wrote, and not always what newer ones did; members of
different versions can be in one cluster, so it stays below its next major version.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar, cast

from roost.series.errors import SeriesDamaged
from roost.series.extra import ChunkConfig, DeltaSpec, Floats, Ints, NDArray, np, standalone

N = TypeVar("N", np.int64, np.float64)
NUMBERS_MAX = 1 << 16
# A file of pcodec's has 25 bytes besides its numbers: below this many raw ones are shorter.
SQUEEZED_MIN = 4
# Twice as fast as having pcodec try what fits best, and as small for what sensors say.
_FLOATS = ChunkConfig(4, delta_spec=DeltaSpec.try_consecutive(1))
# Times that are nearly regular are half as large when it tries.
_INTS = ChunkConfig(4)


class Codec(IntEnum):
    """How a column is written."""

    RAW = 0
    REGULAR = 1
    PCO = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column as bytes."""

    codec: Codec
    body: bytes


def encode_floats(values: Floats) -> Column:
    """Values as a column, the smaller way of the two."""
    return _squeezed(values, _FLOATS)


def encode_ints(numbers: Ints) -> Column:
    """Whole numbers as a column; the keeper knows how many there are, the first and the last."""
    if is_regular(numbers):
        return Column(Codec.REGULAR, b"")
    return _squeezed(numbers, _INTS)


def is_regular(numbers: Ints) -> bool:
    """Whether numbers go on in equal steps, which then follow from count, first and last."""
    count = len(numbers)
    if count <= 1:
        return True
    first, step = int(numbers[0]), int(numbers[1]) - int(numbers[0])
    if not -(1 << 63) <= step < 1 << 63 or not (np.diff(numbers) == step).all():
        return False
    # A difference of more than 64 bits has wrapped around, and shows here.
    return int(numbers[-1]) - first == (count - 1) * step


def _squeezed(numbers: Floats | Ints, config: ChunkConfig) -> Column:
    assert len(numbers) <= NUMBERS_MAX, "whoever keeps it cuts it"
    if len(numbers) >= SQUEEZED_MIN:
        body = cast("bytes", standalone.simple_compress(np.ascontiguousarray(numbers), config))
        if len(body) < 8 * len(numbers):
            return Column(Codec.PCO, body)
    return Column(Codec.RAW, numbers.astype(numbers.dtype.newbyteorder("<"), copy=False).tobytes())


def decode_floats(codec: int, body: bytes | memoryview, count: int) -> Floats:
    """Values of a column.

    Raises:
        SeriesDamaged: it is none of `count` values.

    """
    _check(count)
    if codec == Codec.RAW:
        return _raw(body, count, np.float64)
    if codec == Codec.PCO:
        return _expanded(body, count, np.float64)
    raise SeriesDamaged(f"values are not written in the way {codec}")


def decode_ints(codec: int, body: bytes | memoryview, count: int, first: int, last: int) -> Ints:
    """Whole numbers of a column that has these at its ends.

    Raises:
        SeriesDamaged: it is none of `count` such numbers.

    """
    _check(count)
    if codec == Codec.REGULAR:
        return _regular(body, count, first, last)
    if codec == Codec.RAW:
        found = _raw(body, count, np.int64)
    elif codec == Codec.PCO:
        found = _expanded(body, count, np.int64)
    else:
        raise SeriesDamaged(f"whole numbers are not written in the way {codec}")
    if count and (found[0] != first or found[-1] != last):
        raise SeriesDamaged("a column has other numbers at its ends than it is said to have")
    return found


def _check(count: int) -> None:
    if not 0 <= count <= NUMBERS_MAX:
        raise SeriesDamaged(f"a column of {count} numbers; {NUMBERS_MAX} are the most")


def _regular(body: bytes | memoryview, count: int, first: int, last: int) -> Ints:
    if len(body):
        raise SeriesDamaged("a regular column has no bytes")
    step, rest = divmod(last - first, max(count - 1, 1))
    if rest or (count <= 1 and step) or not -(1 << 63) <= step < 1 << 63:
        raise SeriesDamaged(f"no {count} numbers go from {first} to {last} in equal steps")
    return np.arange(count, dtype=np.int64) * step + first


def _raw(body: bytes | memoryview, count: int, kind: type[N]) -> NDArray[N]:
    if len(body) != 8 * count:
        raise SeriesDamaged(f"{len(body)} bytes are no column of {count} numbers")
    return np.frombuffer(body, np.dtype(kind).newbyteorder("<")).astype(kind)


def _expanded(body: bytes | memoryview, count: int, kind: type[N]) -> NDArray[N]:
    found = np.empty(count, kind)
    try:
        progress = standalone.simple_decompress_into(bytes(body), found)
    except (RuntimeError, TypeError) as error:
        raise SeriesDamaged(f"a column cannot be expanded: {error}") from error
    if progress.n_processed != count or not progress.finished:
        raise SeriesDamaged(f"a column has not {count} numbers")
    return found
