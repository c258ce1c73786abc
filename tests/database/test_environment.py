"""The file of what is derived: what its store has dropped is freed a part a turn of the loop."""

import asyncio
from typing import Any

from roost.database.environment import Environment


class Dropping:
    """A store that has dropped so many parts, and a keeper."""

    def __init__(self, old_count: int) -> None:
        self.old_count = old_count
        self.looks = 0

    def flush_if_due(self, _now_s: float) -> None:
        self.looks += 1

    def free(self) -> None:
        self.old_count -= 1

    def abandon(self) -> None:
        """It is closed."""

    def unwatch(self, _loop: asyncio.AbstractEventLoop) -> None:
        """Nobody watches."""


def test_what_was_dropped_is_freed_a_part_a_turn_until_nothing_is_left() -> None:
    async def main() -> None:
        stub: Any = Dropping(4)
        environment = Environment(stub, stub)
        environment.look(0.0)
        environment.look(0.1)
        assert (stub.old_count, stub.looks) == (3, 2), "one a turn, however often it is asked"
        left = list[int]()
        while stub.old_count:
            await asyncio.sleep(0)
            left.append(stub.old_count)
        assert left == [2, 1, 0]
        turns = stub.old_count = 2
        environment.look(0.2)
        environment.abandon()
        for _ in range(turns):
            await asyncio.sleep(0)
        assert stub.old_count == turns, "nothing after its end"

    asyncio.run(main())
