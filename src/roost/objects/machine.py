"""`roost.Machine`: a class of yours whose object is the same on every member, changed by commands.

    class Leaderboard(roost.Machine):
        def __init__(self) -> None: self.scores: dict[str, int] = {}

        @roost.command
        def score(self, context: roost.Context, player: str, points: int) -> int: ...

        @roost.query
        def best(self, count: int) -> list[str]: ...

        def save(self, out: BinaryIO) -> None: ...
        def load(self, source: BinaryIO) -> None: ...

A command is written to the log by its name and its arguments, and every member carries it out by
itself, in the same order.  So it must do the same everywhere: no clock, no chance, no files; what
of that it needs is in the context, which is the same on all members.  A query changes nothing, and
asks the object of this member.  Arguments and results travel as MessagePack, by the annotations.

`validate_<command>`, with the command's arguments behind a context, runs first, on the member that
leads: what it refuses (`Refused`) is not written.  It sees what that member has applied, so the
command itself may still find things otherwise; then it raises `Refused`, which is its result.

`save` and `load` are the machine's whole state as bytes, and run on a thread while nothing changes
the object.  A machine without them has no snapshots: its commands are kept for ever.
"""

import functools
import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, BinaryIO, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

import msgspec

from roost.database import BadArgument, BadDeclaration, Operation, UnknownOperation

M = TypeVar("M", bound="Machine")
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
VALIDATE = "validate_"
# What a program asks a machine's handle itself.
RESERVED = frozenset({"ask", "local", "name", "named", "run", "snapshot", "status"})


class Machine:
    """What yours are derived from; see the module.  It is made without arguments."""

    # Another number where commands do something else than before: members compare what came of
    # commands only with those of the same.
    version: int = 1

    def save(self, out: BinaryIO) -> None:
        """Write the whole state; on a thread, while no command runs."""
        raise NotImplementedError

    def load(self, source: BinaryIO) -> None:
        """Take the state that `save` wrote; on a thread, of an object that is new."""
        raise NotImplementedError

    def fingerprint(self) -> bytes | int:
        """What members compare after each command, besides its result: something short and quick.

        A count, a sum (numbers have 64 bits at most), a digest that is kept up to date: it finds
        machines that have come to differ in what no result shows.
        """
        return b""


class Context:
    """What a command may know besides its arguments; the same on every member.

    `index` is its position among the commands of this machine, from 1, without gaps.  `member`,
    `term`, `commit_index` and `at_s`, seconds since 1970, are of the member that led when it was
    written, and by its clock.  `random` is chance from a seed that is this command's own.
    """

    __slots__ = ("_random", "_seed", "at_s", "commit_index", "index", "member", "term")

    def __init__(
        self, *, index: int, term: int, commit_index: int, member: str, at_s: float, seed: bytes
    ) -> None:
        """For one command."""
        self.index = index
        self.term = term
        self.commit_index = commit_index
        self.member = member
        self.at_s = at_s
        self._seed = seed
        self._random: random.Random | None = None

    @property
    def random(self) -> random.Random:
        """Chance."""
        if self._random is None:  # most commands need none, and making one takes a while
            digest = blake2b(self._seed + self.index.to_bytes(8, "big"), digest_size=16).digest()
            self._random = random.Random(int.from_bytes(digest, "big"))  # noqa: S311 - it has to be foreseen
        return self._random


class Codec(Protocol):
    """How the arguments of a command travel: `@roost.command(codec=...)`."""

    def encode(self, arguments: tuple[Any, ...]) -> bytes:
        """As bytes, in the order of the parameters."""

    def decode(self, content: bytes) -> tuple[Any, ...]:
        """As `encode` was given them."""


class _Adapted(Operation[P, R_co]):
    """A method whose arguments and result travel, as those of operations do."""

    def __init__(
        self, kind: str, method: Callable[..., R_co], given: int, name: str | None
    ) -> None:
        """`given` parameters are not the caller's: the object, and for a command the context."""
        self.method = method
        self._own_name = name or method.__name__
        super().__init__(f"{kind}.{self._own_name}", _without(method, given, kind))

    @property
    def command(self) -> str:
        """Its name among those of its machine."""
        return self._own_name


class Command(_Adapted[P, R_co], Generic[P, R_co]):
    """One command; in another one of its class it is called like the method that it is."""

    def __init__(
        self, method: Callable[..., R_co], name: str | None = None, codec: Codec | None = None
    ) -> None:
        """Read the annotations.

        Raises:
            BadDeclaration: an argument or the result could not travel; the text says why.

        """
        super().__init__("command", method, 2, name)
        self._codec = codec

    @overload
    def __get__(self, machine: None, owner: type) -> "Command[P, R_co]": ...
    @overload
    def __get__(
        self, machine: Machine, owner: type
    ) -> "Callable[Concatenate[Context, P], R_co]": ...
    def __get__(self, machine: Machine | None, owner: type) -> Any:
        return self if machine is None else functools.partial(self.method, machine)

    def encode(self, args: tuple[Any, ...], kwargs: Any) -> bytes:
        """See `Operation.encode`."""
        body = super().encode(args, kwargs)
        if self._codec is None:
            return body
        try:
            return self._codec.encode(self.decode(body))
        except Exception as error:
            raise BadArgument(f"{self.command}: its codec cannot encode that: {error}") from error

    def carry_out(self, machine: Machine, context: Context, body: bytes) -> Any:
        """Do it; what it returns.

        Raises:
            UnknownOperation: its arguments are others here.

        """
        return self.invoke(_Given(machine, context), self._plain(body))

    def check(self, body: bytes) -> None:
        """See that arguments that were sent are those that it has here.

        Raises:
            UnknownOperation: they are not.

        """
        try:
            plain = self._plain(body)
        except Exception as error:
            text = f"{self.name}: its codec cannot decode that: {error}; upgrade all members"
            raise UnknownOperation(text) from error
        self.decode(plain)

    def validate(
        self, validator: Callable[..., object], machine: Machine, context: Context, body: bytes
    ) -> None:
        """Have `validator` look at what is asked.

        Raises:
            Refused: it says no.

        """

        def adapted(it: _Given, *args: Any, **kwargs: Any) -> None:
            validator(it.machine, it.context, *args, **kwargs)

        self.invoke(_Given(machine, context), self._plain(body), adapted)

    def _plain(self, body: bytes) -> bytes:
        """The arguments as MessagePack, whoever has encoded them."""
        return body if self._codec is None else msgspec.msgpack.encode(self._codec.decode(body))

    def content(self, result: Any) -> bytes:
        """A result on its way."""
        content = msgspec.msgpack.encode(result)
        self._result.decode(content)
        return content


class Query(_Adapted[P, R_co], Generic[P, R_co]):
    """One query."""

    def __init__(self, method: Callable[..., R_co], name: str | None = None) -> None:
        """Read the annotations; raises what `Command` does."""
        super().__init__("query", method, 1, name)

    @overload
    def __get__(self, machine: None, owner: type) -> "Query[P, R_co]": ...
    @overload
    def __get__(self, machine: Machine, owner: type) -> Callable[P, R_co]: ...
    def __get__(self, machine: Machine | None, owner: type) -> Any:
        return self if machine is None else functools.partial(self.method, machine)

    def answer(self, machine: Machine, body: bytes) -> R_co:
        """What it finds, as a copy: what it returns may be part of the machine."""
        found = msgspec.msgpack.encode(self.invoke(_Given(machine, None), body))
        return self.result(found)


@dataclass(frozen=True, slots=True)
class _Given:
    """What a method gets besides the caller's arguments."""

    machine: Machine
    context: Context | None


def _without(method: Callable[..., R], given: int, kind: str) -> Callable[..., R]:
    """`method` as a function of what it is given and the caller's arguments."""
    if not inspect.isfunction(method):
        raise BadDeclaration(f"{method!r}: @roost.{kind} is for methods of a machine")
    first, *rest = inspect.signature(method).parameters.values() or [None]
    if first is None or len(rest) < given - 1:
        others = "self, context" if given > 1 else "self"
        raise BadDeclaration(f"{method.__qualname__}: a {kind} has {others} before its arguments")
    for it in (first, *rest[: given - 1]):
        if it.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            raise BadDeclaration(f"{method.__qualname__}: {it} must be there by its place")

    called: Callable[..., R] = method

    @functools.wraps(method)
    def adapted(it: _Given, *args: Any, **kwargs: Any) -> R:
        if given == 1:
            return called(it.machine, *args, **kwargs)
        return called(it.machine, it.context, *args, **kwargs)

    shown = inspect.signature(method)
    adapted.__signature__ = shown.replace(parameters=[first, *rest[given - 1 :]])  # type: ignore[attr-defined]  # it is looked at by `inspect`
    return adapted


@overload
def command(method: Callable[Concatenate[M, Context, P], R]) -> Command[P, R]: ...
@overload
def command(
    *, name: str | None = None, codec: Codec | None = None
) -> Callable[[Callable[Concatenate[M, Context, P], R]], Command[P, R]]: ...
def command(method: Any = None, *, name: str | None = None, codec: Codec | None = None) -> Any:
    """Declare a command: a method `(self, context, ...)` that changes the machine.

    `name` is what stands in the log; it stays what it is when the method is called otherwise.
    `codec` carries the arguments, in place of MessagePack.

    Raises:
        BadDeclaration: it has no annotations, or those of what cannot travel.

    """
    if method is not None:
        return Command(method)
    return lambda it: Command(it, name, codec)


def query(method: Callable[Concatenate[M, P], R]) -> Query[P, R]:
    """Declare a query: a method `(self, ...)` that changes nothing.

    Raises:
        BadDeclaration: it has no annotations, or those of what cannot travel.

    """
    return Query(method)


@dataclass(frozen=True, slots=True)
class Declared:
    """What a class of machines has, by the names in the log."""

    kind: type[Machine]
    commands: dict[str, Command[..., Any]]
    queries: dict[str, Query[..., Any]]
    validators: dict[str, Callable[..., object]]
    has_snapshots: bool


def declared_of(kind: type[Machine]) -> Declared:
    """What `kind` has.

    Raises:
        BadDeclaration: it is no machine, has no command, two of one name, a `validate_` of nothing,
            or one of `save` and `load` without the other.

    """
    if not isinstance(kind, type) or not issubclass(kind, Machine):
        raise BadDeclaration(f"{kind!r} is no class derived of roost.Machine")
    commands: dict[str, Command[..., Any]] = {}
    queries: dict[str, Query[..., Any]] = {}
    methods = {name: inspect.getattr_static(kind, name) for name in dir(kind)}
    for it in methods.values():
        held: dict[str, Any] = commands if isinstance(it, Command) else queries
        if isinstance(it, _Adapted) and held.setdefault(it.command, it) is not it:
            raise BadDeclaration(f"{kind.__name__} has two called {it.command!r}: rename one")
    if taken := RESERVED & {*commands, *queries}:
        raise BadDeclaration(f"{kind.__name__}: what a program has of a machine has {min(taken)!r} "
                             "itself; give yours another name")  # fmt: skip
    if not commands:
        raise BadDeclaration(f"{kind.__name__} has no command: declare one with @roost.command")
    validators: dict[str, Callable[..., object]] = {}
    for name, it in methods.items():
        if name.startswith(VALIDATE):
            of = methods.get(name.removeprefix(VALIDATE))
            if not isinstance(of, Command) or not inspect.isfunction(it):
                raise BadDeclaration(f"{kind.__name__}.{name}: there is no command of that name")
            validators[of.command] = it
    saves, loads = kind.save is not Machine.save, kind.load is not Machine.load
    if saves != loads:
        raise BadDeclaration(f"{kind.__name__} has one of `save` and `load`: declare both")
    return Declared(kind, commands, queries, validators, saves)
