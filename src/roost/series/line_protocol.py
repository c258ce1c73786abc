r"""InfluxDB's line protocol, as its clients and Telegraf send it.

    measurement,tag=value,tag=value field=value,field=value 1709251200000000000

A field `f` of a measurement `m` is the series `m.f` with the tags as its labels.  Values of fields
are floats, whole numbers (`12i`, `12u`) and truths (`t`, `true`, ...; 1 and 0).  A series has
numbers only: a text in quotes beside numbers is left out and counted, and a line that has nothing
else is refused, as is NaN.  A line without a time has the one at which it came.  Behind a backslash
a comma, a space or an equals sign is a part of a name; empty lines and those that begin with `#`
say nothing.

A line that is none is told by its number, from 1, and the others are taken.

Bodies are read in pieces of some hundred lines, and cut where a line has quotes, a backslash or
other signs of its own.  A piece in which each line is plainly three words (`line_columns`) is read
as columns; any other, and one in which something is wrong, line by line, which is the one way that
knows all of the above and says what is wrong.

Full?  A line has LINE_BYTES_MAX, LINE_FIELDS_MAX and LINE_ESCAPES_MAX at most, for it is read in
one step.  Points and series are taken out of a body that is on its way (`Reading.take`): of 32 MiB
there may be millions, and to put them together or to forget them all at once takes longer than a
turn has.
"""

import re
from dataclasses import dataclass, field

from roost.series.errors import BadPoints, BadSeries
from roost.series.extra import Floats, Ints, np
from roost.series.line_columns import SPECIAL, TRUTHS, WHOLE, LineColumns, columns_of
from roost.series.line_heads import FIELDS_MAX, PART, EnoughNew, Heads, Places, shown
from roost.series.names import Info
from roost.series.spelling import Precision
from roost.series.tables import TIME_MIN, TIME_STOP

# Bytes that are read as columns in one step, and lines one by one: a millisecond or two.
STEP_BYTES, STEP_LINES = 16 << 10, 500
# Names of fields that are looked at for the first time, in a step; each takes 15 to 25 µs.
STEP_NEW = 50
# What one line may have.
LINE_BYTES_MAX, LINE_FIELDS_MAX, LINE_ESCAPES_MAX = 64 << 10, FIELDS_MAX, 12_000
# A field takes half as long as a line without any, or less; one that is new as long as two.
_FIELDS_A_LINE, _NEW_LINES = 2, 2
# So many backslashes take as long as a line without any.
_ESCAPES_A_LINE = 20
# Series, or points, after which it is time to take them.
SERIES_MAX, POINTS_MAX = 2000, 1 << 14
# Fewer bytes are read one by one: columns cost some 0.1 ms, however few there are.
COLUMNS_BYTES_MIN = 2048
# Faults that are told one by one; the others are counted.
FAULTS_MAX = 20
_FIELD = re.compile(rb'(%s+)=("(?:[^"\\]|\\.)*"|[^," ]+)(,|$)' % PART, re.DOTALL)
_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_TIME = re.compile(rb"[+-]?\d{1,19}")
# A head up to a space that is not behind a backslash.
_HEAD_END = re.compile(rb"(?:[^\\ ]+|\\(?:.|\Z))*", re.DOTALL)
# Fields up to a space that is in no text and not behind a backslash.
_FIELDS = re.compile(rb'(?:[^"\\ ]+|\\(?:.|\Z)|"(?:[^"\\]+|\\(?:.|\Z))*(?:"|\Z))*', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that is none."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Points: `places[i]` says which series point i is of; times in nanoseconds."""

    places: Ints
    times: Ints
    values: Floats


@dataclass(slots=True)
class Lines:
    """What a body holds; of points, in their order, and their series what is not taken yet."""

    series: list[Info] = field(default_factory=list)
    pieces: list[Columns] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    line_count: int = 0
    text_field_count: int = 0
    point_count: int = 0

    def add(self, places: Ints, times: Ints, values: Floats) -> None:
        """Points that follow."""
        if len(places):
            self.pieces.append(Columns(places, times, values))
            self.point_count += len(places)

    def points(self) -> Columns:
        """Those that are not taken yet."""
        if not self.pieces:
            return Columns(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        return Columns(
            np.concatenate([it.places for it in self.pieces]),
            np.concatenate([it.times for it in self.pieces]),
            np.concatenate([it.values for it in self.pieces]),
        )

    def refuse(self, line: int, text: str) -> None:
        """One more fault."""
        self.fault_count += 1
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(Fault(line, text))


class Parser:
    """Reads bodies, one after the other; what it has seen of heads and fields it keeps."""

    def __init__(self) -> None:
        """Nothing was read."""
        # By a line's head, the series of each field's name.
        self._heads = Heads()

    def begin(self, body: bytes, unit: Precision, now_ns: int) -> "Reading":
        """Begin with one."""
        return Reading(self._heads, body, unit, now_ns)


class Reading:
    """One body on its way; `step` until it says that nothing is left."""

    def __init__(self, heads: Heads, body: bytes, unit: Precision, now_ns: int) -> None:
        """Use `Parser.begin`."""
        self._heads = heads
        self._body = body
        self._unit_ns = unit.value
        self._now_ns = now_ns
        # How far the body is read, and how many lines that is.
        self._place = self._line_number = 0
        self.found = Lines()
        self._places = Places(heads, self.found.series)
        # The piece that is next, where its fields are looked at, some with each step; and how many
        # series there were before it.
        self._columns: LineColumns | None = None
        self._columns_stop = 0
        self._before_count = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to take what was found."""
        is_much = len(self.found.series) >= SERIES_MAX or self.found.point_count >= POINTS_MAX
        return is_much and self._columns is None

    def take(self) -> tuple[list[Info], Columns]:
        """Series and points that have come since this was asked."""
        found = self.found
        series, points = found.series, found.points()
        found.series, found.pieces, found.point_count = [], [], 0
        self._places = Places(self._heads, found.series)
        return series, points

    def step(self) -> bool:
        """Read some more; whether there is more."""
        end = self._body.find(b"\n", self._place + STEP_BYTES) + 1 or len(self._body)
        most = self._place + STEP_BYTES + LINE_BYTES_MAX
        if end > most:
            # Nobody looks for anything in a line that may have 32 MiB.
            cut = self._body.rfind(b"\n", self._place, most) + 1
            if not cut:
                self._refuse_line(end)
                return end < len(self._body)
            end = cut
        left = STEP_LINES
        while self._place < end and left > 0:
            # What is amid its columns ends where they do, wherever this step would have ended.
            stop = self._plain_until(end) if self._columns is None else self._columns_stop
            if stop == self._place:
                stop = self._special_until(end)
            elif stop - self._place >= COLUMNS_BYTES_MIN and self._read_columns(stop):
                if self._columns is not None:
                    return True  # its turn is over
                continue
            left -= self._read_lines(stop, left)
        return self._place < len(self._body)

    def _refuse_line(self, end: int) -> None:
        """One that is too long is none."""
        size, self._place = end - self._place, end
        self._line_number += 1
        self.found.line_count += 1
        self.found.refuse(self._line_number, _too_long(size))

    def _plain_until(self, end: int) -> int:
        """Where the first line begins that has signs of its own."""
        match = SPECIAL.search(self._body, self._place, end)
        if match is None:
            return end
        return max(self._place, self._body.rfind(b"\n", self._place, match.start()) + 1)

    def _special_until(self, end: int) -> int:
        """Where the first line begins that has none."""
        place = self._place
        while place < end:
            stop = self._body.find(b"\n", place, end) + 1 or end
            if SPECIAL.search(self._body, place, stop) is None:
                break
            place = stop
        return place

    def _read_columns(self, stop: int) -> bool:
        """Read lines as columns; False, and nothing was read, when they are not all plain.

        True, and nothing was read either, where many fields are looked at for the first time: the
        others follow in the next step.
        """
        columns, self._columns = self._columns, None
        if columns is None:
            self._before_count = len(self.found.series)
            # Twice as much is a piece that ends with a long line.
            is_short = stop - self._place <= 2 * STEP_BYTES
            columns = (
                columns_of(self._body[self._place : stop], self._unit_ns) if is_short else None
            )
        if columns is None or max(columns.counts) > LINE_FIELDS_MAX:
            return False
        found = self.found
        self._heads.new_left = STEP_NEW
        try:
            places = np.fromiter(
                map(self._places.__getitem__, columns.pairs()), np.int64, len(columns.names)
            )
        except BadSeries:
            # Which line that is, and whether its other fields count, is told line by line.
            self._places.forget(self._before_count)
            return False
        except EnoughNew:
            self._columns, self._columns_stop = columns, stop
            return True
        finally:
            self._heads.new_left = None
        found.add(places, columns.times, columns.values)
        found.line_count += columns.line_count
        self._line_number += columns.line_count
        self._place = stop
        return True

    def _read_lines(self, stop: int, count_max: int) -> int:
        """Read so many lines one by one, or fewer; how many that was, as long as they took."""
        found, count = self.found, 0
        places: list[int] = []
        times: list[int] = []
        values: list[float] = []
        self._heads.new_left = STEP_NEW
        while count < count_max and self._place < stop:
            begin = self._place
            end = self._body.find(b"\n", self._place, stop)
            end = stop if end < 0 else end
            line = self._body[self._place : end].strip(b" \r\t")
            self._place, count = end + 1, count + 1
            self._line_number += 1
            if not line or line.startswith(b"#"):
                continue
            found.line_count += 1
            before, text_count = len(found.series), found.text_field_count
            try:
                if len(line) > LINE_BYTES_MAX:
                    raise BadPoints(_too_long(len(line)))
                escape_count = line.count(b"\\")
                if escape_count > LINE_ESCAPES_MAX:
                    raise BadPoints(
                        f"a line of {escape_count} backslashes: {LINE_ESCAPES_MAX} are the most"
                    )
                count += escape_count // _ESCAPES_A_LINE
                head, rest = _cut_head(line)
                fields, time = self._fields_and_time(rest)
                places += self._places_of(head, [name for name, _ in fields])
            except (BadSeries, BadPoints) as error:
                found.refuse(self._line_number, str(error))
                continue
            except EnoughNew:
                # It is read once more, and more of it is known then.
                self._place, self._line_number = begin, self._line_number - 1
                found.line_count -= 1
                found.text_field_count = text_count
                count = count_max
                break
            count += len(fields) // _FIELDS_A_LINE + _NEW_LINES * (len(found.series) - before)
            times += [time] * len(fields)
            values += [value for _, value in fields]
        self._heads.new_left = None
        found.add(np.array(places, np.int64), np.array(times, np.int64), np.array(values))
        return count

    def _places_of(self, head: bytes, names: list[bytes]) -> list[int]:
        count = len(self.found.series)
        try:
            return [self._places[head, name] for name in names]
        except (BadSeries, EnoughNew):
            self._places.forget(count)  # a line is taken as a whole, or not at all
            raise

    def _fields_and_time(self, rest: bytes) -> tuple[list[tuple[bytes, float]], int]:
        end = _end_of_fields(rest)
        fields, text_count, place, is_more = list[tuple[bytes, float]](), 0, 0, True
        part = rest[:end]
        while is_more:
            if len(fields) + text_count >= LINE_FIELDS_MAX:
                raise BadPoints(f"a line of more than {LINE_FIELDS_MAX} fields")
            match = _FIELD.match(part, place)
            if match is None:
                raise BadPoints(f"{shown(part[place:])}: write fields as name=value,other=value")
            name, text, comma = match.groups()
            if text.startswith(b'"'):
                text_count += 1
            else:
                fields.append((name, _value(text)))
            place, is_more = match.end(), bool(comma)
        if not fields:
            raise BadPoints("a line with nothing but texts: a series has numbers")
        time = self._time(rest[end:].strip(b" "))
        self.found.text_field_count += text_count
        return fields, time

    def _time(self, text: bytes) -> int:
        if not text:
            return self._now_ns
        if not _TIME.fullmatch(text):
            raise BadPoints(f"{shown(text)} is no time: a whole number since 1970")
        time = int(text) * self._unit_ns
        if not TIME_MIN <= time < TIME_STOP:
            raise BadPoints(f"{shown(text)} is a time out of range: 1678 to 2261")
        return time


def _too_long(size: int) -> str:
    return f"a line of {size} bytes: {LINE_BYTES_MAX} are the most"


def _cut_head(line: bytes) -> tuple[bytes, bytes]:
    """Measurement and tags, and what is behind them."""
    match = _HEAD_END.match(line)
    assert match is not None, "nothing is a match as well"
    place = match.end()
    if place in (0, len(line)):
        raise BadPoints("a line has a measurement, a space and fields: name,tag=value field=value")
    return line[:place], line[place + 1 :].lstrip(b" ")


def _end_of_fields(rest: bytes) -> int:
    """Where the space before the time is, which is in no text and not behind a backslash."""
    if b'"' not in rest and b"\\" not in rest:
        place = rest.find(b" ")
        return len(rest) if place < 0 else place
    match = _FIELDS.match(rest)
    assert match is not None, "nothing is a match as well"
    return match.end()


def _value(text: bytes) -> float:
    if _NUMBER.fullmatch(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise BadPoints(f"{shown(text)} is more than a float of 64 bits holds")
        return value
    if WHOLE.fullmatch(text):
        return float(int(text[:-1]))
    truth = TRUTHS.get(text)
    if truth is None:
        raise BadPoints(f'{shown(text)} is no value: 1.5, 12i, 12u, true, or "a text"')
    return truth
