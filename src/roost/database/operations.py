"""Operations by name: functions that run once, on the member that leads.

    bank = Operations("bank")

    @bank.operation
    def transfer(txn: Transaction, source: str, target: str, amount: int) -> int: ...

The name is `bank.transfer`.  Arguments and results travel as MessagePack, by the annotations; what
they do not allow is refused where it is asked, before anything is sent.  All members of a cluster
declare the same operations; while a program is upgraded its versions may run side by side as long
as names and arguments stay.
"""

import inspect
import keyword
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_args, get_type_hints

import msgspec

from roost.database.codecs import UNENCODABLE, decoder_of
from roost.database.errors import BadArgument, BadDeclaration, OtherResult, UnknownOperation
from roost.database.transaction import Transaction
from roost.errors import UNDECODABLE
from roost.outcome import text_of

P = ParamSpec("P")
R = TypeVar("R")
# What returns a list may stand where something that can be walked over is asked for.
R_co = TypeVar("R_co", covariant=True)
NAME_CHARACTERS_MAX = 128
Buffer = bytes | memoryview


class Operation(Generic[P, R_co]):
    """One operation; inside another one it is called like the function that it is.

    To type checkers `Operation[[str, int], bool]` takes a text and a number, and returns a bool;
    `Operation[..., Any]` is any.
    """

    def __init__(self, name: str, function: Callable[Concatenate[Transaction, P], R_co]) -> None:
        """Read the annotations.

        Raises:
            BadDeclaration: an argument or the result could not travel; the text says why.

        """
        self.name = name
        self.function = function
        self.__doc__ = function.__doc__
        signature, hints = _signature(name, function)
        self._parameters = _parameters(name, signature)
        kinds = [_hint(name, hints, it.name) for it in self._parameters]
        self._signature = inspect.Signature(self._parameters)
        # Nearly all are, and binding what is in its place already is a tenth of a small operation.
        self._is_positional = all(it.kind is not it.KEYWORD_ONLY for it in self._parameters)
        result = _hint(name, hints, "return")
        try:
            self._arguments = decoder_of(tuple[tuple(kinds)] if kinds else tuple[()])  # type: ignore[misc]  # made here
            self._result = decoder_of(result)
        except TypeError as error:
            raise BadDeclaration(f"{name}: msgspec cannot carry that: {error}") from error

    def __call__(self, txn: Transaction, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run it as a part of another operation, in the same transaction."""
        return self.function(txn, *args, **kwargs)

    def __repr__(self) -> str:
        """As it would be declared."""
        return f"<operation {self.name}{self._signature}>"

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The arguments of a call, on their way.

        Raises:
            BadArgument: they are not those that the annotations say.

        """
        try:
            if kwargs or not self._is_positional or len(args) != len(self._parameters):
                bound = self._signature.bind(*args, **kwargs)
                bound.apply_defaults()
                args = tuple(bound.arguments.values())
            body = msgspec.msgpack.encode(args)
            self._arguments.decode(body)
        except UNENCODABLE as error:
            raise BadArgument(f"{self.name}{self._signature}: {text_of(error)}") from error
        return body

    def run(self, txn: Transaction, body: Buffer) -> bytes:
        """Run it with arguments that were sent; the result, on its way back.

        Raises:
            Refused: the operation says no, or is not the one that was asked for.

        """
        content = msgspec.msgpack.encode(self.invoke(txn, body))
        self._result.decode(content)
        return content

    def invoke(self, first: Any, body: Buffer, function: Callable[..., Any] | None = None) -> Any:
        """What its function, or another of the same arguments, makes of those that were sent.

        `first` is what stands before them: the transaction.

        Raises:
            UnknownOperation: its arguments are others here.

        """
        arguments = self.decode(body)
        called: Callable[..., Any] = function or self.function  # the decoder has checked them
        if self._is_positional:
            return called(first, *arguments)
        bound = inspect.BoundArguments(
            self._signature,
            dict(zip(self._signature.parameters, arguments, strict=True)),
        )
        return called(first, *bound.args, **bound.kwargs)

    def decode(self, body: Buffer) -> tuple[Any, ...]:
        """Arguments that were sent.

        Raises:
            UnknownOperation: they are others here.

        """
        try:
            arguments: tuple[Any, ...] = self._arguments.decode(body)
        except UNDECODABLE as error:
            text = f"{self.name} has other arguments where it runs: {error}; upgrade all members"
            raise UnknownOperation(text) from error
        return arguments

    def result(self, content: bytes) -> R_co:
        """What `run` returned.

        Raises:
            OtherResult: it is of another type where it ran.

        """
        try:
            found: R_co = self._result.decode(content)
        except UNDECODABLE as error:
            raise OtherResult(
                f"{self.name} was done, and returned something else where it ran than it does "
                f"here: {error}; give what returns another type a new name"
            ) from error
        return found


class TakesLonger(Exception):
    """An operation has more to do than a turn allows; nobody but who runs it is told."""


class LongOperation(Operation[P, R]):
    """One of the database's own, or a data model's, that may have more to do than a turn allows.

    Its function is a generator; each `yield` ends a slice, and it returns the answer.  One that is
    `mostly_short` is tried like any other first: where its first slice is all there is, it has
    taken no turn of its own.
    """

    def __init__(
        self,
        name: str,
        steps: Callable[Concatenate[Transaction, P], Generator[None, None, R]],
        *,
        mostly_short: bool = False,
    ) -> None:
        """Read the annotations; raises as any other."""
        self.mostly_short = mostly_short

        def at_once(txn: Transaction, /, *args: P.args, **kwargs: P.kwargs) -> R:
            left = steps(txn, *args, **kwargs)
            while True:
                try:
                    next(left)
                except StopIteration as end:
                    result: R = end.value
                    return result

        update_wrapper(at_once, steps)
        result = get_args(get_type_hints(steps)["return"])[-1]
        at_once.__annotations__ = {**steps.__annotations__, "return": result}
        super().__init__(name, at_once)
        self._steps: Callable[..., Generator[None, None, R]] = steps

    def run_if_short(self, txn: Transaction, body: Buffer) -> bytes:
        """As `run`, where one slice is all of it.

        Raises:
            TakesLonger: it is not; what was written so far is to be taken back.

        """
        steps = self.run_in_slices(txn, body)
        try:
            next(steps)
        except StopIteration as end:
            result: bytes = end.value
            return result
        steps.close()
        raise TakesLonger

    def run_in_slices(self, txn: Transaction, body: Buffer) -> Generator[None, None, bytes]:
        """As `run`, some of it at a time."""
        content = msgspec.msgpack.encode((yield from self._steps(txn, *self.decode(body))))
        self._result.decode(content)
        return content


class Operations:
    """Operations that belong together, by the first part of their names."""

    def __init__(self, name: str) -> None:
        """Nothing is declared.

        Raises:
            BadDeclaration: the name is no identifier, or `roost`.

        """
        if name == "roost":
            raise BadDeclaration("the name 'roost' is the database's own: choose another one")
        _check_name(name)
        self.name = name
        self._operations: dict[str, Operation[Any, Any]] = {}

    def operation(self, function: Callable[Concatenate[Transaction, P], R]) -> Operation[P, R]:
        """Declare an operation; a decorator.

        Raises:
            BadDeclaration: it has no annotations, or those of what cannot travel; or there is one
                of that name.

        """
        if not callable(function) or not hasattr(function, "__name__"):
            raise BadDeclaration(f"{function!r} is no function with a name: use a `def`")
        name = f"{self.name}.{function.__name__}"
        if name in self._operations:
            raise BadDeclaration(f"{name} is declared twice: give one of them another name")
        made = Operation(name, function)
        self._operations[name] = made
        return made

    def __iter__(self) -> Iterator[Operation[Any, Any]]:
        """All of them, in the order in which they were declared."""
        return iter(self._operations.values())


def by_name(groups: Iterable[Operations]) -> dict[str, Operation[Any, Any]]:
    """All operations of several groups.

    Raises:
        BadDeclaration: two have one name.

    """
    if not isinstance(groups, Iterable):
        raise BadDeclaration(f"operations={groups!r}: a list of groups, as operations=[bank]")
    found: dict[str, Operation[Any, Any]] = {}
    for group in groups:
        if not isinstance(group, Operations):
            raise BadDeclaration(f"{group!r} is no group of operations: operations=[...] is a list "
                                 "of what roost.Operations makes, as [bank]")  # fmt: skip
        for it in group:
            if it.name in found and found[it.name] is not it:
                raise BadDeclaration(f"{it.name} is declared twice: rename one of the groups")
            found[it.name] = it
    return found


def _check_name(name: str) -> None:
    fits = isinstance(name, str) and name.isascii() and name.isidentifier()
    if not fits or keyword.iskeyword(name) or len(name) > NAME_CHARACTERS_MAX:
        raise BadDeclaration(f"{name!r} is no name for operations: use letters, digits and _")


def _signature(name: str, function: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, Any]]:
    _check_name(name.partition(".")[2])
    if (
        inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        text = "an operation runs from its beginning to its end at once; use a plain `def`"
        raise BadDeclaration(f"{name}: {text}")
    try:
        return inspect.signature(function), get_type_hints(function)
    except NameError as error:
        text = "an annotation names what is not there when the operation is declared"
        raise BadDeclaration(f"{name}: {text}: {error}") from error


def _parameters(name: str, signature: inspect.Signature) -> list[inspect.Parameter]:
    """All but the transaction."""
    given = list(signature.parameters.values())
    if not given or given[0].kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
        raise BadDeclaration(f"{name}: the first argument of an operation is the transaction")
    _, *rest = given
    for it in rest:
        if it.kind in (it.VAR_POSITIONAL, it.VAR_KEYWORD):
            raise BadDeclaration(f"{name}: {it} has no types to travel by; name the arguments")
        if it.name == "once":
            raise BadDeclaration(f"{name}: `once` is an argument of `run` itself; rename yours")
    return rest


def _hint(name: str, hints: Mapping[str, Any], argument: str) -> Any:  # Any: an annotation
    if argument not in hints:
        what = "its result" if argument == "return" else f"the argument {argument!r}"
        raise BadDeclaration(f"{name}: {what} has no annotation, so nobody knows how it travels")
    return hints[argument]
