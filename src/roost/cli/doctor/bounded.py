"""Asking many: calls that may hang, side by side, and not longer than somebody waits.

A disk that does not answer and a resolver that nobody answers hold their thread where nothing
reaches it.  So the threads are daemons: they keep no process alive.

Full?  SIDE_BY_SIDE_MAX calls run at a time; the others follow, each group with a limit of its own.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Generic, Protocol, TypeVar

from roost.client import Member, Status
from roost.client.endpoints import parse_endpoint

SIDE_BY_SIDE_MAX = 64
# How long whoever is told to stop may take to put things in order.
LINGER_S = 1.0
Result = TypeVar("Result")


class _Told(Generic[Result]):
    """What one call came to."""

    def __init__(self, position: int, call: Callable[[], Result]) -> None:
        self.position = position
        self.error: BaseException | None = None
        try:
            self.result: Result | None = call()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self.result, self.error = None, error


def ask_all(
    calls: Sequence[Callable[[], Result]], limit_s: float, stop: threading.Event | None = None
) -> list[Result | None]:
    """What each call returns, in their order; None for those that do not within `limit_s`.

    `stop` is set when nobody waits any more, be it that we are interrupted: then the calls have a
    moment to put things in order.  What a call raises is raised.
    """
    assert stop is None or len(calls) <= SIDE_BY_SIDE_MAX, "who is stopped is not begun"
    found: list[Result | None] = []
    for first in range(0, len(calls), SIDE_BY_SIDE_MAX):
        group = calls[first : first + SIDE_BY_SIDE_MAX]
        found += _ask_group(group, limit_s, stop or threading.Event())
    return found


def _ask_group(
    calls: Sequence[Callable[[], Result]], limit_s: float, stop: threading.Event
) -> list[Result | None]:
    told: SimpleQueue[_Told[Result]] = SimpleQueue()
    found: list[Result | None] = [None] * len(calls)
    threads = [
        threading.Thread(target=_ask, args=(position, call, told), daemon=True)
        for position, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    try:
        end_s = monotonic() + limit_s
        for _ in calls:
            one = told.get(timeout=max(0.0, end_s - monotonic()))
            if one.error is not None:
                raise one.error
            found[one.position] = one.result
    except Empty:
        pass  # whoever has said nothing is None
    finally:
        stop.set()
        end_s = monotonic() + LINGER_S
        for thread in threads:
            thread.join(max(0.0, end_s - monotonic()))
    return found


def _ask(position: int, call: Callable[[], Result], told: "SimpleQueue[_Told[Result]]") -> None:
    told.put(_Told(position, call))


class Asked(Protocol):
    """Who was asked, and what it has said of itself."""

    @property
    def endpoint(self) -> str:
        """Where it was asked."""

    @property
    def status(self) -> Status | None:
        """None where it did not answer."""


def unasked(answers: Sequence[Asked], members: Iterable[Member]) -> list[str]:
    """Where those are who have not answered yet: the first client URL of each."""
    known = {it.status.member_id for it in answers if it.status is not None}
    asked = {parse_endpoint(it.endpoint).address for it in answers}
    found = [it.client_urls[0] for it in members if it.id not in known and it.client_urls]
    return [it for it in found if parse_endpoint(it).address not in asked]
