"""Threads for passwords in virtual time: their work ends when a test lets it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from roost.sim.members.loop import until_idle, virtual_loop


@dataclass
class Working:
    """A thread at work."""

    work: Callable[[], object]
    future: asyncio.Future[object]


class Threads:
    """What the loop runs on threads, from now on."""

    def __init__(self) -> None:
        self._loop = virtual_loop()
        self._loop.run_in_executor = self._begin  # type: ignore[method-assign,assignment]  # there are none
        self.working: list[Working] = []

    def _begin(self, _executor: Executor, work: Callable[[], object]) -> asyncio.Future[object]:
        future: asyncio.Future[object] = self._loop.create_future()
        self.working.append(Working(work, future))
        return future

    async def end(self, position: int = 0) -> None:
        """One of them is ready, and whoever waits for it hears so."""
        it = self.working.pop(position)
        try:
            result = it.work()
        except Exception as error:  # noqa: BLE001 - as a real one hands it on
            it.future.set_exception(error)
        else:
            it.future.set_result(result)
        await until_idle()

    async def end_all(self) -> None:
        """All of them, and those that begin then."""
        await until_idle()
        while self.working:
            await self.end()
