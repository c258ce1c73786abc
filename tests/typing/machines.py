"""Machines: calls that are right, with what comes of them, and calls that are wrong."""

from typing import Any, assert_type

import roost
from roost.objects import MachineHandle, MachineStatus


class Board(roost.Machine):
    """A machine."""

    def __init__(self) -> None:
        """Nobody has scored."""
        self.scores: dict[str, int] = {}

    @roost.command
    def score(self, context: roost.Context, player: str, points: int = 1) -> int:
        """A command."""
        assert_type(context.index, int)
        assert_type(context.random.random(), float)
        self.scores[player] = self.scores.get(player, 0) + points
        return self.scores[player]

    @roost.command(name="double")
    def twice(self, context: roost.Context, player: str) -> int:
        """One that calls another."""
        self.score(context, player, "2")  # type: ignore[arg-type]  # an argument of another type
        return self.score(context, player, self.scores[player])

    @roost.query
    def best(self, count: int) -> list[str]:
        """A query."""
        return sorted(self.scores)[:count]


def blocking(db: roost.Database) -> None:
    """Calls of the blocking face."""
    board = db.machine("board", Board)
    assert_type(board, MachineHandle[Board])
    assert_type(board.run(Board.score, "ada", 3), int)
    assert_type(board.run(Board.score, "ada", once="key"), int)
    assert_type(board.run(Board.twice, "ada"), int)
    board.run(Board.score, 3)  # type: ignore[call-overload]  # an argument of another type
    board.run(Board.score)  # type: ignore[call-overload]  # an argument too few
    board.run(Board.best, 3)  # type: ignore[call-overload]  # no command
    assert_type(board.ask(Board.best, 3), list[str])
    assert_type(board.local(Board.best, 3), list[str])
    assert_type(", ".join(board.ask(Board.best, 3)) + ", ".join(board.local(Board.best, 3)), str)
    board.ask(Board.best, "3")  # type: ignore[arg-type]  # an argument of another type
    board.ask(Board.score, "ada")  # type: ignore[arg-type]  # no query
    assert_type(board.score("ada", 3), Any)
    assert_type(board.status(), MachineStatus)
    db.machine("board", dict)  # type: ignore[type-var]  # no machine


async def waiting(db: roost.aio.Database) -> None:
    """Calls of the asyncio face."""
    board = await db.machine("board", Board)
    assert_type(await board.run(Board.score, "ada", 3, once="key"), int)
    assert_type(await board.ask(Board.best, 3), list[str])
    assert_type(await board.best(3), Any)
    await board.run(Board.score, 3)  # type: ignore[call-overload]  # an argument of another type
