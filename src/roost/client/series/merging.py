"""Answers of several clusters as one; and in which cluster a series is.

A series is in one cluster, by its name: each cluster's name is hashed with it, and the highest hash
has it, so that a cluster more takes over a part of all, and nothing else moves.

Without a group the answers are of different series.  With one, a series of an answer is made of
series that may be in several clusters: each is asked for what can be added up (`needed`), and what
was asked for is made of the sums (`merged`), as a member does it for its own series:

    count sum increase rate     added up
    min max range               the least and the most
    mean stddev                 of counts, means and squared distances from these

Percentiles cannot be made of sums, so there they are refused; so are first and last, as by a
member.  Windows that are filled are filled here, after all is merged.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from operator import add

import msgspec

from roost.client.series.answers import Answer, Table
from roost.client.series.errors import BadPoint
from roost.client.series.questions import Asked, changed

Number = float | None
_NEEDED = {
    "count": ("count",),
    "sum": ("sum", "count"),
    "min": ("min",),
    "max": ("max",),
    "range": ("min", "max"),
    "mean": ("count", "mean"),
    "stddev": ("count", "mean", "stddev"),
    "increase": ("increase",),
    "rate": ("rate",),
}
# As a member reads labels (`roost.series.spelling`): spaces around them are none of theirs.
_LABEL = re.compile(r'\s*([^=,{}"\s]+)\s*=(?:\s*("(?:[^"\\]|\\.)*")\s*|([^,{}"]*))([,}])')


def canonical(series: str) -> str:
    """A series with its labels in order, so that one series has one name.

    What is no name stays as it is: a member will say so.
    """
    name, brace, rest = series.partition("{")
    if not brace:
        return series
    found, place = [], 0
    while (match := _LABEL.match(rest, place)) is not None:
        key, quoted, plain, end = match.groups()
        try:
            text = plain.strip() if quoted is None else msgspec.json.decode(quoted, type=str)
        except msgspec.DecodeError:
            return series
        found.append((key, text))
        place = match.end()
        if end == "}":
            break
    return f"{name}\0{sorted(found)!r}" if found else series


def home_of(series: str, clusters: Iterable[str]) -> str:
    """Which of some clusters, by their names, has a series."""
    key = canonical(series).encode()
    return max(clusters, key=lambda it: (blake2b(key, salt=_salt(it)).digest(), it))


def _salt(cluster: str) -> bytes:
    return blake2b(cluster.encode(), digest_size=blake2b.SALT_SIZE).digest()


def needed(asked: Asked) -> Asked:
    """What each cluster is asked for.

    Raises:
        BadPoint: it cannot be merged, or each would choose windows of its own.

    """
    has_span = asked.start and asked.stop
    if (asked.filling not in ("", "none") or asked.width == "auto") and not has_span:
        raise BadPoint("over several clusters windows that are chosen or filled need between(...)")
    if not asked.group:
        return asked
    names: dict[str, None] = {}
    for name in asked.aggregates or ("mean",):
        if name not in _NEEDED:
            raise BadPoint(f"{name!r} of series that are merged: it cannot be made of sums")
        names |= dict.fromkeys(_NEEDED[name])
    filling = "" if asked.filling in ("", "none") else "null"
    return changed(asked, {"aggregates": tuple(names), "filling": filling})


def merged(asked: Asked, answers: Sequence[Answer]) -> Answer:
    """One answer, in the order of names, of what was asked as `needed`."""
    found: dict[str, list[Table]] = {}
    for answer in answers:
        for table in answer.tables:
            found.setdefault(table.name, []).append(table)
    if not asked.group:
        return Answer([_below(found[name]) for name in sorted(found)])
    return Answer([_together(found[name], asked) for name in sorted(found)])


def _below(tables: Sequence[Table]) -> Table:
    """The one that has rows: a series is in one cluster, unless it was somewhere else once."""
    if len(tables) == 1:
        return tables[0]
    rows: dict[int, list[Number]] = {}
    for table in tables:
        for time, *values in zip(table.times, *table.columns.values(), strict=True):
            rows[time] = values
    times = sorted(rows)
    columns = {
        name: [rows[it][place] for it in times] for place, name in enumerate(tables[0].columns)
    }
    return Table(tables[0].name, tables[0].labels, times, columns)


@dataclass(slots=True)
class _Sums:
    """What some numbers come to; see `series.summaries`, whose rules these are."""

    count: float = 0.0
    total: float = 0.0
    mean: float = 0.0
    distances: float = 0.0
    least: float = math.nan
    most: float = math.nan
    increase: float = math.nan
    rate: float = math.nan

    def add(self, row: Mapping[str, Number]) -> None:
        """Add what one cluster has."""
        count = row.get("count") or 0.0
        self.total += row.get("sum") or 0.0
        mean, deviation = row.get("mean"), row.get("stddev")
        if count and mean is not None:
            both = self.count + count
            apart = mean - self.mean
            self.distances += (deviation or 0.0) ** 2 * count + apart**2 * self.count * count / both
            self.mean += apart * count / both
        self.count += count
        self.least = _either(min, self.least, row.get("min"))
        self.most = _either(max, self.most, row.get("max"))
        self.increase = _either(add, self.increase, row.get("increase"))
        self.rate = _either(add, self.rate, row.get("rate"))

    def get(self, name: str) -> Number:
        """What was asked for; None where there is no number."""
        found = {
            "count": self.count,
            "sum": self.total if self.count else math.nan,
            "mean": self.mean if self.count else math.nan,
            "stddev": math.sqrt(self.distances / self.count) if self.count else math.nan,
            "min": self.least,
            "max": self.most,
            "range": self.most - self.least,
            "increase": self.increase,
            "rate": self.rate,
        }[name]
        return found if math.isfinite(found) else None


def _together(tables: Sequence[Table], asked: Asked) -> Table:
    """Tables of one group, made one."""
    rows: dict[int, _Sums] = {}
    for table in tables:
        for place, time in enumerate(table.times):
            row = {name: column[place] for name, column in table.columns.items()}
            rows.setdefault(time, _Sums()).add(row)
    times = sorted(rows)
    names = asked.aggregates or ("mean",)
    columns = {name: [rows[it].get(name) for it in times] for name in names}
    for name, column in columns.items():
        if name != "count":
            _fill(column, asked.filling)
    return Table(tables[0].name, tables[0].labels, times, columns)


def _either(both: Callable[[float, float], float], held: float, given: Number) -> float:
    """Two numbers as one, where there are two."""
    if given is None:
        return held
    return given if math.isnan(held) else both(held, given)


def _fill(column: list[Number], how: str) -> None:
    """Put into gaps what was asked for; before the first number there is nothing."""
    held: tuple[int, float] | None = None
    for place, value in enumerate(column):
        if value is None:
            if how == "previous" and held is not None:
                column[place] = held[1]
            continue
        if how == "linear" and held is not None:
            begin, before = held
            for gap in range(begin + 1, place):
                column[gap] = before + (value - before) * (gap - begin) / (place - begin)
        held = place, value
