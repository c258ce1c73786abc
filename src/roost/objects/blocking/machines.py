"""The asyncio face of machines."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from typing import Any, Generic, TypeVar, overload

from roost.faces import Face
from roost.objects.aio import machines as aio
from roost.objects.brackets import NamedCommands
from roost.objects.machine import Command, Machine, P, Query, R
from roost.objects.shapes import MachineStatus

M = TypeVar("M", bound=Machine)


class MachineHandle(Face, NamedCommands, Generic[M]):
    """A machine, by its name: what `Database.machine` gives.

    `board.score("ada", 3)` is `board.run(Leaderboard.score, "ada", 3)`, and `board.best(3)` is
    `board.ask(Leaderboard.best, 3)`; the longer ones are checked by type checkers.

    """

    _inner: aio.MachineHandle[M]

    @property
    def name(self) -> str:
        """Its name."""
        return self._inner.name

    def named(self, name: str) -> Any:
        """The command or query that its class has under a name.

        Raises:
            AttributeError: there is none.

        """
        return self._inner.named(name)

    @overload
    def run(self, command: Command[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    def run(self, command: Command[..., R], *args: Any, once: str | None, **kwargs: Any) -> R: ...

    def run(self, command: Command[..., Any], *args: Any, once: Any = None, **kwargs: Any) -> Any:
        """Have all members carry a command out; what came of it on this one.

        One round trip, one row.  When it returns, the command is durable on a majority.  With
        `once`, a text of yours, asking again answers what the first one came to, as far as results
        are kept: the last 10,000 of those with a key, and as `Database.run`.

        Raises:
            BadArgument: the arguments are not those of its annotations.
            Refused: its `validate_` said no, and it is not in the log; or the command did.
            MachineNotOpen, MachineBehind, NotExecuted: it is not in the log; ask again.
            OutcomeUnknown: it may be in the log; ask again with `once`, or look.
            ResultLost: it is in the log, and what comes of it will not be known here.
            MachineStopped: it raised something else, or the machine had stopped before.

        """
        return self._loop.call(self._inner.run(command, *args, once=once, **kwargs))

    def ask(self, query: Query[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What a query finds when everything that was acknowledged before has been carried out.

        One round trip, one row.

        Raises:
            BadArgument: the arguments are not those of its annotations.
            NotExecuted: no majority could be asked, or this copy is behind; ask again.
            MachineStopped: this copy has stopped.

        """
        return self._loop.call(self._inner.ask(query, *args, **kwargs))

    def local(self, query: Query[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What a query finds in this copy as it is, without asking others; it may be behind.

        Raises:
            BadArgument, MachineStopped: as `ask`.

        """
        return self._loop.call(self._inner.local(query, *args, **kwargs))

    def snapshot(self) -> int:
        """Make a snapshot now, whatever the policy says; the index of the last command in it.

        Raises:
            SnapshotFailed: its `save` has, or there is none.
            Refused: the limits of the database do not let it through.
            NotExecuted, OutcomeUnknown: a part of it did not come through in time.
            MachineStopped: this copy has stopped.

        """
        return self._loop.call(self._inner.snapshot())

    def status(self) -> MachineStatus:
        """What this member says of its copy."""
        return self._loop.call(self._inner.status())
