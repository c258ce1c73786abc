"""How much work code does, counted in lines that run: the same on every machine and every day."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import TraceFunction


def steps_of(work: Callable[[], object], *, package: str = "roost") -> int:
    """How many lines of a package's files run while `work` does."""
    count = 0
    folder = f"/{package.replace('.', '/')}/"

    def on_line(_frame: FrameType, event: str, _arg: object) -> "TraceFunction":
        nonlocal count
        count += event == "line"
        return on_line

    def on_call(frame: FrameType, _event: str, _arg: object) -> "TraceFunction | None":
        return on_line if folder in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
