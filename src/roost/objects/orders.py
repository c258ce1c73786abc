"""Sorting and looking for values where they are read: what they are is not known elsewhere.

What was found so is done only if nothing has changed meanwhile, and looked for again TRIES times.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

V = TypeVar("V")
# Nothing was given, where None would be something.
MISSING = object()
TRIES = 10
CONTENDED = f"others changed it {TRIES} times meanwhile: try again, or do it in an operation"


def order_of(values: Sequence[V], key: Callable[[V], Any] | None, *, reverse: bool) -> list[int]:
    """Positions in the order that `sorted` would put their values into; it is stable."""
    of: Callable[[V], Any] = key or (lambda value: value)
    return sorted(range(len(values)), key=lambda at: of(values[at]), reverse=reverse)


def bounds(start: int, stop: int | None, count: int) -> range:
    """The positions that `list.index` looks at."""
    return range(*slice(start, stop).indices(count))
