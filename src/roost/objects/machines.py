"""All machines that are open on one member, and the operation that writes their commands.

The operation is declared when the database is opened.  It runs where the cluster leads, and is
answered there by that member's copy: one that has not opened the machine cannot say what its
commands are.
"""

from roost.database import BadArgument, BadDeclaration, Operation, Refused, Transaction
from roost.database.aio import Database
from roost.errors import Overloaded
from roost.figures import read_all
from roost.objects.asking import Asking
from roost.objects.figures import FIGURES
from roost.objects.following import Following, Options
from roost.objects.layouts.machines import NOT_OPEN
from roost.objects.machine import Machine, declared_of

# Each of them observes its tree, and there are only so many observers.
MACHINES_MAX = 32


class Machines:
    """Those of one database."""

    def __init__(self, db: Database) -> None:
        """None is open."""
        self._db = db
        self._open: dict[str, Following] = {}
        self._append_here = Operation("roost.machine_append", self._append)
        db.host.declare(self._append_here)
        db.host.show(lambda: read_all(FIGURES, list(self._open.values())))

    async def open(self, name: str, kind: type[Machine], options: Options) -> Asking:
        """Open one; again, it is the same.

        Raises:
            BadDeclaration: the class cannot be a machine, or another one has this name here.
            BadArgument: the name is no text.
            BadTreeName, NotYourTree, OtherCodec, Overloaded: as `Database.observe`.

        """
        declared = declared_of(kind)
        if not isinstance(name, str) or not name:
            raise BadArgument(f"{name!r} is no name of a machine: give some text")
        held = self._open.get(name)
        if held is not None:
            if held.declared.kind is not kind:
                raise BadDeclaration(f"the machine {name!r} is open here as a "
                                     f"{held.declared.kind.__name__}")  # fmt: skip
            await held.wait_level()
            return Asking(self._db, held, self._append_here)
        if len(self._open) >= MACHINES_MAX:
            raise Overloaded(f"{MACHINES_MAX} machines are all that can be open")
        following = self._open[name] = Following(self._db, name, declared, options)
        try:
            await following.start()
        except BaseException:
            del self._open[name]
            raise
        await following.wait_level()
        return Asking(self._db, following, self._append_here)

    def _append(
        self, txn: Transaction, name: str, command: str, body: bytes, call: bytes, keeps: int
    ) -> int:
        following = self._open.get(name)
        if following is None:
            text = f"the member that leads, {self._db.name}, has not opened the machine {name!r}"
            raise Refused(f"{text}: open it on all members, and ask again", code=NOT_OPEN)
        return following.append(txn, command, body, call, is_kept=keeps > 0)

    async def close(self) -> None:
        """Follow them no more."""
        while self._open:  # others may be opened meanwhile
            _, it = self._open.popitem()
            await it.close()
