"""Windows: where ranges of time that people ask for begin and end, in any time zone.

A fixed width is nanoseconds; windows of one begin at whole multiples of it since 1970, in UTC, and
in another zone at each midnight there, so an hour is an hour of that zone's clock, and the last
window before a midnight may be shorter.  A calendar unit is a day, a week from Monday, a month, a
quarter or a year, as long as they are: the day that clocks go forward on has 23 hours.

The edges are those of all windows that have to do with a range, one more than there are windows;
the first begins at the range's start or before.
"""

from collections.abc import Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import Enum
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from roost.series.errors import BadWindow
from roost.series.extra import Ints, np
from roost.series.tables import TIME_MIN, TIME_STOP

WINDOWS_MAX = 100_000
# Days that are found in one step, which is as much as so many rows.
STEP_DAYS, STEP_ROWS = 256, 64
_WIDTH_MAX = 1 << 52  # so that no edge is out of int64
_DAY_NS = 86_400 * 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CALENDAR_MIN = -(1 << 63) + (1 << 55)  # years that a date can be asked for, with room
_CALENDAR_STOP = (1 << 63) - (1 << 55)


class Unit(Enum):
    """What the calendar has."""

    DAY = "d"
    WEEK = "w"
    MONTH = "mo"
    QUARTER = "q"
    YEAR = "y"


@dataclass(frozen=True, slots=True)
class Fixed:
    """Windows of so many nanoseconds."""

    width_ns: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """Windows of so many units: days and weeks since 1970, the others since the year 0."""

    unit: Unit
    count: int = 1


Window = Fixed | Calendar


def zone(name: str) -> tzinfo:
    """A time zone by its name in the database of zones.

    Raises:
        BadWindow: there is none of that name.

    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadWindow(f"{name!r} is no time zone that this machine knows: write Area/City, or "
                        "install tzdata") from error  # fmt: skip


def check(window: Window, start: int, stop: int) -> None:
    """Refuse windows of a range that there are none of.

    Raises:
        BadWindow: the range or the width is none, or there are more than WINDOWS_MAX.

    """
    if not TIME_MIN <= start < stop <= TIME_STOP:
        raise BadWindow(f"from {start} to {stop} is no range of nanoseconds since 1970")
    if isinstance(window, Fixed):
        width = window.width_ns
        if width > _WIDTH_MAX:
            raise BadWindow(f"windows of {width} ns: longer than 52 days they are months, or years")
        if width < 1 or (stop - start) // max(width, 1) > WINDOWS_MAX:
            raise BadWindow(f"windows of {width} ns: {WINDOWS_MAX} of them are the most")
        return
    if window.count < 1:
        raise BadWindow(f"windows of {window.count} {window.unit.value}")
    if not _CALENDAR_MIN <= start <= stop <= _CALENDAR_STOP:
        raise BadWindow("a calendar has the years from 1679 to 2261")
    # Months are fewer than that in all of time.
    days = _DAYS.get(window.unit, 30) * window.count
    if (stop - start) // (days * _DAY_NS) > WINDOWS_MAX:
        raise BadWindow(f"more than {WINDOWS_MAX} windows: ask for longer ones")


def edges(window: Window, start: int, stop: int, tz: tzinfo = UTC) -> Ints:
    """The edges of the windows that a range has to do with, in order.

    Raises:
        BadWindow: as `check`.

    """
    return next(it for it in _told(_edges(window, start, stop, tz)) if it is not None)


async def edges_in_turns(
    window: Window, start: int, stop: int, tz: tzinfo, spend: Callable[[int], Awaitable[None]]
) -> Ints:
    """The same, for a loop that is not to wait for a hundred thousand days.

    Raises:
        BadWindow: as `check`.

    """
    for found in _told(_edges(window, start, stop, tz)):
        if found is not None:
            return found
        await spend(STEP_ROWS)
    raise AssertionError("what was found comes last")


# What is made of a range, a step at a time.
_Steps = Generator[None, None, Ints]


def _told(steps: _Steps) -> Iterator[Ints | None]:
    """None for each step, and then what was found."""
    yield (yield from steps)


def _edges(window: Window, start: int, stop: int, tz: tzinfo) -> _Steps:
    check(window, start, stop)
    if isinstance(window, Calendar):
        return (yield from _calendar(window, start, stop, tz))
    width = window.width_ns
    if tz is UTC or width > _DAY_NS:
        first = start // width * width
        count = -(-(stop - first) // width)
        return np.arange(count + 1, dtype=np.int64) * width + first
    midnights = yield from _calendar(Calendar(Unit.DAY), start, stop, tz)
    parts = []
    for begin in range(0, len(midnights) - 1, STEP_DAYS):
        days = pairwise(midnights[begin : begin + STEP_DAYS + 1].tolist())
        parts.append(np.concatenate([np.arange(day, end, width) for day, end in days]))
        yield
    found: Ints = np.concatenate((*parts, midnights[-1:]))
    first = int(np.searchsorted(found, start, side="right")) - 1
    last = int(np.searchsorted(found, stop))
    return found[first : last + 1]


def _calendar(window: Calendar, start: int, stop: int, tz: tzinfo) -> _Steps:
    parts = []
    places = _places(window, start, stop, tz)
    for begin in range(places.start, places.stop, STEP_DAYS):
        some = places[begin - places.start :][:STEP_DAYS]
        parts.append(np.array([_beginning(window, it, tz) for it in some], np.int64))
        yield
    # A day that a zone left out, when it changed sides of the date line, has no width.
    found: Ints = np.concatenate(parts)
    different: Ints = found[np.append(found[:-1] != found[1:], True)]
    return different


def _places(window: Calendar, start: int, stop: int, tz: tzinfo) -> range:
    """Windows from the one that `start` is in to the first that begins at `stop` or behind."""
    first, last = (_place(window, _local(it, tz)) for it in (start, stop))
    while _beginning(window, first, tz) > start:
        first -= 1
    while _beginning(window, last, tz) < stop:
        last += 1
    return range(first, last + 1)


def _beginning(window: Calendar, place: int, tz: tzinfo) -> int:
    """When a window begins; one that began before all times, or would behind them, at their end."""
    try:
        found = _midnight(_first_day(window, place), tz)
    except (ValueError, OverflowError):  # of a year that no date has
        found = TIME_MIN if place <= 0 else TIME_STOP
    return max(TIME_MIN, min(found, TIME_STOP))


def _local(time: int, tz: tzinfo) -> date:
    return (_EPOCH + timedelta(microseconds=time // 1000)).astimezone(tz).date()


def _midnight(day: date, tz: tzinfo) -> int:
    """When a day begins; where clocks go forward at midnight, that is when they do."""
    moment = datetime(day.year, day.month, day.day, tzinfo=tz)
    return (moment - _EPOCH) // _MICROSECOND * 1000


_MONTHS = {Unit.MONTH: 1, Unit.QUARTER: 3, Unit.YEAR: 12}
_DAYS = {Unit.DAY: 1, Unit.WEEK: 7}
# A Monday, so that weeks begin with one.
_MONDAY = date(1969, 12, 29).toordinal()


def _place(window: Calendar, day: date) -> int:
    """The number of the window that a day is in."""
    if window.unit in _MONTHS:
        return (12 * day.year + day.month - 1) // (_MONTHS[window.unit] * window.count)
    begin = _MONDAY if window.unit is Unit.WEEK else _EPOCH.toordinal()
    return (day.toordinal() - begin) // (_DAYS[window.unit] * window.count)


def _first_day(window: Calendar, place: int) -> date:
    """The first day of a window."""
    if window.unit in _MONTHS:
        year, month = divmod(place * _MONTHS[window.unit] * window.count, 12)
        return date(year, month + 1, 1)
    begin = _MONDAY if window.unit is Unit.WEEK else _EPOCH.toordinal()
    return date.fromordinal(begin + place * _DAYS[window.unit] * window.count)


_LADDER: tuple[Window, ...] = (
    *(Fixed(it * 10**9) for it in (1, 5, 10, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600)),
    *(Calendar(it) for it in (Unit.DAY, Unit.WEEK, Unit.MONTH, Unit.QUARTER, Unit.YEAR)),
)
_ABOUT_DAYS = {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 30, Unit.QUARTER: 90, Unit.YEAR: 365}


def auto_window(start: int, stop: int, point_count: int) -> Window:
    """The shortest common window of which a range has about `point_count`, or fewer."""
    for it in _LADDER:
        width = it.width_ns if isinstance(it, Fixed) else _ABOUT_DAYS[it.unit] * _DAY_NS
        if (stop - start) // width <= max(point_count, 1):
            return it
    return Calendar(Unit.YEAR)
