"""Machines on members in virtual time, for tests."""

from collections.abc import Awaitable, Callable
from typing import Any

from roost.objects import Machine, SnapshotPolicy, aio
from tests.database.databases import again
from tests.member.members import look_again
from tests.objects.boards import Board
from tests.objects.clusters import Members

OFTEN = SnapshotPolicy(commands=20, tail=5)
Handle = aio.MachineHandle[Any]


async def open_at(
    members: Members, position: int, kind: type[Machine] = Board, **options: Any
) -> Handle:
    return await members.at(position).machine("board", kind, **options)


async def opened(
    members: Members, kind: type[Machine] = Board, **options: Any
) -> dict[int, Handle]:
    return {at: await open_at(members, at, kind, **options) for at in members.databases}


def board_of(handle: Handle) -> Board:
    machine = handle._following.replica.machine
    assert isinstance(machine, Board)
    return machine


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    while not await is_so():
        await look_again()


async def until_level(handles: dict[int, Handle]) -> None:
    """Until all copies have come to the same command, which is the last there is."""

    async def is_level() -> bool:
        said = [await it.status() for it in handles.values()]
        return len({it.applied_index for it in said} | {it.last_index for it in said}) == 1

    await until(is_level)


async def score(handle: Handle, player: str, points: int) -> int:
    found: int = await again(lambda: handle.run(Board.score, player, points))
    return found
