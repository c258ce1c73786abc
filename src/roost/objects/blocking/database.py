"""The asyncio face of a database with replicated objects: what `roost.aio.open` gives."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from typing import TypeVar

from roost.database.blocking import Database as Trees
from roost.objects.aio import database as aio
from roost.objects.blocking.machines import MachineHandle
from roost.objects.blocking.objects import Objects
from roost.objects.machine import Machine
from roost.objects.publishing import DEFAULT_POLICY, SnapshotPolicy

M = TypeVar("M", bound=Machine)


class Database(Trees):
    """Replicated ordered trees, and objects in them; see `roost.database.aio.database`."""

    _inner: aio.Database

    @property
    def objects(self) -> Objects:
        """Replicated objects: dictionaries, lists, queues, locks and so on, by their names."""
        return Objects._of(self._inner.objects, self._loop)

    def machine(
        self,
        name: str,
        kind: type[M],
        *,
        policy: SnapshotPolicy = DEFAULT_POLICY,
        wait_s: float = 10.0,
    ) -> MachineHandle[M]:
        """The machine of that name, whose class is `kind`, on this member; see `roost.Machine`.

        All members open it: each has a copy, and the one that leads takes commands.  This returns
        when the copy has carried out what the member knows of.  Opened again it is the same, with
        the `policy` of the first time.  `wait_s` is how long a caller waits for this copy.

        Raises:
            BadDeclaration: the class cannot be a machine, or another one has this name here.
            BadArgument, BadTreeName: it cannot have that name.
            Overloaded: as many are open as can be.

        """
        return MachineHandle._of(
            self._loop.call(self._inner.machine(name, kind, policy=policy, wait_s=wait_s)),
            self._loop,
        )

    def close(self) -> None:
        """See `roost.database.Database.close`."""
        self._close(self._inner.close())
