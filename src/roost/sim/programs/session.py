"""What a simulated client has: a member's database, and a history of what it does with it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, overload

from roost.database import Operation, OperationFailed, Refused
from roost.database.operations import P, R
from roost.errors import OutcomeUnknown, RoostError
from roost.program.aio import Database
from roost.sim.members.judge import Violation
from roost.sim.programs.errors import BadCheck
from roost.sim.programs.history import Call, History
from roost.sim.programs.model import Arguments, Judged, Refusal, Returned
from roost.sim.programs.tagged import Tagged

Seen = TypeVar("Seen")
# A program that waits for longer gives up.
PATIENCE_S = 5.0


class Session:
    """One visit of a client at one member, whose process it shares."""

    def __init__(
        self,
        database: Database,
        operations: Mapping[str, Tagged[..., Any]],
        history: History,
        model: Judged | None,
        say: Callable[[str], None],
    ) -> None:
        """Ask `database`, and write down what it says; `say` tells it to people."""
        self._database = database
        self._operations = operations
        self._history = history
        self._model = model
        self._say = say

    @property
    def database(self) -> Database:
        """All that a program has; what is done with it directly is not judged."""
        return self._database

    @overload
    async def run(self, operation: Operation[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def run(
        self, operation: Operation[..., R], *args: Any, once: str | None, **kwargs: Any
    ) -> R: ...
    async def run(
        self, operation: Operation[..., Any], *args: Any, once: Any = None, **kwargs: Any
    ) -> Any:
        """Run an operation, as `Database.run`; the model's method of its name is what judges it.

        Raises:
            Refused, NotExecuted, OutcomeUnknown: as `Database.run`.

        """
        tagged = self._operations.get(operation.name)
        if tagged is None:
            raise BadCheck(f"{operation.name} is not among operations=[...] of the check")
        name = operation.name.rpartition(".")[2]
        call = self._begin(name, Arguments(args, kwargs), once)
        named = {} if once is None else {"once": once}
        work = self._database.run(tagged.call(call.number), *args, **named, **kwargs)
        return await self._judged(call, work, once)

    async def read(
        self, name: str, look: Callable[[Database], Awaitable[Seen]], *args: Any
    ) -> Seen:
        """What `look(database)` finds, judged by the model's method `name`, called with `args`.

        It must be what was so at one moment: one read, or all reads of one view.

        Raises:
            RoostError: as what `look` does.

        """
        call = self._begin(name, Arguments(args, {}), None)
        return await self._judged(call, look(self._database), None)

    def _begin(self, name: str, arguments: Arguments, once: str | None) -> Call:
        if self._model is not None:
            self._model.check(name)
        now_s = asyncio.get_running_loop().time()
        return self._history.begin(name, arguments, now_s, once)

    async def _judged(self, call: Call, work: Awaitable[Seen], once: str | None) -> Seen:
        loop, history = asyncio.get_running_loop(), self._history
        try:
            async with asyncio.timeout(PATIENCE_S):
                value = await work
        except Refused as refused:
            if type(refused) is not Refused:
                raise _broken(call, refused) from refused
            history.end(call, Refusal(refused.code), loop.time(), once)
            self._say(str(call))
            raise
        except TimeoutError as error:
            history.lose(call, once)
            self._say(f"{call}: no answer")
            raise OutcomeUnknown(f"{call}: no answer within {PATIENCE_S} s") from error
        except OutcomeUnknown as error:
            history.lose(call, once)
            self._say(f"{call}: {error}")
            raise
        except BaseException as error:
            # What did not run, what a read was not told, and what is the client's own fault.
            history.drop(call)
            if isinstance(error, RoostError):
                self._say(f"{call}: {error}")
            raise
        history.end(call, Returned(value), loop.time(), once)
        self._say(str(call))
        return value


def _broken(call: Call, refused: Refused) -> Violation:
    """What no operation that is right is told."""
    if isinstance(refused, OperationFailed):
        return Violation(f"{call.name}{call.arguments} raised: {refused}")
    return Violation(f"{call.name}{call.arguments}: {type(refused).__name__}: {refused}")
