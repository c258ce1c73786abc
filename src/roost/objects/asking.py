"""What a program asks of a machine on this member, and how it is answered.

    run      an operation where the cluster leads writes a row; what comes of it is told here
    ask      the copy of this member, as soon as it has all that was acknowledged before
    look     the copy of this member as it is

A caller waits `wait_s` for this member's copy, and is told `ResultLost` then: what it has asked for
is in the log, and does happen.
"""

from hashlib import blake2b
from typing import Any

from roost.database import BadArgument, Operation, Refused
from roost.database.aio import Database
from roost.errors import OutcomeUnknown, RoostError
from roost.objects.callers import Future, Outcome
from roost.objects.errors import MachineBehind, MachineNotOpen, MachineStopped, ResultLost
from roost.objects.following import Following
from roost.objects.layouts.machines import BEHIND, CALL_BYTES, LAST, NOT_OPEN, STOPPED, last_of
from roost.objects.machine import Command, Query
from roost.objects.replica import answer_of


class Asking:
    """Calls of one machine; see the module."""

    def __init__(self, db: Database, following: Following, append: Operation[..., int]) -> None:
        """`append` is the operation that writes a command."""
        self._db = db
        self._following = following
        self._append = append
        self._everywhere = db.tree(following.tree)

    @property
    def following(self) -> Following:
        """The machine on this member."""
        return self._following

    async def run(
        self,
        command: Command[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        once: str | None,
    ) -> Any:
        """See `MachineHandle.run`."""
        self._check(command, self._following.declared.commands)
        body = command.encode(args, kwargs)
        call = self._db.unique()
        named = {} if once is None else {"once": once}
        if once is not None:
            if not isinstance(once, str):
                raise BadArgument(f"once={once!r}: a key is text")
            call = blake2b(once.encode(errors="surrogatepass"), digest_size=CALL_BYTES).digest()
        async with self._following.callers.of(call) as future:
            try:
                index = await self._db.run(
                    self._append,
                    self._following.name,
                    command.command,
                    body,
                    call,
                    int(once is not None),
                    **named,
                )
            except Refused as refused:
                raise _as_ours(refused) from refused
            except OutcomeUnknown:
                if not future.done():
                    raise
                outcome = future.result()  # it is in the log, and was carried out here
            else:
                outcome = await self._outcome(future, index)
        if isinstance(outcome, RoostError):
            raise _anew(outcome)  # others are told the same
        return answer_of(command, outcome)

    async def _outcome(self, future: Future, index: int) -> Outcome:
        if not future.done() and (passed := self._following.passed(index)) is not None:
            return passed
        if self._following.is_closed and not future.done():
            return ResultLost(f"the machine {self._following.name!r} is followed no more here")
        return await self._following.callers.until(future, index, self._following.options.wait_s)

    async def ask(
        self, query: Query[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """See `MachineHandle.ask`."""
        self._check(query, self._following.declared.queries)
        body = query.encode(args, kwargs)
        await self._wait_current()
        return query.answer(self._following.replica.machine, body)

    def look(self, query: Query[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See `MachineHandle.local`."""
        self._check(query, self._following.declared.queries)
        return query.answer(self._following.replica.machine, query.encode(args, kwargs))

    def _check(self, asked: Any, known: dict[str, Any]) -> None:
        self._db.host.check()
        if known.get(getattr(asked, "command", "")) is not asked:
            kind = self._following.declared.kind.__name__
            raise BadArgument(f"{asked!r} is none that {kind} has: give it as {kind}.name")
        self._following.check()

    async def _wait_current(self) -> None:
        """Wait until this copy has all that was acknowledged before.

        Raises:
            NoLeader: no majority could be asked in time.
            MachineStopped: it has stopped.
            NotExecuted: it has not come so far in time.

        """
        index = last_of(await self._everywhere.get(LAST))
        await self._following.wait_for(index)


def _anew(error: RoostError) -> RoostError:
    """An error that is told more than once."""
    return type(error)(str(error))


def _as_ours(refused: Refused) -> RoostError:
    """What the member that leads says of a machine, in words of its own."""
    kinds: dict[str, type[RoostError]] = {
        BEHIND: MachineBehind,
        NOT_OPEN: MachineNotOpen,
        STOPPED: MachineStopped,
    }
    kind = kinds.get(refused.code)
    return refused if kind is None else kind(str(refused))
