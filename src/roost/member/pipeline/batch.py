"""Requests for operations, and batches of them: who waits for which entry."""

from collections.abc import Callable, Iterator

from roost.errors import RoostError
from roost.flow import Flow
from roost.member.errors import OperationFailed
from roost.member.operation import AnyOperation
from roost.outcome import Done, Outcome, Waiting, tell_failure


class Request:
    """One operation that was asked for; once it has run, what came of it waits in `outcome`.

    No dataclass, because each put makes one: the `__init__` of a dataclass is made when it is
    imported, so it is interpreted also where this module is compiled.
    """

    __slots__ = ("body", "done", "flow", "name", "operation", "outcome", "waiting")

    def __init__(
        self,
        name: str,
        operation: AnyOperation,
        body: bytes,
        done: Done,
        flow: Flow,
        waiting: Waiting | None = None,
    ) -> None:
        """Without `waiting` it is done whoever is gone, as what a member asks of itself."""
        self.name = name
        self.operation = operation
        self.body = body
        self.done = done
        self.flow = flow
        self.waiting = waiting
        self.outcome: Outcome = b""

    @property
    def is_unwanted(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.waiting is not None and self.waiting.is_over

    def tell(self, outcome: Outcome) -> None:
        """Tell the caller; what `done` raises is the caller's alone, as with `told`."""
        if isinstance(outcome, RoostError):
            outcome.__traceback__ = None  # its frames know us, and we know it
        try:
            self.done(outcome)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is this request's
            tell_failure(self.done, failure)


class Batch:
    """One proposed write set and the requests that wrote it; a part of a long write has none."""

    __slots__ = ("is_part", "requests", "term")

    def __init__(self, term: int, requests: list[Request], *, is_part: bool = False) -> None:
        """They were executed in this term."""
        self.term = term
        self.requests = requests
        self.is_part = is_part

    def answer(self) -> None:
        """The entry is applied: every caller gets its own answer."""
        for it in self._take():
            it.tell(it.outcome)

    def fail(self, make_error: Callable[[], RoostError]) -> None:
        """Tell every caller that its own answer will not come."""
        for _ in self.failing(make_error):
            pass

    def failing(self, make_error: Callable[[], RoostError]) -> Iterator[None]:
        """As `fail`, one caller with each step; from now on the batch has none."""
        return _failing(self._take(), make_error)

    def _take(self) -> list[Request]:
        assert self.requests or self.is_part, "every caller is answered exactly once"
        requests, self.requests = self.requests, []
        return requests


def _failing(requests: list[Request], make_error: Callable[[], RoostError]) -> Iterator[None]:
    for it in requests:
        it.tell(make_error())
        yield


def internal_error(request: Request) -> OperationFailed:
    """What a caller is told whose operation failed at a bug, which the log shows."""
    return OperationFailed(f"{request.name}: internal error")
