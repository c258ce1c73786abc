"""Judges whether a history is linearizable: Wing and Gong's search with Lowe's memory.

An operation is called, takes effect at one instant, and returns.  A history is linearizable when
instants can be chosen within each operation's span so that a single copy of the data, doing them
one after another, gives the same answers.

The search tries to put operations first that nobody returned before; it remembers every pair
(set of operations placed, state) it has been in, since the same pair leads nowhere twice.
Histories are split by key first, because keys do not know of each other (Herlihy and Wing).

An operation whose outcome is unknown has no return: it may take effect at any time after its
call, or never.  It is tried last, so only where without it nothing fits: most of those never took
effect, or were seen at once, and guessing early costs a search through all that follows.  A failed
read tells nothing and is left out by the caller.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Generic, NamedTuple, Protocol, TypeVar

State = TypeVar("State", bound=Hashable)
STEPS_MAX = 5_000_000


class Verdict(Enum):
    """What the checker found."""

    LINEARIZABLE = "linearizable"
    NOT_LINEARIZABLE = "not linearizable"
    UNKNOWN = "not decided within the step limit"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; times from one clock.  `returned` is inf when the outcome is unknown."""

    key: Hashable
    kind: str
    argument: Hashable
    result: Hashable
    called: float
    returned: float = inf


class Model(Protocol[State]):
    """How a single copy behaves."""

    def initial(self) -> State:
        """The state before anything."""

    def step(self, state: State, operation: Operation) -> tuple[bool, State]:
        """Whether the operation could answer as it did in `state`, and the state after it."""


class RegisterModel:
    """One key: `write` sets it, `read` returns it, None before the first write.

    The result of a write does not matter; a read of unknown outcome must be left out.
    """

    def initial(self) -> Hashable:
        """Nothing was written."""
        return None

    def step(self, state: Hashable, operation: Operation) -> tuple[bool, Hashable]:
        """A write always can; a read must return the state."""
        if operation.kind == "write":
            return True, operation.argument
        return operation.result == state, state


class _Node:
    """A call or return in time order, in a doubly linked list."""

    __slots__ = ("index", "match", "next", "prev")

    def __init__(self, index: int) -> None:
        self.index = index
        self.match: _Node | None = None  # a call's return; None marks a return itself
        self.prev: _Node | None = None
        self.next: _Node | None = None


class _Event(NamedTuple):
    """A call or a return; in the order of time, and at one moment calls come first."""

    at_s: float
    is_return: bool
    number: int


class _Choice(NamedTuple, Generic[State]):
    """What was put next, and what was so before it was.

    It is a call, or the place of an operation of unknown outcome among those.
    """

    call: _Node | None
    unknown: int
    state: State
    done: int


def _timeline(operations: Sequence[Operation]) -> _Node:
    """Calls and returns of all operations whose outcome is known."""
    events: list[_Event] = []
    for index, operation in enumerate(operations):
        assert operation.called <= operation.returned, "nothing returns before it is called"
        if operation.returned != inf:
            events.append(_Event(operation.called, False, index))
            events.append(_Event(operation.returned, True, index))
    events.sort()
    head = last = _Node(-1)
    calls: dict[int, _Node] = {}
    for event in events:
        node = _Node(event.number)
        if event.is_return:
            calls[event.number].match = node
        else:
            calls[event.number] = node
        last.next, node.prev = node, last
        last = node
    return head


def _lift(call: _Node) -> None:
    """Take a call and its return out of the list."""
    for node in (call, call.match):
        assert node is not None, "a call has a return"
        assert node.prev is not None, "the head is never taken out"
        node.prev.next = node.next
        if node.next is not None:
            node.next.prev = node.prev


def _unlift(call: _Node) -> None:
    """Put a call and its return back, in the reverse order."""
    for node in (call.match, call):
        assert node is not None, "a call has a return"
        assert node.prev is not None, "the head is never taken out"
        node.prev.next = node
        if node.next is not None:
            node.next.prev = node


class Checker(Generic[State]):
    """Checks histories against a model."""

    def __init__(self, model: Model[State], *, steps_max: int = STEPS_MAX) -> None:
        """Give up, undecided, after `steps_max` steps a key."""
        self._model = model
        self._steps_max = steps_max

    def check(self, history: Iterable[Operation]) -> Verdict:
        """Check a whole history, key by key."""
        by_key: dict[Hashable, list[Operation]] = {}
        for operation in history:
            by_key.setdefault(operation.key, []).append(operation)
        verdict = Verdict.LINEARIZABLE
        for operations in by_key.values():
            found = self._check_key(operations)
            if found is Verdict.NOT_LINEARIZABLE:
                return found
            if found is Verdict.UNKNOWN:
                verdict = found
        return verdict

    def _check_key(self, operations: Sequence[Operation]) -> Verdict:
        head = _timeline(operations)
        unknown = sorted(
            (it for it, operation in enumerate(operations) if operation.returned == inf),
            key=lambda it: (operations[it].called, it),
        )
        # What has no return may stay undone for ever; it only must never be in the way.
        needed = len(operations) - len(unknown)
        state, placed, done = self._model.initial(), 0, 0
        seen: set[tuple[int, State]] = {(0, state)}
        stack: list[_Choice[State]] = []
        node, guess = head.next, 0
        for _ in range(self._steps_max):
            if done == needed:
                return Verdict.LINEARIZABLE
            if node is not None and node.match is not None:
                index = node.index
            else:
                # A return is in the way: only something of unknown outcome may come before it.
                assert node is not None, "calls that are left have returns"
                guess = _next_guess(unknown, guess, placed)
                if guess == len(unknown) or (
                    operations[unknown[guess]].called > operations[node.index].returned
                ):
                    # Nothing may: the last choice was wrong.
                    if not stack:
                        return Verdict.NOT_LINEARIZABLE
                    call, guess, state, done = stack.pop()
                    if call is not None:
                        placed &= ~(1 << call.index)
                        _unlift(call)
                        node = call.next
                    else:
                        placed &= ~(1 << unknown[guess])
                        node, guess = _first_return(head), guess + 1
                    continue
                index = unknown[guess]
            fits, after = self._model.step(state, operations[index])
            mark = (placed | 1 << index, after)
            if fits and mark not in seen:
                seen.add(mark)
                is_call = node.match is not None
                stack.append(_Choice(node if is_call else None, guess, state, done))
                state, placed = after, mark[0]
                if is_call:
                    done += 1
                    _lift(node)
                node, guess = head.next, 0
            elif node.match is not None:
                node = node.next
            else:
                guess += 1
        return Verdict.UNKNOWN


def _next_guess(unknown: Sequence[int], guess: int, placed: int) -> int:
    """The first of the unknown from `guess` on that is not placed."""
    while guess < len(unknown) and placed >> unknown[guess] & 1:
        guess += 1
    return guess


def _first_return(head: _Node) -> _Node:
    """The return before which something has to be put."""
    node = head.next
    while node is not None and node.match is not None:
        node = node.next
    assert node is not None, "something is left that has a return"
    return node


def check_register(history: Iterable[Operation], *, steps_max: int = STEPS_MAX) -> Verdict:
    """Check reads and writes of independent keys."""
    return Checker(RegisterModel(), steps_max=steps_max).check(history)
