"""A scope ends what is within it, with the first error that somebody gave."""

import asyncio
import threading

import pytest

from roost.client import ClientError, Scope
from roost.sim.members.loop import run_virtually, until_idle

AWAY, LATE = ClientError("UNAVAILABLE", "away"), ClientError("DEADLINE_EXCEEDED", "late")


def test_the_first_error_counts() -> None:
    scope = Scope()
    scope.check()
    scope.end(AWAY)
    scope.end(LATE)
    with pytest.raises(ClientError) as caught:
        scope.check()
    assert caught.value is AWAY


def test_what_is_under_way_is_ended_with_the_error() -> None:
    ended: list[str] = []

    async def wait(scope: Scope) -> None:
        try:
            async with scope.holding():
                await asyncio.Event().wait()
        except ClientError as error:
            ended.append(error.text)

    async def main() -> None:
        scope = Scope()
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(wait(scope))
            await until_idle()
            scope.end(AWAY)
        with pytest.raises(ClientError, match="away"):
            async with scope.holding():
                pytest.fail("it begins when the scope is over")

    run_virtually(main())
    assert ended == ["away", "away"]


def test_somebody_elses_cancellation_stays_one() -> None:
    async def main() -> None:
        scope = Scope()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5), scope.holding():
                await asyncio.Event().wait()
        scope.check()

    run_virtually(main())


def test_what_is_over_is_not_ended() -> None:
    async def main() -> None:
        scope = Scope()
        async with scope.holding():
            pass
        scope.end(AWAY)
        await until_idle()

    run_virtually(main())


def test_any_thread_may_end_it() -> None:
    async def main() -> None:
        scope = Scope()
        ending = threading.Thread(target=scope.end, args=(AWAY,))
        ending.start()
        with pytest.raises(ClientError, match="away"):
            async with scope.holding():
                await asyncio.Event().wait()
        ending.join()

    asyncio.run(main())
