"""Requests to Prometheus' HTTP API as they are asked: parameters of the query and of a form.

A parameter that is not known is passed over, as Prometheus does it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from roost.exchange import Request
from roost.series.asked import PARAMETERS_MAX
from roost.series.errors import BadWindow
from roost.series.extra import Ints, np
from roost.series.prometheus.errors import BadQuery
from roost.series.spelling import parse_time

# Steps of a query of a range, as Prometheus has it.
STEPS_MAX = 11_000
MILLISECOND_NS = 10**6
# Moments and lengths of time are within that, so that no sum of them is out of int64.
MOMENT_MAX, LENGTH_MAX = 1 << 62, 1 << 61
_UNITS_MS = {
    "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000,
    "y": 31_536_000_000,
}  # fmt: skip
_DURATION = re.compile(r"(?:\d{1,15}(?:ms|[smhdwy]))+")
_PART = re.compile(r"(\d+)(ms|[smhdwy])")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says."""

    given: Mapping[str, list[str]]
    now_ns: int

    def text(self, name: str) -> str:
        """The first one of a name."""
        return self.given.get(name, [""])[0]

    def texts(self, name: str) -> list[str]:
        """All of a name."""
        return list(self.given.get(name, []))

    def moment(self, name: str, default: int | None = None) -> int:
        """A moment in nanoseconds, of whole milliseconds.

        Raises:
            BadQuery: it is none, or it has to be said.

        """
        text = self.text(name)
        if not text:
            if default is None:
                raise BadQuery(f'invalid parameter "{name}": say a time')
            return default // MILLISECOND_NS * MILLISECOND_NS
        return parsed_moment(name, text, self.now_ns)

    def duration(self, name: str, default: int | None = None) -> int:
        """A length of time in nanoseconds, of whole milliseconds.

        Raises:
            BadQuery: it is none, or it has to be said.

        """
        text = self.text(name)
        if not text and default is not None:
            return default
        return parsed_duration(name, text)

    def limit(self, most: int) -> int:
        """How many are wanted; without a word, or with 0, as many as there may be.

        Raises:
            BadQuery: it is no whole number.

        """
        text = self.text("limit") or "0"
        if not (text.isascii() and text.isdigit()):
            raise BadQuery(f'invalid parameter "limit": {text!r} is no whole number')
        return min(int(text[:12]) or most, most)

    def steps(self) -> Ints:
        """The steps of a range.

        Raises:
            BadQuery: they are none, or too many.

        """
        start, stop = self.moment("start"), self.moment("end")
        step = self.duration("step")
        if stop < start:
            raise BadQuery(
                'invalid parameter "end": end timestamp must not be before start timestamp'
            )
        if step <= 0:
            raise BadQuery(
                'invalid parameter "step": zero or negative query resolution step widths are not '
                "accepted. Try a positive integer"
            )
        if (stop - start) // step > STEPS_MAX:
            raise BadQuery(
                f"exceeded maximum resolution of {STEPS_MAX:,} points per timeseries. Try "
                "decreasing the query resolution (?step=XX)"
            )
        return np.arange(start, stop + 1, step, dtype=np.int64)


def parsed_moment(name: str, text: str, now_ns: int) -> int:
    """A moment: seconds since 1970, or RFC 3339.

    Raises:
        BadQuery: it is none.

    """
    if _NUMBER.fullmatch(text):
        found = float(text)
        if abs(found) > MOMENT_MAX / 1e9:
            raise BadQuery(f'invalid parameter "{name}": {text} is not from 1823 to 2116')
        return round(found * 1000) * MILLISECOND_NS
    try:
        if not text[:1].isdigit():
            raise BadWindow(f"{text!r} is no time: say seconds since 1970, or RFC 3339")
        moment = parse_time(text, now_ns)
    except BadWindow as error:
        raise BadQuery(f'invalid parameter "{name}": {error}') from error
    if abs(moment) > MOMENT_MAX:
        raise BadQuery(f'invalid parameter "{name}": {text} is not from 1823 to 2116')
    return moment // MILLISECOND_NS * MILLISECOND_NS


def parsed_duration(name: str, text: str) -> int:
    """A length of time: seconds, or as `1h30m`.

    Raises:
        BadQuery: it is none.

    """
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        found = (
            LENGTH_MAX + 1
            if abs(seconds) > LENGTH_MAX / 1e9
            else round(seconds * 1000) * MILLISECOND_NS
        )
    elif _DURATION.fullmatch(text):
        found = sum(int(count) * _UNITS_MS[unit] for count, unit in _PART.findall(text))
        found *= MILLISECOND_NS
    else:
        raise BadQuery(f'invalid parameter "{name}": {text!r} is no duration: say 15s, or 1h30m')
    if found > LENGTH_MAX:
        raise BadQuery(f'invalid parameter "{name}": {text} is longer than 73 years')
    return found


def asked_of(request: Request, now_ns: int) -> Asked:
    """What a request says, in its query and in its body.

    Raises:
        BadQuery: it is no text.

    """
    kind = request.headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    parts = [request.query]
    if request.method == "POST" and kind == b"application/x-www-form-urlencoded":
        parts.insert(0, request.body)
    given: dict[str, list[str]] = {}
    try:
        for part in parts:
            found = parse_qs(part.decode(), keep_blank_values=True,
                             max_num_fields=PARAMETERS_MAX, errors="strict")  # fmt: skip
            for name, values in found.items():
                given.setdefault(name, []).extend(values)
    except ValueError as error:
        raise BadQuery(f"the parameters are none: {error}") from error
    return Asked(given, now_ns)
