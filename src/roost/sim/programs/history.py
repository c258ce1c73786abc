"""What clients did and were told, for the judge.

A call that certainly did not run is left out.  One of which its client knows nothing is looked for
in what members applied (`tagged`): it happened before that, or not at all.  Calls with one `once`
key are one operation: when any of them is answered it has happened, between the first call and that
answer.  A refusal is a call of its own, since nothing is kept of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from roost.sim.linearizability import Checker, Operation, Verdict
from roost.sim.programs.model import Arguments, Judged, Refusal, Returned, State

# A history of a run is decided in a small part of this, or was made to be hard.
STEPS_MAX = 500_000


@dataclass(slots=True, eq=False)
class Call:
    """One call; `returned_s` is inf as long as nobody knows what became of it."""

    number: int
    name: str
    arguments: Arguments
    called_s: float
    returned_s: float = inf
    said: Returned | Refusal | None = None

    def __str__(self) -> str:
        """As people write it."""
        said = "?" if self.said is None else repr(self.said)
        return f"{self.name}{self.arguments} {said}"


@dataclass(slots=True)
class History:
    """All calls of a run."""

    calls: list[Call] = field(default_factory=list)
    _open: dict[str, Call] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _last: int = 0

    def begin(self, name: str, arguments: Arguments, now_s: float, once: str | None) -> Call:
        """A call is on its way; with one `once` key all have one number."""
        number = self._numbers.get(once, 0) if once is not None else 0
        if not number:
            number = self._last = self._last + 1
        if once is not None:
            self._numbers[once] = number
        call = Call(number, name, arguments, now_s)
        self.calls.append(call)
        return call

    def drop(self, call: Call) -> None:
        """It certainly did not run."""
        self.calls.remove(call)

    def end(self, call: Call, said: Returned | Refusal, now_s: float, once: str | None) -> None:
        """It was answered; with `once`, so were all of that key of which nobody knew."""
        call.said, call.returned_s = said, now_s
        first = self._open.get(once) if once is not None else None
        if first is not None and isinstance(said, Returned):
            if first.said is None:
                first.said, first.returned_s = said, now_s
            first.called_s = min(first.called_s, call.called_s)
            first.returned_s = min(first.returned_s, now_s)
            self.calls.remove(call)
        elif once is not None and isinstance(said, Returned):
            self._open[once] = call

    def lose(self, call: Call, once: str | None) -> None:
        """Nobody knows what became of it."""
        if once is None:
            return
        if (first := self._open.get(once)) is not None:
            first.called_s = min(first.called_s, call.called_s)
            self.calls.remove(call)
        else:
            self._open[once] = call

    def find(self, applied_s: Mapping[int, float]) -> None:
        """Say of all of which nobody knows when they happened, by their numbers, or drop them.

        What has written nothing is in no log, and makes no difference to anybody.
        """
        for call in [it for it in self.calls if it.said is None]:
            if call.number in applied_s:
                call.returned_s = applied_s[call.number]
            else:
                self.drop(call)

    def operations(self, until_s: float = inf) -> list[Operation]:
        """What was called by then, as the checker takes it; what returned later is not known."""
        return [
            Operation(
                key=None,
                kind=it.name,
                argument=it.arguments,
                result=it.said if it.returned_s <= until_s else None,
                called=it.called_s,
                returned=it.returned_s if it.returned_s <= until_s else inf,
            )
            for it in self.calls
            if it.called_s <= until_s
        ]


def judge(history: History, model: Judged) -> str:
    """Why the history could not have happened on one copy of the data; "" when it could."""
    checker: Checker[State] = Checker(model, steps_max=STEPS_MAX)
    verdict = checker.check(history.operations())
    if verdict is Verdict.LINEARIZABLE:
        return ""
    if verdict is Verdict.UNKNOWN:
        return (f"{len(history.calls)} calls are {verdict.value}: give fewer clients, or have them "
                "read more, so that it is known what happened")  # fmt: skip
    ends = sorted(it.returned_s for it in history.calls if it.returned_s != inf)
    low, high = 0, len(ends) - 1
    while low < high:  # the first answer that nothing explains; all before it can be explained
        middle = (low + high) // 2
        if checker.check(history.operations(ends[middle])) is Verdict.NOT_LINEARIZABLE:
            high = middle
        else:
            low = middle + 1
    (first, *_) = (it for it in history.calls if it.returned_s == ends[low])
    return (f"{first}, called at {first.called_s:.4f} s and answered at {first.returned_s:.4f} s, "
            "is explained by no order of what was called before")  # fmt: skip
