"""A thread that does one thing after another: what writes the journal while the disk is slow."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Worker(Protocol):
    """Does what it is given in order, and answers through futures."""

    def submit(self, call: Callable[..., Result], /, *given: Any) -> Future[Result]:
        """Do it when everything before it is done."""

    def shutdown(self, wait: bool = True) -> None:  # noqa: FBT001, FBT002 - the executor's own
        """No more will come."""


def one_thread() -> Worker:
    """A thread of its own."""
    return ThreadPoolExecutor(1, thread_name_prefix="journal")
