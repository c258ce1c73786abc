"""A leaderboard: a Python object that is the same on every machine, changed by commands.

    python examples/leaderboard.py data                                alone
    python examples/leaderboard.py m1.data m1 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003
    python examples/leaderboard.py m2.data m2 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003
    python examples/leaderboard.py m3.data m3 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003

Then lines: `score PLAYER POINTS [KEY]`, `lucky`, `best COUNT`, `rank PLAYER`, `status`.  Scores are
kept in the order of their ranks, in memory, so that a rank is found at once; a table in a tree
would have to be walked over.  Any member takes any of the lines, and a majority is enough.
"""

import bisect
import sys
from typing import BinaryIO

import msgspec

import roost
from roost.objects import MachineHandle


class Leaderboard(roost.Machine):
    """Who has how many points, and who is before whom."""

    def __init__(self) -> None:
        self.scores: dict[str, int] = {}
        self.ranks: list[tuple[int, str]] = []

    @roost.command
    def score(self, context: roost.Context, player: str, points: int) -> int:
        """Give a player points; how many it has now."""
        before = self.scores.get(player)
        if before is not None:
            del self.ranks[bisect.bisect_left(self.ranks, (-before, player))]
        total = self.scores[player] = (before or 0) + points
        bisect.insort(self.ranks, (-total, player))
        return total

    def validate_score(self, context: roost.Context, player: str, points: int) -> None:
        """Refuse what is no score, before it is in the log."""
        if not 0 < points <= 1000:
            raise roost.Refused("a score is 1 to 1000 points", code="points")

    @roost.command
    def lucky(self, context: roost.Context) -> str:
        """Give somebody ten points, by chance that is the same on every member."""
        if not self.scores:
            raise roost.Refused("nobody plays yet", code="empty")
        player = context.random.choice(sorted(self.scores))
        self.score(context, player, 10)
        return player

    @roost.query
    def best(self, count: int) -> list[tuple[str, int]]:
        """The first of them all."""
        return [(player, -below) for below, player in self.ranks[:count]]

    @roost.query
    def rank(self, player: str) -> int | None:
        """Which place a player has, from 1; None = it does not play."""
        held = self.scores.get(player)
        return None if held is None else bisect.bisect_left(self.ranks, (-held, player)) + 1

    def save(self, out: BinaryIO) -> None:
        """Write a row after the other, so that not all of it is in memory twice."""
        for row in self.scores.items():
            line = msgspec.msgpack.encode(row)
            out.write(len(line).to_bytes(4, "big") + line)

    def load(self, source: BinaryIO) -> None:
        """Read what was written."""
        while length := int.from_bytes(source.read(4), "big"):
            player, points = msgspec.msgpack.decode(source.read(length), type=tuple[str, int])
            self.scores[player] = points
        self.ranks = sorted((-points, player) for player, points in self.scores.items())


def score_surely(board: MachineHandle[Leaderboard], player: str, points: int, key: str) -> int:
    """Give points once, and do not give up before it is known."""
    while True:
        try:
            return board.run(Leaderboard.score, player, points, once=key)
        except (roost.NotExecuted, roost.OutcomeUnknown) as error:
            print(f"asking again: {error}", file=sys.stderr)


def carry_out(board: MachineHandle[Leaderboard], words: list[str]) -> str:
    """What one line asks for."""
    match words:
        case ["score", player, points]:
            return f"{player} has {board.score(player, int(points))}"
        case ["score", player, points, key]:
            return f"{player} has {score_surely(board, player, int(points), key)}"
        case ["lucky"]:
            return f"{board.lucky()} was lucky"
        case ["best", count]:
            return " ".join(f"{player}={points}" for player, points in board.best(int(count)))
        case ["rank", player]:
            return f"{player} is {board.rank(player) or 'nowhere'}"
        case ["status"]:
            said = board.status()
            return f"{said.applied_index} commands, the snapshot has {said.snapshot_index}"
        case _:
            return "score PLAYER POINTS [KEY] | lucky | best COUNT | rank PLAYER | status"


def main(path: str, name: str = "default", *members: str) -> None:
    """Open the member and the machine, and do what the lines of standard input say."""
    cluster = dict(it.split("=", 1) for it in members) or None
    with roost.open(path, name=name, members=cluster) as db:
        policy = roost.SnapshotPolicy(commands=1000, tail=100)
        board = db.machine("leaderboard", Leaderboard, policy=policy)
        for line in sys.stdin:
            try:
                print(carry_out(board, line.split()), flush=True)
            except (roost.Refused, roost.NotExecuted, roost.OutcomeUnknown, ValueError) as error:
                print(f"no: {error}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
