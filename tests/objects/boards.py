"""Machines for tests."""

from typing import BinaryIO

import msgspec

import roost
from roost.objects import Context, Machine, command, query


class Board(Machine):
    """Scores by player, and in which order they came."""

    def __init__(self) -> None:
        self.scores: dict[str, int] = {}
        self.events: list[str] = []

    @command
    def score(self, context: Context, player: str, points: int) -> int:
        if points == 13:
            raise roost.Refused("nobody scores 13", code="unlucky")
        self.scores[player] = self.scores.get(player, 0) + points
        self.events.append(f"{context.index} {player}")
        return self.scores[player]

    def validate_score(self, context: Context, player: str, points: int) -> None:
        if points < 0:
            raise roost.Refused(f"{player} cannot lose points", code="negative")

    @command(name="lot")
    def draw(self, context: Context, *, among: set[str]) -> str:
        return context.random.choice(sorted(among))

    @command
    def when(self, context: Context) -> tuple[int, int, str, float]:
        return context.index, context.term, context.member, context.at_s

    @command
    def fail(self, context: Context, text: str) -> None:
        self.events.append(text)
        raise ValueError(text)

    @query
    def best(self, count: int) -> list[tuple[str, int]]:
        return sorted(self.scores.items(), key=lambda it: (-it[1], it[0]))[:count]

    @query
    def told(self) -> list[str]:
        return self.events

    def save(self, out: BinaryIO) -> None:
        for it in (self.scores, self.events):
            content = msgspec.msgpack.encode(it)
            out.write(len(content).to_bytes(4, "big") + content)

    def load(self, source: BinaryIO) -> None:
        def part() -> bytes:
            return source.read(int.from_bytes(source.read(4), "big"))

        self.scores = msgspec.msgpack.decode(part(), type=dict[str, int])
        self.events = msgspec.msgpack.decode(part(), type=list[str])


def everything(board: Board) -> tuple[dict[str, int], list[str]]:
    """All that a board is."""
    return board.scores, board.events
