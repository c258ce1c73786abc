"""Durations as Go writes them, and etcd's flags: 1h30m, 500ms, 0."""

import re

from roost.settings.settings import BadSetting

_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|us|µs|ns|m|s)")


def parse_duration(flag: str, text: str) -> float:
    """Seconds of a duration.

    Raises:
        BadSetting: it is none.

    """
    if text == "0":
        return 0.0
    parts = _DURATION.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        raise BadSetting(f"--{flag}={text}: write a duration as 1h30m or 500ms")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def write_duration(seconds: float) -> str:
    """The shortest way to write so many whole hours, minutes or seconds."""
    unit = next(it for it in ("h", "m", "s") if seconds % _UNITS_S[it] == 0)
    return f"{seconds / _UNITS_S[unit]:.0f}{unit}"
