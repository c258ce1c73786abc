"""The thread that writes the journal: how it ends.  What it does holds for all of its kind.

See `roost.sim.conformance.machine`.
"""

import asyncio
import gc
import threading
from functools import partial

from roost.member.machine.worker import OneThread
from roost.testing.patience import PATIENCE_S


def _made() -> tuple[OneThread, threading.Thread]:
    before = set(threading.enumerate())
    worker = OneThread()
    (thread,) = set(threading.enumerate()) - before
    return worker, thread


def test_it_ends_when_it_is_told_to_and_has_done_what_was_asked() -> None:
    async def story() -> None:
        worker, thread = _made()
        over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        done: list[int] = []
        for number in range(3):
            worker.submit(partial(done.append, number), print, over.set_exception)
        worker.submit(lambda: "the last", over.set_result, over.set_exception)
        worker.shutdown()
        worker.shutdown()  # once is as good
        async with asyncio.timeout(PATIENCE_S):
            assert await over == "the last"
        assert done == [0, 1, 2]
        thread.join(PATIENCE_S)
        assert not thread.is_alive()

    asyncio.run(story())


def test_it_ends_when_nobody_has_it_any_more() -> None:
    worker, thread = _made()
    assert thread.daemon, "a process would wait for a disk that hangs"
    del worker
    gc.collect()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_what_is_answered_when_the_loop_has_ended_is_nobodys() -> None:
    """What fails in a thread of its own would be a warning, and those fail tests."""
    goes_on = threading.Event()
    told: list[object] = []

    async def story() -> tuple[OneThread, threading.Thread]:
        worker, thread = _made()
        worker.submit(goes_on.wait, told.append, told.append)
        worker.submit(lambda: 1 // 0, told.append, told.append)
        return worker, thread

    worker, thread = asyncio.run(story())
    goes_on.set()
    worker.shutdown()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert told == []
