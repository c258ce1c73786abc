"""How much work code does, counted in lines that run: the same on every machine and every day."""

import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import TYPE_CHECKING, TypeVar

import pytest

import roost
from roost import compiled

if TYPE_CHECKING:
    from _typeshed import TraceFunction

T = TypeVar("T")
_OURS = f"{Path(roost.__file__).parent}{os.sep}"


REASON = "runs pure: it counts lines, and compiled modules have none"


def skip_where_compiled() -> None:
    """Leave out a test that counts, before it begins: a callback of a loop cannot."""
    if compiled.compiled_modules():
        pytest.skip(REASON)


class Steps:
    """Counts the lines of the package that run while it is entered; `count` says how many."""

    def __init__(self) -> None:
        self.count = 0
        self._before: TraceFunction | None = None

    def __enter__(self) -> "Steps":
        skip_where_compiled()
        self._before = sys.gettrace()
        sys.settrace(self._on_call)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.settrace(self._before)

    def _on_call(self, frame: FrameType, _event: str, _arg: object) -> "TraceFunction | None":
        return self._on_line if frame.f_code.co_filename.startswith(_OURS) else None

    def _on_line(self, _frame: FrameType, event: str, _arg: object) -> "TraceFunction":
        self.count += event == "line"
        return self._on_line


def counts(function: Callable[..., object]) -> bool:
    """Whether a test counts steps: itself, what is within it, or what it calls of its module.

    To skip it when it has begun leaves behind what it has opened.
    """
    return _counts(getattr(function, "__wrapped__", function), frozenset())


def _counts(function: object, seen: frozenset[object]) -> bool:
    if not isinstance(function, FunctionType) or function in seen:
        return False
    called = [function.__globals__.get(it) for it in sorted(set(_names(function.__code__)))]
    if any(it in (Steps, steps_of, slices_of) for it in called if callable(it)):
        return True
    beside = (it for it in called if getattr(it, "__module__", None) == function.__module__)
    return any(_counts(it, seen | {function}) for it in beside)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for it in code.co_consts:
        if isinstance(it, CodeType):
            yield from _names(it)


def steps_of(work: Callable[[], object]) -> int:
    """How many steps `work` takes."""
    with Steps() as steps:
        work()
    return steps.count


def slices_of(steps: Generator[object, None, T]) -> tuple[list[int], T]:
    """How much work each step of a generator is, and what it comes to."""
    counts: list[int] = []
    ends: list[T] = []

    def take() -> None:
        try:
            next(steps)
        except StopIteration as end:
            ends.append(end.value)

    while not ends:
        counts.append(steps_of(take))
    return counts, ends[0]
