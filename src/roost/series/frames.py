"""The streamed request of points, as bytes; sans I/O.  Two forms, by the content type.

Text (`text/plain`), a line each:

    sensor1.heat 2024-03-01T00:00:00Z 21.5        a series, a time and a value
    cpu{host="a b"} 1709251200000000000 0.5       whole numbers are nanoseconds, or `precision`'s
    #flush 7                                      answered when all before it is durable

Columns (`application/vnd.roost.points`), little-endian, a frame after the other:

     0  u8   kind    1 names, 2 points, 3 flush
     1  u32  bytes of what follows
    names    JSON list of series; the first gets the next number, from 0
    points   u32 count, then as columns: u32 numbers of names, i64 times in ns, f64 values
    flush    u64 number

What is answered, as lines of JSON: `{"flushed": 7, "index": 12}` for a flush, and at the end
`{"done": true, "points": 1000, "index": 13}` or `{"error": ..., "message": ..., "line": 3}`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from struct import Struct
from typing import Protocol

from roost.series.errors import BadPoints, BadSeries, BadWindow
from roost.series.extra import np
from roost.series.intake import Points
from roost.series.names import Info
from roost.series.spelling import Precision, parse_series, parse_time
from roost.series.tables import TIME_MIN, TIME_STOP

COLUMNS_TYPE = b"application/vnd.roost.points"
LINE_BYTES_MAX = 8192
FRAME_BYTES_MAX = 2 << 20
# Different series that one request may name.
NAMES_MAX = 1 << 17
# Lines that are read in one step, a millisecond or two; one of another series is as long as five,
# and each of its labels as one more.
STEP_LINES, SERIES_LINES = 1000, 4
# Names that are read in one, each label of which is as long as another, and points of columns.
STEP_NAMES, STEP_POINTS = 300, 1 << 14
NAMES_KIND, POINTS_KIND, FLUSH_KIND = 1, 2, 3
HEAD = Struct("<BI")
COUNT = Struct("<I")
FLUSH = Struct("<Q")
_decoder = JSONDecoder()
# What stands between the texts of a list in JSON.
_BETWEEN = re.compile(r"[ \t\n\r]*([\[,\]])[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Flush:
    """Somebody wants to know when all before it is durable."""

    number: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing; so much was read that others may have a turn."""


class Aside:
    """Work that takes too long for a turn: whoever has the event has it done on a thread."""

    __slots__ = ("_error", "_found", "_is_done", "_work")

    def __init__(self, work: Callable[[], object]) -> None:
        """Have it done by `run`."""
        self._work = work
        self._found: object = None
        self._error: Exception | None = None
        self._is_done = False

    def run(self) -> None:
        """Do it; what it comes to is told to who asked for it."""
        try:
            self._found = self._work()
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
            self._error = error
        self._is_done = True

    def found(self) -> object:
        """What it came to, or the error that it was."""
        assert self._is_done, "whoever has the event runs it"
        if self._error is not None:
            raise self._error
        return self._found


PAUSE = Pause()
Event = Points | Flush | Pause | Aside


class Frames(Protocol):
    """One request on its way."""

    def feed(self, data: bytes) -> Iterator[Event]:
        """What comes with more bytes; nothing is lost between two steps of the iterator.

        Raises:
            BadPoints, BadSeries: it is none; what was yielded before stays so.

        """

    def end(self) -> Iterator[Event]:
        """Nothing more comes.

        Raises:
            BadPoints: it ends in the middle of something.

        """


class BadLine(BadPoints):
    """A line of text that is none; `line` is its number, from 1."""

    def __init__(self, line: int, text: str) -> None:
        """Keep both."""
        super().__init__(f"line {line}: {text}")
        self.line = line


class _Columns:
    """Points as they are gathered."""

    def __init__(self) -> None:
        self._infos: list[Info] = []
        self._known: dict[str, int] = {}
        self._label_count = 0
        self.places: list[int] = []
        self.times: list[int] = []
        self.values: list[float] = []

    @property
    def series_lines(self) -> int:
        """As many lines the series took that they are of."""
        return SERIES_LINES * len(self._infos) + self._label_count

    def place(self, text: str) -> int:
        """The number of a series."""
        place = self._known.get(text)
        if place is None:
            place = self._known[text] = len(self._infos)
            info = parse_series(text)
            self._infos.append(info)
            self._label_count += len(info.labels)
        return place

    def take(self) -> Points:
        """What was gathered."""
        found = Points(
            self._infos,
            np.array(self.places, np.int64),
            np.array(self.times, np.int64),
            np.array(self.values, np.float64),
        )
        self.__init__()  # type: ignore[misc]  # as it was at the beginning
        return found


class TextFrames:
    """Lines of text."""

    def __init__(self, unit: Precision, now_ns: int) -> None:
        """Nothing has come; `now_ns` is what `now` means."""
        self._unit = unit
        self._now_ns = now_ns
        self._rest = b""
        self._line = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """See `Frames`."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            raise BadLine(self._line + len(lines) + 1, f"longer than {LINE_BYTES_MAX} bytes")
        return self._lines(lines)

    def end(self) -> Iterator[Event]:
        """See `Frames`."""
        rest, self._rest = self._rest, b""
        return self._lines([rest])

    def _lines(self, lines: list[bytes]) -> Iterator[Event]:
        columns, begun = _Columns(), self._line
        for line in lines:
            if self._line - begun + columns.series_lines >= STEP_LINES:
                begun = self._line
                yield columns.take() if columns.places else PAUSE
            self._line += 1
            if line.startswith(b"#flush "):
                number = self._number(line[7:].strip())
                if columns.places:
                    yield columns.take()
                yield Flush(number)
                continue
            if not line.strip() or line.startswith(b"#"):
                continue
            try:
                self._point(columns, line)
            except (BadSeries, BadPoints, BadWindow, ValueError) as error:
                if columns.places:
                    yield columns.take()
                raise BadLine(self._line, str(error)) from error
        if columns.places:
            yield columns.take()

    def _number(self, text: bytes) -> int:
        if not text.isdigit() or len(text) > 18:
            raise BadLine(self._line, "write #flush and a whole number")
        return int(text)

    def _point(self, columns: _Columns, line: bytes) -> None:
        parts = line.decode().rsplit(None, 2)
        if len(parts) != 3:
            raise BadPoints("a line is a series, a time and a value")
        name, time, value = parts
        place = columns.place(name)
        at_ns = parse_time(time, self._now_ns, self._unit)
        if at_ns >= TIME_STOP:
            raise BadPoints(f"{time!r} is out of range")
        columns.values.append(float(value))
        columns.places.append(place)
        columns.times.append(at_ns)


class ColumnFrames:
    """Frames of columns."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._rest = bytearray()
        self._infos: list[Info] = []

    def feed(self, data: bytes) -> Iterator[Event]:
        """See `Frames`."""
        self._rest += data
        while len(self._rest) >= HEAD.size:
            kind, size = HEAD.unpack_from(self._rest)
            if size > FRAME_BYTES_MAX:
                raise BadPoints(f"a frame of {size} bytes: {FRAME_BYTES_MAX} are the most")
            if len(self._rest) < HEAD.size + size:
                return
            body = bytes(self._rest[HEAD.size : HEAD.size + size])
            del self._rest[: HEAD.size + size]
            if kind == NAMES_KIND:
                yield from self._names(body)
            elif kind == POINTS_KIND:
                yield from self._points(body)
            elif kind == FLUSH_KIND and len(body) == FLUSH.size:
                yield Flush(FLUSH.unpack(body)[0])
            else:
                raise BadPoints(f"a frame of kind {kind} with {len(body)} bytes")

    def end(self) -> Iterator[Event]:
        """See `Frames`."""
        if self._rest:
            raise BadPoints("the request ends within a frame")
        return iter(())

    def _names(self, body: bytes) -> Iterator[Event]:
        spent = 0
        for text in _texts(body):
            if len(self._infos) >= NAMES_MAX:
                raise BadPoints(f"more than {NAMES_MAX} series in one request")
            info = parse_series(text)
            self._infos.append(info)
            spent += 1 + len(info.labels)
            if spent >= STEP_NAMES:
                spent = 0
                yield PAUSE

    def _points(self, body: bytes) -> Iterator[Event]:
        if len(body) < COUNT.size:
            raise BadPoints("points without a count")
        (count,) = COUNT.unpack_from(body)
        if len(body) != COUNT.size + 20 * count:
            raise BadPoints(f"{count} points have {COUNT.size + 20 * count} bytes")
        if not count:
            return
        places = np.frombuffer(body, "<u4", count, COUNT.size).astype(np.int64)
        times = np.frombuffer(body, "<i8", count, COUNT.size + 4 * count).astype(np.int64)
        values = np.frombuffer(body, "<f8", count, COUNT.size + 12 * count).astype(np.float64)
        if int(places.max()) >= len(self._infos):
            raise BadPoints(f"there is no name {int(places.max())} in this request")
        if int(times.min()) < TIME_MIN or int(times.max()) >= TIME_STOP:
            raise BadPoints("times are nanoseconds since 1970, from 1678 to 2261")
        # All of the frame is good; to find which series it is of takes longer.
        for begin in range(0, count, STEP_POINTS):
            part = slice(begin, begin + STEP_POINTS)
            used, some = np.unique(places[part], return_inverse=True)
            infos = [self._infos[it] for it in used.tolist()]
            yield Points(infos, some, times[part], values[part])


def _texts(body: bytes) -> Iterator[str]:
    """The texts of a list in JSON, one by one: all at once a megabyte takes longer than a turn has.

    Raises:
        BadPoints: it is none.

    """
    try:
        text = body.decode()
        place, sign, is_first = 0, "", True
        while sign != "]":
            match = _BETWEEN.match(text, place)
            sign, wanted = match[1] if match else "", "[" if is_first else ",]"
            if match is None or sign not in wanted:
                raise JSONDecodeError("'[', ',' or ']' is missing", text, place)
            place = match.end()
            if is_first and text[place : place + 1] == "]":
                place, sign = place + 1, "]"
            elif sign != "]":
                if text[place : place + 1] != '"':
                    raise JSONDecodeError("a text is missing", text, place)
                found, place = _decoder.raw_decode(text, place)
                yield found
            is_first = False
        if text[place:].strip(" \t\n\r"):
            raise JSONDecodeError("something follows", text, place)
    except ValueError as error:
        raise BadPoints(f"names are a list of texts in JSON: {error}") from error
