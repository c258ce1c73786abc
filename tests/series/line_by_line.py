r"""InfluxDB's line protocol, read in one way only.

    measurement,tag=value,tag=value field=value,field=value 1709251200000000000

A field `f` of a measurement `m` is the series `m.f` with the tags as its labels.  Values of fields
are floats, whole numbers (`12i`, `12u`) and truths (`t`, `true`, ...; 1 and 0).  A series has
numbers only: a text in quotes beside numbers is left out and counted, and a line that has nothing
else is refused, as is NaN.  A line without a time has the one at which it came.  Behind a backslash
a comma, a space or an equals sign is a part of a name; empty lines and those that begin with `#`
say nothing.

Each line is read by itself.  So the parser was before pieces of a body were read as columns, and it
is kept to say what has to come of any body (`test_line_columns.py`).
"""

import re
from dataclasses import dataclass, field

from roost.series.errors import BadPoints, BadSeries
from roost.series.names import Info, Tag, check_name, labels
from roost.series.spelling import Precision
from roost.series.tables import TIME_MIN, TIME_STOP

# Lines that are read in one step: a millisecond or two.
STEP_LINES = 500
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
_WHOLE = re.compile(rb"[+-]?\d{1,20}[iu]")
_TIME = re.compile(rb"[+-]?\d{1,19}")
_ESCAPE = re.compile(rb"\\([,= ])")
_TRUTHS = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), 1.0),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), 0.0),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that is none."""

    line: int
    text: str


@dataclass(slots=True)
class Lines:
    """Points of a body: `places[i]` says which of `series` point i is of."""

    series: list[Info] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    line_count: int = 0
    text_field_count: int = 0

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


class Reading:
    """One body on its way; `step` until it says that nothing is left."""

    def __init__(
        self, heads: dict[bytes, dict[bytes, Info]], body: bytes, unit: Precision, now_ns: int
    ) -> None:
        """Use `Parser.begin`."""
        self._heads = heads
        self._lines = body.split(b"\n")
        self._unit_ns = unit.value
        self._now_ns = now_ns
        self._done = 0
        self._places: dict[int, int] = {}
        self.found = Lines()

    def step(self) -> bool:
        """Read STEP_LINES more; whether there are others."""
        found = self.found
        stop = min(self._done + STEP_LINES, len(self._lines))
        for number in range(self._done, stop):
            line = self._lines[number].strip(b" \r\t")
            if not line or line.startswith(b"#"):
                continue
            found.line_count += 1
            try:
                self._line(line)
            except (BadSeries, BadPoints) as error:
                found.refuse(number + 1, str(error))
        self._done = stop
        return stop < len(self._lines)

    def _line(self, line: bytes) -> None:
        head, rest = _cut_head(line)
        fields, time = self._fields_and_time(rest)
        known = self._heads.get(head)
        if known is None or len(known) > FIELDS_MAX:
            if len(self._heads) >= HEADS_MAX:
                self._heads.clear()
            known = self._heads[head] = {}
        series = []
        for name, _ in fields:
            info = known.get(name)
            if info is None:
                info = known[name] = _info(head, name)
            series.append(info)
        found = self.found
        for info, (_, value) in zip(series, fields, strict=True):
            place = self._places.get(id(info))
            if place is None:
                # It is kept in `series` below, so nobody else gets its id meanwhile.
                place = self._places[id(info)] = len(found.series)
                found.series.append(info)
            found.places.append(place)
            found.times.append(time)
            found.values.append(value)

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
    if _WHOLE.fullmatch(text):
        return float(int(text[:-1]))
    truth = _TRUTHS.get(text)
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
