"""Points as a client gathers them, and as they are sent: frames of columns (series/frames.py).

    u8 kind, u32 bytes     1: a JSON list of names, numbered on from 0
                           2: u32 count, u32 numbers of names, i64 times in ns, f64 values
                           3: u64 number of a flush

Nothing here needs numpy; arrays of it, and whatever has `to_numpy`, are taken as they are.
"""

import sys
from array import array
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any

import msgspec

from roost.client.series.errors import BadPoint

# A frame has so many points at most, which is less than 2 MiB; and so many bytes of names.
FRAME_POINTS_MAX, FRAME_NAMES_BYTES = 65_536, 1 << 20
# Different series that one request may name.
NAMES_MAX = 1 << 17
# What a request of them says it is.
COLUMNS = {"content-type": "application/vnd.roost.points"}
_HEAD = Struct("<BI")
_COUNT = Struct("<I")
_FLUSH = Struct("<BIQ")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME_MIN, _TIME_STOP = -(1 << 63) + (1 << 52), (1 << 63) - (1 << 52)
Time = int | datetime


def nanoseconds(time: Any) -> int:  # Any: a Time, or numpy's
    """A moment as nanoseconds since 1970: a whole number, a datetime with a zone, or numpy's.

    Raises:
        BadPoint: it is none.

    """
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise BadPoint(f"{time!r} has no zone: datetime.now(UTC), or replace(tzinfo=...)")
        return (time - _EPOCH) // _MICROSECOND * 1000
    if hasattr(time, "astype"):  # numpy's datetime64, and its whole numbers
        return int(_as_ns(time))
    if not isinstance(time, int) or isinstance(time, bool):
        raise BadPoint(f"{time!r} is no time: nanoseconds since 1970, or a datetime with a zone")
    return time


def _as_ns(times: Any) -> Any:  # Any: what numpy has
    kind = times.dtype.kind
    if kind == "M":
        return times.astype("datetime64[ns]").astype("int64")
    if kind not in "iu":
        raise BadPoint(f"times of {times.dtype}: whole numbers of nanoseconds, or datetime64")
    return times.astype("int64")


class Buffer:
    """Points that were not sent yet, and the names that ever were, by their numbers."""

    def __init__(self) -> None:
        """There is nothing."""
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._places, self._times, self._values = array("I"), array("q"), array("d")
        assert self._places.itemsize == 4, "an unsigned int of C"

    def __len__(self) -> int:
        """How many points there are."""
        return len(self._times)

    def number(self, name: str) -> int:
        """The number of a name; below 0 when there is none left, before `forget_names`.

        Raises:
            BadPoint: no member takes it, nor anything of a stream that it comes in.

        """
        number = self._numbers.get(name)
        if number is None:
            _check_name(name)
            if len(self.names) >= NAMES_MAX:
                return -1
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
        return number

    def forget_names(self) -> None:
        """Number names anew; nothing that has numbers may wait any more."""
        assert not len(self), "points with numbers are sent first"
        self.names.clear()
        self._numbers.clear()

    def add(self, number: int, time: Any, value: float) -> int:
        """One more; how many there are.

        Raises:
            BadPoint: it is none.

        """
        at_ns = time if type(time) is int else nanoseconds(time)
        if not _TIME_MIN <= at_ns < _TIME_STOP:
            raise BadPoint(f"{time!r} is not from 1678 to 2261")
        try:
            self._values.append(value)
        except TypeError as error:
            raise BadPoint(f"{value!r} is no number") from error
        self._times.append(at_ns)
        self._places.append(number)
        return len(self._times)

    def add_many(self, number: int, times: Any, values: Any) -> int:
        """As many as there are of both; how many there are then.

        Raises:
            BadPoint: they are none, or not as many of each.

        """
        new_times, new_values = _times_of(times), _values_of(values)
        if len(new_times) != len(new_values):
            raise BadPoint(f"{len(new_times)} times and {len(new_values)} values")
        if len(new_times) and not (min(new_times) >= _TIME_MIN and max(new_times) < _TIME_STOP):
            raise BadPoint("times are not from 1678 to 2261")
        self._times += new_times
        self._values += new_values
        self._places += array("I", [number]) * len(new_times)
        return len(self._times)

    def take(self) -> list[bytes]:
        """All of it as frames of points; `names` says what their numbers are."""
        frames = []
        for begin in range(0, len(self._times), FRAME_POINTS_MAX):
            part = slice(begin, begin + FRAME_POINTS_MAX)
            columns = (self._places[part], self._times[part], self._values[part])
            body = _COUNT.pack(len(columns[0])) + b"".join([_little(it) for it in columns])
            frames.append(_HEAD.pack(2, len(body)) + body)
        self._places, self._times, self._values = array("I"), array("q"), array("d")
        return frames


def _check_name(name: str) -> None:
    """Refuse what no member reads as a name; what they refuse besides, they say."""
    head, brace, _ = name.partition("{")
    if not head or any(it < " " for it in head) or (brace and not name.endswith("}")):
        raise BadPoint(f"{name!r} is no name of a series: say sensor1.heat, or cpu{{host=a}}")


def names_frames(names: Iterable[str]) -> Iterator[bytes]:
    """Names that get the next numbers, in as many frames as they take."""
    held: list[bytes] = []
    size = 0
    for it in map(msgspec.json.encode, names):
        if held and size + len(it) > FRAME_NAMES_BYTES:
            yield _names_frame(held)
            held, size = [], 0
        held.append(it)
        size += len(it) + 1
    if held:
        yield _names_frame(held)


def _names_frame(texts: list[bytes]) -> bytes:
    body = b"[" + b",".join(texts) + b"]"
    return _HEAD.pack(1, len(body)) + body


def flush_frame(number: int) -> bytes:
    """A question that is answered when all before it is durable."""
    return _FLUSH.pack(3, 8, number)


def _little(column: Any) -> bytes:  # Any: an array of numbers
    if sys.byteorder == "big":
        column.byteswap()
    return bytes(column.tobytes())


def _plain(given: Any) -> Any:  # Any: lists, arrays, columns of frames
    return given.to_numpy() if hasattr(given, "to_numpy") else given


def _times_of(given: Any) -> "array[int]":
    held = _plain(given)
    if hasattr(held, "dtype"):
        found = array("q")
        found.frombytes(_as_ns(held).tobytes())
        return found
    return array("q", map(nanoseconds, held))


def _values_of(given: Any) -> "array[float]":
    held = _plain(given)
    found = array("d")
    if hasattr(held, "dtype"):
        found.frombytes(held.astype("float64").tobytes())
        return found
    try:
        found.extend(held)
    except TypeError as error:
        raise BadPoint(f"values are numbers: {error}") from error
    return found
