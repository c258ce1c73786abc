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
"""

import re
from dataclasses import dataclass, field

from roost.series.errors import BadPoints, BadSeries
from roost.series.extra import Floats, Ints, np
from roost.series.line_columns import SPECIAL, TRUTHS, WHOLE, columns_of
from roost.series.names import Info, Tag, check_name, labels
from roost.series.spelling import Precision
from roost.series.tables import TIME_MIN, TIME_STOP

# Bytes that are read as columns in one step, and lines one by one: a millisecond or two.
STEP_BYTES, STEP_LINES = 32 << 10, 500
# Fewer bytes are read one by one: columns cost some 0.1 ms, however few there are.
COLUMNS_BYTES_MIN = 2048
# Faults that are told one by one; the others are counted.
FAULTS_MAX = 20
# What heads of lines came to is kept for so many, and so many fields of each; then anew.
HEADS_MAX, FIELDS_MAX = 1 << 15, 1000

# A part of a name: anything but a bare comma, space or equals sign.
_PART = rb"(?:[^,= \\]|\\.)"
_HEAD = re.compile(rb"((?:[^, \\]|\\.)+)((?:,%s+=(?:[^,= \\]|\\.)+)*)" % _PART, re.DOTALL)
_TAG = re.compile(rb",(%s+)=(%s+)" % (_PART, _PART), re.DOTALL)
_FIELD = re.compile(rb'(%s+)=("(?:[^"\\]|\\.)*"|[^," ]+)(,|$)' % _PART, re.DOTALL)
_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_TIME = re.compile(rb"[+-]?\d{1,19}")
_ESCAPE = re.compile(rb"\\([,= ])")


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that is none."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Points: `places[i]` says which of `Lines.series` point i is of; times in nanoseconds."""

    places: Ints
    times: Ints
    values: Floats


@dataclass(slots=True)
class Lines:
    """What a body holds; `pieces` are its points in their order."""

    series: list[Info] = field(default_factory=list)
    pieces: list[Columns] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    line_count: int = 0
    text_field_count: int = 0

    def add(self, places: Ints, times: Ints, values: Floats) -> None:
        """Points that follow."""
        if len(places):
            self.pieces.append(Columns(places, times, values))

    @property
    def point_count(self) -> int:
        """How many points there are."""
        return sum(len(it.places) for it in self.pieces)

    def points(self) -> Columns:
        """All of them."""
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
        self._heads: dict[bytes, dict[bytes, Info]] = {}

    def begin(self, body: bytes, unit: Precision, now_ns: int) -> "Reading":
        """Begin with one."""
        return Reading(self._heads, body, unit, now_ns)


class _Places(dict[tuple[bytes, bytes], int]):
    """By a line's head and a field's name, the place of their series, found when it is asked for.

    What is missing is looked up by `dict` itself, so that whole columns are without a call each.
    """

    def __init__(self, heads: dict[bytes, dict[bytes, Info]], series: list[Info]) -> None:
        super().__init__()
        self._heads = heads
        self._series = series

    def __missing__(self, pair: tuple[bytes, bytes]) -> int:
        head, name = pair
        known = self._heads.get(head)
        if known is None or len(known) > FIELDS_MAX:
            if len(self._heads) >= HEADS_MAX:
                self._heads.clear()
            known = self._heads[head] = {}
        info = known.get(name)
        if info is None:
            info = known[name] = _info(head, name)
        place = self[pair] = len(self._series)
        self._series.append(info)
        return place

    def forget(self, count: int) -> None:
        """Leave the first `count` series, and no other."""
        while len(self._series) > count:
            self.popitem()  # the last one that was put there
            self._series.pop()


class Reading:
    """One body on its way; `step` until it says that nothing is left."""

    def __init__(
        self, heads: dict[bytes, dict[bytes, Info]], body: bytes, unit: Precision, now_ns: int
    ) -> None:
        """Use `Parser.begin`."""
        self._body = body
        self._unit_ns = unit.value
        self._now_ns = now_ns
        # How far the body is read, and how many lines that is.
        self._place = self._line_number = 0
        self.found = Lines()
        self._places = _Places(heads, self.found.series)

    def step(self) -> bool:
        """Read some more; whether there is more."""
        end = self._body.find(b"\n", self._place + STEP_BYTES) + 1 or len(self._body)
        left = STEP_LINES
        while self._place < end and left:
            stop = self._plain_until(end)
            if stop == self._place:
                stop = self._special_until(end)
            elif stop - self._place >= COLUMNS_BYTES_MIN and self._read_columns(stop):
                continue
            left -= self._read_lines(stop, left)
        return self._place < len(self._body)

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
        """Read lines as columns; False, and nothing was read, when they are not all plain."""
        columns = columns_of(self._body[self._place : stop], self._unit_ns)
        if columns is None:
            return False
        found, count = self.found, len(self.found.series)
        try:
            places = np.fromiter(
                map(self._places.__getitem__, columns.pairs()), np.int64, len(columns.names)
            )
        except BadSeries:
            # Which line that is, and whether its other fields count, is told line by line.
            self._places.forget(count)
            return False
        found.add(places, columns.times, columns.values)
        found.line_count += columns.line_count
        self._line_number += columns.line_count
        self._place = stop
        return True

    def _read_lines(self, stop: int, count_max: int) -> int:
        """Read so many lines one by one, or fewer; how many."""
        found, count = self.found, 0
        places: list[int] = []
        times: list[int] = []
        values: list[float] = []
        while count < count_max and self._place < stop:
            end = self._body.find(b"\n", self._place, stop)
            end = stop if end < 0 else end
            line = self._body[self._place : end].strip(b" \r\t")
            self._place, count = end + 1, count + 1
            self._line_number += 1
            if not line or line.startswith(b"#"):
                continue
            found.line_count += 1
            try:
                head, rest = _cut_head(line)
                fields, time = self._fields_and_time(rest)
                places += self._places_of(head, [name for name, _ in fields])
            except (BadSeries, BadPoints) as error:
                found.refuse(self._line_number, str(error))
                continue
            times += [time] * len(fields)
            values += [value for _, value in fields]
        found.add(np.array(places, np.int64), np.array(times, np.int64), np.array(values))
        return count

    def _places_of(self, head: bytes, names: list[bytes]) -> list[int]:
        count = len(self.found.series)
        try:
            return [self._places[head, name] for name in names]
        except BadSeries:
            self._places.forget(count)  # a line is taken as a whole, or not at all
            raise

    def _fields_and_time(self, rest: bytes) -> tuple[list[tuple[bytes, float]], int]:
        end = _end_of_fields(rest)
        fields, text_count, place, is_more = [], 0, 0, True
        part = rest[:end]
        while is_more:
            match = _FIELD.match(part, place)
            if match is None:
                raise BadPoints(f"{_shown(part[place:])}: write fields as name=value,other=value")
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
            raise BadPoints(f"{_shown(text)} is no time: a whole number since 1970")
        time = int(text) * self._unit_ns
        if not TIME_MIN <= time < TIME_STOP:
            raise BadPoints(f"{_shown(text)} is a time out of range: 1678 to 2261")
        return time


def _cut_head(line: bytes) -> tuple[bytes, bytes]:
    """Measurement and tags, and what is behind them."""
    place = line.find(b" ")
    while place > 0 and _is_escaped(line, place):
        place = line.find(b" ", place + 1)
    if place <= 0:
        raise BadPoints("a line has a measurement, a space and fields: name,tag=value field=value")
    return line[:place], line[place + 1 :].lstrip(b" ")


def _is_escaped(line: bytes, place: int) -> bool:
    begin = place
    while begin and line[begin - 1 : begin] == b"\\":
        begin -= 1
    return (place - begin) % 2 == 1


def _end_of_fields(rest: bytes) -> int:
    """Where the space before the time is, which is in no text and not behind a backslash."""
    if b'"' not in rest and b"\\" not in rest:
        place = rest.find(b" ")
        return len(rest) if place < 0 else place
    place, is_text = 0, False
    while place < len(rest):
        byte = rest[place]
        if byte == 0x5C:
            place += 1
        elif byte == 0x22:
            is_text = not is_text
        elif byte == 0x20 and not is_text:
            return place
        place += 1
    return len(rest)


def _value(text: bytes) -> float:
    if _NUMBER.fullmatch(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise BadPoints(f"{_shown(text)} is more than a float of 64 bits holds")
        return value
    if WHOLE.fullmatch(text):
        return float(int(text[:-1]))
    truth = TRUTHS.get(text)
    if truth is None:
        raise BadPoints(f'{_shown(text)} is no value: 1.5, 12i, 12u, true, or "a text"')
    return truth


def _info(head: bytes, name: bytes) -> Info:
    """The series of a field."""
    match = _HEAD.fullmatch(head)
    if match is None:
        raise BadSeries(f"{_shown(head)}: write measurement,tag=value,tag=value")
    measurement, tags = match.groups()
    given = [Tag(_text(key), _text(value)) for key, value in _TAG.findall(tags)]
    return Info(check_name(f"{_text(measurement)}.{_text(name)}"), labels(given))


def _text(escaped: bytes) -> str:
    try:
        return _ESCAPE.sub(rb"\1", escaped).decode()
    except UnicodeDecodeError as error:
        raise BadSeries(f"{_shown(escaped)} is no text in UTF-8") from error


def _shown(text: bytes) -> str:
    """A part of a line, as it is shown to people."""
    return repr(text[:60].decode(errors="backslashreplace"))
