"""Tasks and processes have an owner that hears of their errors and ends them, whenever it comes."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from roost.children import run_module
from roost.sim.members.loop import run_virtually, until_idle
from roost.tasks import Tasks
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.processes import children_of, is_there

TURNS_MAX = 400


def test_an_error_reaches_whoever_asked_for_it() -> None:
    heard: list[BaseException] = []

    async def fail() -> None:
        raise ValueError("a bug")

    async def main() -> None:
        tasks = Tasks(heard.append)
        tasks.start(fail())
        await until_idle()
        await tasks.close()

    run_virtually(main())
    assert [str(it) for it in heard] == ["a bug"]


def test_an_error_that_nobody_asked_for_reaches_the_loop() -> None:
    heard: list[dict[str, Any]] = []

    async def fail() -> None:
        raise ValueError("a bug")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, said: heard.append(said))
        tasks = Tasks()
        tasks.start(fail())
        await until_idle()
        await tasks.close()
        assert len(tasks) == 0

    run_virtually(main())
    assert [str(it["exception"]) for it in heard] == ["a bug"]


def test_a_task_that_misses_a_cancellation_is_cancelled_again() -> None:
    missed: list[int] = []

    async def work() -> None:
        while len(missed) < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                missed.append(1)
        await asyncio.Event().wait()

    async def main() -> None:
        tasks = Tasks()
        task = tasks.start(work())
        await until_idle()
        async with asyncio.timeout(PATIENCE_S):
            await tasks.close()
        assert task.cancelled()

    run_virtually(main())
    assert len(missed) == 2


def test_what_a_process_says_and_how_it_ends(tmp_path: Path) -> None:
    ended = asyncio.run(run_module("tests.child", "say", "hello"))
    assert (ended.code, ended.said) == (0, b"hello\n")
    assert asyncio.run(run_module("tests.child", "raise")).code == 1
    assert asyncio.run(run_module("tests.child", "kill")).code == -signal.SIGKILL
    del tmp_path


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_program_hears_of_its_own_children_before_and_after(runner: Callable[[Any], Any]) -> None:
    """A loop that waits for processes takes SIGCHLD, which is one for all that runs in ours."""
    told: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda number, _frame: told.append(number))
    try:
        assert runner(run_module("tests.child", "say", "hello")).code == 0
        del told[:]
        subprocess.run(["true"], check=True)
        wait_until(lambda: bool(told))
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.slow
@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("is_gone", [False, True], ids=["alive", "gone"])
def test_a_cancellation_at_any_moment_ends_the_process_and_stays_one(
    runner: Callable[[Any], Any], *, is_gone: bool
) -> None:
    """A child that is gone already (a signal to the whole group) must not replace it."""

    others = set(children_of(os.getpid()))  # what other tests have started, and still need

    async def cancel_after(turns: int) -> bool:
        task = asyncio.get_running_loop().create_task(run_module("tests.child", "say", "x"))
        for _ in range(turns):
            await asyncio.sleep(0)
        own = set(children_of(os.getpid())) - others
        if is_gone:
            for pid in own:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not any(is_there(it) for it in own))
        was_done = not task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or was_done or task.result()
        assert not any(is_there(it) for it in own)
        return was_done

    async def main() -> None:
        for turns in [*range(12), *range(12, TURNS_MAX, 40)]:
            await cancel_after(turns)

    runner(main())


@pytest.mark.slow
@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_who_is_cancelled_twice_is_told_nothing_of_the_process_and_nothing_goes_wrong(
    runner: Callable[[Any], Any],
) -> None:
    """A member that stopped on a busy machine logged an invalid state, with a traceback."""
    others = set(children_of(os.getpid()))
    wrong: list[dict[str, Any]] = []
    holders: list[int] = []

    def is_lent() -> bool:
        own = set(children_of(os.getpid())) - others
        holders[:] = [it for pid in own for it in children_of(pid)]
        return bool(holders)

    def is_followed() -> bool:
        return any(it.name == "roost-child" for it in threading.enumerate())

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, told: wrong.append(told))
        task = loop.create_task(run_module("tests.child", "lend"))
        await asyncio.to_thread(wait_until, is_lent)
        own = set(children_of(os.getpid())) - others
        task.cancel()
        while any(map(is_there, own)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        os.kill(holders[0], signal.SIGKILL)
        # What the thread has told is heard before this, which is told later.
        await asyncio.to_thread(wait_until, lambda: not is_followed())

    runner(main())
    assert wrong == []


@pytest.mark.slow
def test_a_process_ends_with_an_owner_that_was_killed() -> None:
    code = "import asyncio; from roost.children import run_module; "
    code += "asyncio.run(run_module('tests.child', 'wait'))"
    owner = subprocess.Popen([sys.executable, "-c", code])
    wait_until(lambda: bool(children_of(owner.pid)))
    left = children_of(owner.pid)
    owner.kill()
    owner.wait()
    wait_until(lambda: not any(is_there(it) for it in left))
