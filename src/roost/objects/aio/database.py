"""The asyncio face of a database with replicated objects: what `roost.aio.open` gives."""

from typing import Any, TypeVar

from roost.database import Limits
from roost.database.aio import Database as Trees
from roost.objects.aio.machines import MachineHandle
from roost.objects.aio.objects import Objects
from roost.objects.following import Options
from roost.objects.machine import Machine
from roost.objects.machines import Machines
from roost.objects.publishing import DEFAULT_POLICY, SnapshotPolicy

M = TypeVar("M", bound=Machine)


class Database(Trees):
    """Replicated ordered trees, and objects in them; see `roost.database.aio.database`."""

    def __init__(self, embedded: Any, limits: Limits) -> None:  # Any: what `open_as` has opened
        """Use `open_database`."""
        super().__init__(embedded, limits)
        self._machines = Machines(self)

    @property
    def objects(self) -> Objects:
        """Replicated objects: dictionaries, lists, queues, locks and so on, by their names."""
        return Objects(self)

    async def machine(
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
        return MachineHandle(await self._machines.open(name, kind, Options(policy, wait_s)))

    async def close(self) -> None:
        """See `roost.database.aio.Database.close`."""
        self._embedded.check_closable()
        try:
            await self._machines.close()
        finally:
            await super().close()
