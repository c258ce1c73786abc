"""What people and programs write: names of series, moments, windows, and durations.

    sensor1.heat                     a series
    cpu.usage{core="0",host=a}       one with labels; a value in quotes is a JSON string
    2024-03-01T00:00:00Z             a moment, RFC 3339, up to nanoseconds; without a zone of `tz`
    1709251200000000000              one in nanoseconds since 1970, or what `precision` says
    now, now-1h                      this member's clock, and before it
    15m, 1h, 1d, 1w, 1mo, 1q, 1y     a window; from a day on it is the calendar's

Whatever does not look so is refused by a text that says how it should.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import Enum

import msgspec

from roost.series.errors import BadPoints, BadSeries, BadWindow
from roost.series.extra import Ints, np
from roost.series.names import TAGS_MAX, Info, Tag, check_name, labels
from roost.series.tables import TIME_MIN, TIME_STOP
from roost.series.windows import Calendar, Fixed, Unit, Window

# Each space can be of one part of it only: else a text of spaces takes for ever.
_LABEL = re.compile(r'\s*([^=,{}"\s]+)\s*=(?:\s*("(?:[^"\\]|\\.)*")\s*|([^,{}"]*))(,|\})')
# More than the longest series that may be, however it is written.
SERIES_CHARACTERS_MAX = 1 << 16
_PLAIN = re.compile(r"[^,{}\"\\\s=]+")
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?"
    r"\s*([Zz]|[+-]\d\d:?\d\d)?"
)
_WHOLE = re.compile(r"[+-]?\d{1,19}")
_DURATION = re.compile(r"(\d{0,15})(ns|us|µs|ms|s|min|m|h|d|w|mo|q|y)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 10**9
_NS = {
    "ns": 1, "us": 1000, "µs": 1000, "ms": 10**6, "s": _SECOND,
    "m": 60 * _SECOND, "min": 60 * _SECOND, "h": 3600 * _SECOND,
}  # fmt: skip
_DAYS_NS = {"d": 86_400 * _SECOND, "w": 7 * 86_400 * _SECOND}
_UNITS = {it.value: it for it in Unit}


class Precision(Enum):
    """What a whole number of a time counts; its nanoseconds."""

    NS = 1
    US = 1000
    MS = 10**6
    S = _SECOND
    M = 60 * _SECOND
    H = 3600 * _SECOND


_PRECISIONS = {
    "": Precision.NS, "n": Precision.NS, "ns": Precision.NS, "u": Precision.US,
    "us": Precision.US, "µ": Precision.US, "ms": Precision.MS, "s": Precision.S,
    "m": Precision.M, "h": Precision.H,
}  # fmt: skip


def precision(text: str) -> Precision:
    """What `precision=` means, as InfluxDB's clients say it; nothing is nanoseconds.

    Raises:
        BadPoints: it is none.

    """
    try:
        return _PRECISIONS[text]
    except KeyError:
        raise BadPoints(f"precision {text!r}: say ns, us, ms, s, m or h") from None


def parse_series(text: str) -> Info:
    """A series by its name, with labels or without.

    Raises:
        BadSeries: it is none; the text says why.

    """
    if len(text) > SERIES_CHARACTERS_MAX:
        raise BadSeries(f"{text[:60]!r} and so on: {len(text)} characters are no series")
    name, brace, rest = text.partition("{")
    if not brace:
        return Info(check_name(text))
    found, place, end = list[Tag](), 0, ""
    while end != "}":
        match = _LABEL.match(rest, place)
        if match is None:
            raise BadSeries(f'{text!r}: write labels as name{{key=value,other="a b"}}')
        if len(found) == TAGS_MAX:
            raise BadSeries(f"{text[:60]!r} and so on: {TAGS_MAX} labels at most")
        key, quoted, plain, end = match.groups()
        found.append(Tag(key, plain.strip() if quoted is None else _unquoted(text, quoted)))
        place = match.end()
    if place != len(rest):
        raise BadSeries(f"{text!r} goes on behind its labels")
    return Info(check_name(name), labels(found))


def _unquoted(text: str, value: str) -> str:
    try:
        return msgspec.json.decode(value.encode(), type=str)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadSeries(f"{text!r}: {value} is no string") from error


def series_text(name: str, given: Sequence[Tag]) -> str:
    """A series as `parse_series` reads it."""
    if not given:
        return name
    parts = (f"{it.key}={_quoted(it.value)}" for it in given)
    return f"{name}{{{','.join(parts)}}}"


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else msgspec.json.encode(value).decode()


def parse_time(text: str, now_ns: int, unit: Precision = Precision.NS, tz: tzinfo = UTC) -> int:
    """A moment in nanoseconds since 1970; without a zone it is one of `tz`.

    Raises:
        BadWindow: it is none, or out of range.

    """
    text = text.strip()
    if _WHOLE.fullmatch(text):
        found = int(text) * unit.value
    elif text.startswith("now"):
        found = now_ns - (parse_duration(text[4:]) if text[3:4] == "-" else 0)
        if text != "now" and text[3:4] != "-":
            raise BadWindow(f"{text!r}: say now, or now-1h")
    else:
        found = _moment(text, tz)
    if not TIME_MIN <= found <= TIME_STOP:
        raise BadWindow(f"{text!r} is not from 1678 to 2261")
    return found


def _moment(text: str, tz: tzinfo) -> int:
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise BadWindow(
            f"{text!r} is no time: say 2024-03-01T00:00:00Z, a whole number, now or now-1h"
        )
    *parts, fraction, offset = match.groups()
    year, month, day, hour, minute, second = (int(it or 0) for it in parts)
    try:
        begin = datetime(year, month, day, hour, minute, second, tzinfo=_zone(offset, tz))
        whole = (begin - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError) as error:
        raise BadWindow(f"{text!r}: {error}") from error
    return whole * _SECOND + int((fraction or "").ljust(9, "0"))


def _zone(offset: str | None, tz: tzinfo) -> tzinfo:
    if offset is None:
        return tz
    if offset in "Zz":
        return UTC
    sign = -1 if offset[0] == "-" else 1
    digits = offset[1:].replace(":", "")
    return timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))


def parse_duration(text: str) -> int:
    """A length of time in nanoseconds, above 0; months and years have none.

    Raises:
        BadWindow: it is none.

    """
    match = _DURATION.fullmatch(text)
    width = None if match is None else {**_NS, **_DAYS_NS}.get(match[2])
    count = int(match[1] or 1) if match else 0
    if width is None or not 0 < count * width < TIME_STOP:
        raise BadWindow(f"{text!r} is no length of time: say 90s, 15m, 1h, 30d or 4w")
    return count * width


def parse_window(text: str) -> Window:
    """A window: fixed below a day, and the calendar's from there on.

    Raises:
        BadWindow: it is none.

    """
    match = _DURATION.fullmatch(text)
    if match is None or not int(match[1] or 1):
        raise BadWindow(f"{text!r} is no window: say 15m, 1h, 1d, 1w, 1mo, 1q or 1y")
    count, unit = int(match[1] or 1), match[2]
    if unit in _UNITS:
        return Calendar(_UNITS[unit], count)
    return Fixed(count * _NS[unit])


def time_texts(times: Ints, tz: tzinfo = UTC, unit: Precision | None = None) -> list[str | int]:
    """Moments as RFC 3339 in a zone, or as whole numbers of a unit."""
    if unit is not None:
        return list((times // unit.value).tolist())
    if tz is not UTC:
        return [_local(it, tz) for it in times.tolist()]
    is_whole = not len(times) or not (times % _SECOND).any()
    texts = np.datetime_as_string(times.astype("datetime64[ns]"), unit="s" if is_whole else "ns")
    return [f"{it}Z" for it in texts.tolist()]


def _local(time: int, tz: tzinfo) -> str:
    whole, fraction = divmod(time, _SECOND)
    moment = (_EPOCH + timedelta(seconds=whole)).astimezone(tz)
    text, offset = moment.strftime("%Y-%m-%dT%H:%M:%S"), moment.strftime("%z")
    digits = f".{fraction:09d}" if fraction else ""
    return f"{text}{digits}{offset[:3]}:{offset[3:5]}"
