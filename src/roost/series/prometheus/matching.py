"""Which series matchers mean: by the rows of names and tags first, then by each one's labels.

For Prometheus a series has the labels that it was written with, and the tags that were put on it
later, where no label is called so; its name is the label `__name__`.

A name, or a label, that has to be one of some values is looked up; where there is neither, all
names are read, SCANNED_MAX of them at most.  Patterns are RE2's and have to fit a whole value; the
time they take grows with the value's length and no faster.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from roost.series.names import Info, Tag
from roost.series.prometheus.errors import BadQuery, QueryTooLarge
from roost.series.prometheus.extra import re2
from roost.series.prometheus.plan import NAME, Matcher, MatchKind
from roost.series.prometheus.vectors import Labels
from roost.series.reading import Reading
from roost.series.selecting import SERIES_MAX

SCANNED_MAX = 200_000
# Bytes of memory that one pattern may take, and its length; how many are kept.
PATTERN_MEMORY, PATTERN_BYTES_MAX, PATTERNS_KEPT = 1 << 20, 16 << 10, 256
# A pattern that is nothing but some values: what a choice of several in Grafana comes to.
_VALUES = re.compile(r"[^\\.+*?()|\[\]{}^$]+(?:\|[^\\.+*?()|\[\]{}^$]+)*")


class Pattern:
    """A regular expression that has to fit a whole text."""

    def __init__(self, text: str) -> None:
        """Compile it.

        Raises:
            BadQuery: it is none, or too large.

        """
        if len(text.encode()) > PATTERN_BYTES_MAX:
            raise BadQuery(f"a pattern of more than {PATTERN_BYTES_MAX} bytes: make it shorter")
        options = re2.Options()
        options.max_mem = PATTERN_MEMORY
        options.log_errors = False
        options.dot_nl = True  # as from Prometheus 3 on
        try:
            self._compiled: Any = re2.compile(text, options)
        except re2.error as error:
            raise BadQuery(f"{text!r} is no pattern of RE2: {_told(error)}") from error
        self.names: dict[str, int] = dict(self._compiled.groupindex)

    def fits(self, text: str) -> bool:
        """Whether it fits."""
        return self._compiled.fullmatch(text) is not None

    def groups(self, text: str) -> list[str] | None:
        """The whole text and what its groups have; None when it does not fit."""
        match = self._compiled.fullmatch(text)
        return None if match is None else [match[0], *(it or "" for it in match.groups())]


def _told(error: Exception) -> str:
    told = error.args[0] if error.args else error
    return told.decode(errors="replace") if isinstance(told, bytes) else str(told)


@lru_cache(PATTERNS_KEPT)
def pattern(text: str) -> Pattern:
    """A pattern, compiled once.

    Raises:
        BadQuery: it is none, or too large.

    """
    return Pattern(text)


@dataclass(frozen=True, slots=True)
class Matching:
    """Matchers that were checked."""

    matchers: tuple[Matcher, ...]

    def fits(self, labels: dict[str, str]) -> bool:
        """Whether a series is meant."""
        return all(fits(it, labels.get(it.name, "")) for it in self.matchers)

    def values(self, name: str) -> list[str] | None:
        """The values that a label has to have one of; None when that is not known."""
        found: list[str] | None = None
        for it in self.matchers:
            values = _values(it) if it.name == name else None
            if values is not None and (found is None or len(values) < len(found)):
                found = values
        return found

    @property
    def looked_up(self) -> list[tuple[str, list[str]]]:
        """Labels that have to have one of some values."""
        names = dict.fromkeys(it.name for it in self.matchers if it.name != NAME)
        found = [(name, self.values(name)) for name in names]
        return [(name, values) for name, values in found if values is not None]


def fits(matcher: Matcher, value: str) -> bool:
    """Whether a value is as a matcher says."""
    match matcher.kind:
        case MatchKind.IS:
            return value == matcher.value
        case MatchKind.IS_NOT:
            return value != matcher.value
        case MatchKind.MATCHES:
            return pattern(matcher.value).fits(value)
    return not pattern(matcher.value).fits(value)


def _values(matcher: Matcher) -> list[str] | None:
    if matcher.kind is MatchKind.IS and matcher.value:
        return [matcher.value]
    if matcher.kind is MatchKind.MATCHES and _VALUES.fullmatch(matcher.value):
        return list(dict.fromkeys(matcher.value.split("|")))
    return None


def matching(matchers: Sequence[Matcher]) -> Matching:
    """Matchers, checked.

    Raises:
        BadQuery: a pattern is none, or a series without any label would be meant, so all are.

    """
    found = Matching(tuple(matchers))
    are_empty = [fits(it, "") for it in found.matchers]  # so that each is checked
    if all(are_empty):
        raise BadQuery("vector selector must contain at least one non-empty matcher")
    return found


def labels_of(info: Info) -> dict[str, str]:
    """The labels of a series, as Prometheus has them."""
    found = {it.key: it.value for it in info.tags}
    found.update((it.key, it.value) for it in info.labels)
    found[NAME] = info.name
    return found


def as_labels(found: dict[str, str]) -> Labels:
    """Labels in their order."""
    return tuple(sorted(found.items()))


async def chosen(reading: Reading, wanted: Matching) -> dict[int, Labels]:
    """The series that are meant, by their numbers.

    Raises:
        QueryTooLarge: they are more than SERIES_MAX, or too many would have to be looked at.

    """
    found: dict[int, Labels] = {}
    async for sid in _candidates(reading, wanted):
        info = await reading.trees.read_info(sid)
        if info is None:
            continue
        labels = labels_of(info)
        if wanted.fits(labels):
            found[sid] = as_labels(labels)
            if len(found) > SERIES_MAX:
                raise QueryTooLarge(f"more than {SERIES_MAX} series: say more of their labels")
    return found


async def _candidates(reading: Reading, wanted: Matching) -> AsyncIterator[int]:
    """Series among which those are that are meant."""
    tagged: set[int] | None = None
    for name, values in wanted.looked_up:
        held: set[int] = set()
        for value in values:
            # What no tag can be finds nothing, too.
            async for page in reading.tagged(Tag(name, value)):
                held.update(page)
        tagged = held if tagged is None else tagged & held
    names = wanted.values(NAME)
    if names is None and tagged is not None:
        for sid in sorted(tagged):
            yield sid
        return
    count = 0
    async for sid in _named(reading, names, wanted):
        count += 1
        if count > SCANNED_MAX:
            raise QueryTooLarge(f"more than {SCANNED_MAX} series to look at: say a name or a label")
        if tagged is None or sid in tagged:
            yield sid


async def _named(reading: Reading, names: list[str] | None, wanted: Matching) -> AsyncIterator[int]:
    """Series of some names; or of all that matchers of the name allow."""
    if names is not None:
        for name in names:
            async for sids in reading.named(name):
                for sid in sids:
                    yield sid
        return
    tests = [it for it in wanted.matchers if it.name == NAME]
    known: tuple[str, bool] = ("", False)
    async for page in reading.trees.names.pages():
        for key, row in page:
            name = key.split(b"\0", 1)[0].decode()
            if name != known[0]:
                known = name, all(fits(it, name) for it in tests)
            if known[1]:
                yield int.from_bytes(row, "big")
