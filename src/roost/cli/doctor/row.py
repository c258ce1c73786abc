"""What one check has found: a row of the table that `roost doctor` prints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Measured = Mapping[str, str | int | float | bool]


class State(StrEnum):
    """How it is; only `failed` is the command's failure, too."""

    OK = "ok"
    WARNED = "warned"
    FAILED = "failed"
    # Nobody could say; the row has the reason.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One check: what was found, what to do about it, and the numbers that were measured."""

    check: str
    state: State
    found: str
    to_do: str = ""
    measured: Measured = field(default_factory=dict)


def ok(check: str, found: str, **measured: str | float) -> Row:
    """It is as it should be."""
    return Row(check=check, state=State.OK, found=found, measured=measured)


def warned(check: str, found: str, to_do: str, **measured: str | float) -> Row:
    """It works, and somebody should know."""
    return Row(check=check, state=State.WARNED, found=found, to_do=to_do, measured=measured)


def failed(check: str, found: str, to_do: str, **measured: str | float) -> Row:
    """It does not work, or will not."""
    return Row(check=check, state=State.FAILED, found=found, to_do=to_do, measured=measured)


def skipped(check: str, why: str, to_do: str = "") -> Row:
    """It was not looked at, and why."""
    return Row(check=check, state=State.SKIPPED, found=why, to_do=to_do)


def size_of(count: int) -> str:
    """Bytes for people."""
    size, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
