"""What a program's operations ought to do, said a second time: `DictModel`.

A model is a dictionary with a method for each operation, of the same name and with the same
arguments but the transaction.  It changes the dictionary, and returns what the operation has to
return, or raises `roost.Refused` with the same code.

    class Bank(DictModel):
        def pay_in(self, name: str, amount: int) -> int:
            self[name] = self.get(name, 0) + amount
            return self[name]

`Judged` is that to the checker (`roost.sim.linearizability`): states that can be compared, and one
step from each.
"""

import copy
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import msgspec

from roost.errors import Refused
from roost.sim.linearizability import Operation
from roost.sim.programs.errors import BadModel


class DictModel(dict[Any, Any]):
    """What is stored, as a plain dictionary; derive a class and add a method an operation."""


@dataclass(frozen=True, slots=True)
class Returned:
    """An operation returned this."""

    value: Any  # of any operation

    def __repr__(self) -> str:
        """As people write it."""
        return f"= {self.value!r}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An operation said no, with this code."""

    code: str

    def __repr__(self) -> str:
        """As people write it."""
        return f"refused {self.code!r}"


@dataclass(frozen=True, slots=True)
class Arguments:
    """What an operation was called with."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def __repr__(self) -> str:
        """As people write a call's."""
        named = (f"{name}={it!r}" for name, it in self.kwargs.items())
        return f"({', '.join([*map(repr, self.args), *named])})"


class State:
    """A model at one moment; equal to another that holds the same."""

    __slots__ = ("_mark", "model")

    def __init__(self, model: DictModel) -> None:
        """Take `model` as it is; nobody changes it any more."""
        self.model = model
        self._mark = _frozen(model)

    def __hash__(self) -> int:
        return hash(self._mark)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self._mark == other._mark


class Judged:
    """A model for the checker; see `roost.sim.linearizability.Model`."""

    def __init__(self, model: type[DictModel]) -> None:
        """Begin with an empty one."""
        self._model = model

    def initial(self) -> State:
        """Nothing was done."""
        return State(self._model())

    def check(self, name: str) -> None:
        """See that the model has an operation.

        Raises:
            BadModel: it has not.

        """
        if not callable(getattr(self._model, name, None)):
            raise BadModel(f"{self._model.__name__} has no method {name}: the model needs one for "
                           "each operation that clients run, and for each read")  # fmt: skip

    def step(self, state: State, operation: Operation) -> tuple[bool, State]:
        """Whether the operation could answer as it did in `state`, and the state after it.

        Raises:
            BadModel: the model fails in it.

        """
        arguments = operation.argument
        assert isinstance(arguments, Arguments), "the history is ours"
        after = copy.deepcopy(state.model)
        said: Returned | Refusal
        try:
            said = Returned(getattr(after, operation.kind)(*arguments.args, **arguments.kwargs))
        except Refused as refused:
            said, after = Refusal(getattr(refused, "code", "")), state.model
        except Exception as error:
            raise BadModel(
                f"{self._model.__name__}.{operation.kind}{arguments} of {dict(state.model)} raises "
                f"{type(error).__name__}: {error}"
            ) from error
        return operation.result is None or _same(said, operation.result), State(after)


def _same(ours: Returned | Refusal, theirs: Hashable) -> bool:
    if isinstance(ours, Returned) and isinstance(theirs, Returned):
        # A tuple that travels may be a list at its end.
        return bool(ours.value == theirs.value) or _sent(ours.value) == _sent(theirs.value)
    return ours == theirs


def _sent(value: Any) -> bytes:  # Any: what operations return
    try:
        return msgspec.msgpack.encode(value, order="deterministic")
    except (TypeError, OverflowError):
        return b""


def _frozen(value: Any) -> Hashable:  # Any: whatever a model keeps
    """Something that can be hashed, and is equal for equal values."""
    match value:
        case Mapping():
            return frozenset((key, _frozen(it)) for key, it in value.items())
        case str() | bytes():
            return value
        case Sequence():
            return tuple(map(_frozen, value))
        case Set():
            return frozenset(map(_frozen, value))
        case Hashable():
            return value
    raise BadModel(f"{value!r} cannot be compared: keep plain values, lists, dicts and sets")
