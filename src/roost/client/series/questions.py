"""Questions about series, built step by step; what they are sent as is `target`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import urlencode

from roost.client.series.errors import BadPoint
from roost.client.series.points import nanoseconds

# Of how many windows members make an answer at most, when they choose how wide they are.
WINDOWS_MAX = 100_000


def moment(time: Any) -> str:  # Any: a Time, or a text that the member reads
    """A moment as a request says it: a text goes as it is.

    Raises:
        BadPoint: it is none.

    """
    return time if isinstance(time, str) else str(nanoseconds(time))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for; each step gives another one."""

    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    start: str = ""
    stop: str = ""
    width: str = ""
    tz: str = ""
    aggregates: tuple[str, ...] = ()
    filling: str = ""
    group: str = ""
    points: int = 0

    def target(self, *, form: str = "json") -> str:
        """The path and the parameters.

        Raises:
            BadPoint: nothing is asked for.

        """
        if not self.names and not self.tags:
            raise BadPoint("say which series: query(name), or by_tag(tag)")
        given = [*(("name", it) for it in self.names), *(("tag", it) for it in self.tags)]
        single: Sequence[tuple[str, str]] = (
            ("start", self.start), ("end", self.stop), ("window", self.width), ("tz", self.tz),
            ("agg", ",".join(self.aggregates)), ("fill", self.filling), ("group", self.group),
            ("points", str(self.points or "")), ("format", form),
            ("precision", "ns" if form == "json" else ""),
        )  # fmt: skip
        given += [it for it in single if it[1]]
        return f"/series/query?{urlencode(given)}"


class Building:
    """The steps of a question, whoever asks it; each returns another question."""

    __slots__ = ("asked",)

    asked: Asked

    def _with(self, **changed: Any) -> Self:
        raise NotImplementedError

    def by_tag(self, *tags: str) -> Self:
        """Series that have all of these, `temp:C` or `room=1`."""
        return self._with(tags=(*self.asked.tags, *tags))

    def between(self, start: Any, stop: Any) -> Self:
        """From `start` to before `stop`: nanoseconds, datetimes, or texts as `now-1h`.

        Raises:
            BadPoint: one is no time.

        """
        return self._with(start=moment(start), stop=moment(stop))

    def window(self, width: str, tz: str = "") -> Self:
        """Windows: `15m`, `1h`; `1d`, `1w`, `1mo`, `1q`, `1y` by the calendar of a zone."""
        return self._with(width=width, tz=tz)

    def auto(self, points: int = 1000, tz: str = "") -> Self:
        """Windows as short as so many of them, or fewer, allow."""
        return self._with(points=points, width="auto", tz=tz)

    def aggregate(self, *names: str) -> Self:
        """What of each window: count sum mean min max range stddev first last median p95.

        And of counters `increase` and `rate`, by the second.
        """
        return self._with(aggregates=names)

    def fill(self, how: str) -> Self:
        """What stands in a window without numbers: none, null, previous, linear."""
        return self._with(filling=how)

    def group_by(self, tag: str) -> Self:
        """Series with one value of a tag are one."""
        return self._with(group=tag)


def changed(asked: Asked, given: dict[str, Any]) -> Asked:
    """A question with some of it another."""
    return replace(asked, **given)
