"""Members with objects, in virtual time."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from roost.database import Operation
from roost.database.builtin import BUILTIN
from roost.objects.aio import Database
from roost.objects.layouts.operations import OPERATIONS
from tests.database.databases import Databases, with_databases


class Members(Databases):
    """Members that are databases with objects."""

    kind = Database
    built_in: Mapping[str, Operation[Any, Any]] = {**BUILTIN, **OPERATIONS}

    def at(self, position: int) -> Database:
        """The database of a member."""
        found = self.databases[position]
        assert isinstance(found, Database)
        return found

    async def followers(self) -> list[int]:
        """Those that do not lead."""
        leader = await self.leader()
        return [it for it in self.databases if it != leader]

    def cut_off(self, position: int) -> None:
        """Let nothing come to a member, or from it."""
        ours = self.address(position)
        for other in range(len(self.names)):
            if other != position:
                theirs = self.address(other)
                self.network.simulated.cut |= {(ours, theirs), (theirs, ours)}

    def heal(self) -> None:
        """Let everything through again."""
        self.network.simulated.heal()


def with_members(
    root: Path,
    story: Callable[[Members], Awaitable[None]],
    *,
    size: int = 3,
    kind: type[Members] = Members,
) -> None:
    """Run `story` with a cluster in virtual time."""

    async def told(cluster: Databases) -> None:
        assert isinstance(cluster, Members)
        await story(cluster)

    with_databases(root, told, size=size, kind=kind)
