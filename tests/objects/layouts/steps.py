"""What takes steps, taken at once."""

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")


def all_of(steps: Generator[Any, None, T]) -> T:
    """What all steps come to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            come_to: T = end.value
            return come_to


def done(found: Any) -> Any:
    """What an operation came to, whether it is one of steps or not."""
    return all_of(found) if isinstance(found, Generator) else found
