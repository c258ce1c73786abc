"""Databases for tests: three members in virtual time, and one store without a member."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from roost.database import Limits, Operation, Operations
from roost.database.aio import Database
from roost.database.builtin import BUILTIN
from roost.database.embedded import Bare, Embedded
from roost.database.operations import by_name
from roost.errors import NotExecuted, OutcomeUnknown
from roost.settings import Settings
from roost.sim.members.loop import run_virtually
from tests.member.members import Cluster, look_again

DEFAULTS = Limits()


class Databases(Cluster):
    """Members that are databases of the same operations."""

    kind: Callable[[Embedded, Limits], Any] = Database
    built_in: Mapping[str, Operation[Any, Any]] = BUILTIN

    def __init__(self, root: Path, size: int, *operations: Operations) -> None:
        super().__init__(root, size)
        self.operations = operations
        self.databases: dict[int, Database] = {}

    async def open_at(
        self, position: int, *operations: Operations, limits: Limits = DEFAULTS
    ) -> Database:
        """Open the member at `position`, with other operations than all when some are given."""
        config = self.config(position)
        world = self.network.machine(config.listen_peer_urls[0])
        embedded = await Embedded.open(
            config,
            world,
            settings=Settings(),
            builder=Bare(),
            operations={**by_name(operations or self.operations), **self.built_in},
            limits=limits,
        )
        self.members[position] = embedded.member
        database: Database = type(self).kind(embedded, limits)
        self.databases[position] = database
        return database

    async def open_all(self, limits: Limits = DEFAULTS) -> None:
        """Open every member."""
        for position in range(len(self.names)):
            await self.open_at(position, limits=limits)
        await self.leader()

    async def crash(self, position: int) -> None:
        """End a member as a kill would."""
        del self.databases[position]
        member = self.members.pop(position)
        member.abandon()
        member.journal.abandon()

    async def crash_amidst(
        self, leader: int, changing: asyncio.Future[Any], part_count: int
    ) -> bool | None:
        """Crash who leads when a long write has so many parts, and have another lead.

        Whether it was done; None = nobody knows.
        """
        executor = self.members[leader]._parts.executor
        await self.until(
            lambda: executor._long is not None and executor._long.parts.count >= part_count
        )
        assert not changing.done()
        await self.crash(leader)
        is_done: bool | None = True
        try:
            await changing
        except NotExecuted:
            is_done = False
        except OutcomeUnknown:
            is_done = None
        await self.leader()
        return is_done

    async def close_all(self) -> None:
        """Close every member."""
        for position in list(self.databases):
            self.members.pop(position)
            await self.databases.pop(position).close()


def with_databases(
    root: Path,
    story: Callable[[Databases], Awaitable[None]],
    *operations: Operations,
    size: int = 3,
    limits: Limits = DEFAULTS,
    kind: type[Databases] = Databases,
) -> None:
    """Run `story` with a cluster of databases in virtual time."""

    async def main() -> None:
        cluster = kind(root, size, *operations)
        await cluster.open_all(limits)
        try:
            await story(cluster)
        finally:
            await cluster.close_all()

    run_virtually(main())


async def again(ask: Callable[[], Awaitable[Any]]) -> Any:
    """What is asked, again as long as it certainly did not run."""
    while True:
        try:
            return await ask()
        except NotExecuted:
            await look_again()
