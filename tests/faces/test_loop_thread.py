"""A loop on a thread of its own: its calls, its callbacks, its end, and who may not call it."""

import asyncio
import inspect
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextvars import Context, ContextVar

import pytest

from roost.faces import CalledInsideLoop, Closed, Forked, LoopThread
from roost.faces.loop_thread import CALLS_MAX, _Call
from roost.tasks import Tasks
from roost.testing.patience import wait_until
from tests.faces.example.aio.counting import Counter as AsyncCounter
from tests.faces.example.blocking import Counter


def inner(counter: Counter) -> AsyncCounter:
    """What the face is of."""
    return counter._inner


def threads() -> set[str]:
    return {it.name for it in threading.enumerate() if it.name.startswith("roost-counter")}


def test_a_call_runs_on_the_loops_thread_and_its_caller_gets_the_result() -> None:
    with Counter(1) as counter:
        assert counter.add(2, 3, times=2) == 11
        assert inner(counter).threads == {"roost-counter"}
    assert inner(counter).ended == ["closed"]
    assert not threads()


def test_a_callback_may_make_blocking_calls_itself() -> None:
    told: list[int] = []
    over = threading.Event()

    def on_add(total: int) -> None:
        told.append(total)
        if total < 3:
            counter.add(1)
        else:
            over.set()

    counter = Counter(on_add=on_add)
    with counter:
        counter.add(1)
        assert over.wait(30)
    assert told == [1, 2, 3]


class OfItsOwn(BaseException):
    """What some libraries raise, pytest among them."""


@pytest.mark.parametrize("error", [ValueError, SystemExit, OfItsOwn])
def test_a_callback_that_fails_does_not_stop_the_next(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    over = threading.Event()

    def on_add(total: int) -> None:
        if total == 1:
            raise error("no")
        over.set()

    with Counter(on_add=on_add) as counter:
        counter.add(1)
        counter.add(1)
        assert over.wait(30)
    assert "what roost-counter called back failed" in caplog.text


def test_nothing_can_be_called_after_the_end() -> None:
    counter = Counter()
    counter.add(1)
    counter.close()
    counter.close()
    with pytest.raises(Closed, match="open another one"):
        counter.add(1)


def test_whoever_waits_when_it_is_closed_is_told() -> None:
    counter, told = Counter(), list[BaseException]()

    def wait() -> None:
        try:
            counter.wait()
        except Closed as error:
            told.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: bool(threads()))
    counter.close()
    waiting.join()
    assert len(told) == 1


def test_a_blocking_call_from_the_loop_itself_is_refused() -> None:
    with Counter() as counter:
        loop = counter._loop

        async def call() -> None:
            counter.add(1)

        with pytest.raises(CalledInsideLoop, match="would never return"):
            loop.call(call())


def interrupt_the_process() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def interrupt_another_thread() -> None:
    """What waits is interrupted no more than by a signal of the moment before the wait."""
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)


@pytest.mark.parametrize("interrupt", [interrupt_the_process, interrupt_another_thread])
def test_whoever_is_interrupted_leaves_nothing_running(interrupt: Callable[[], None]) -> None:
    class Stop(Exception):
        pass

    def stop(_number: int, _frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with Counter() as counter:
            counter.add(1)
            kicked = threading.Timer(0.05, interrupt)
            kicked.start()
            with pytest.raises(Stop):
                counter.wait()
            kicked.join()
            assert inner(counter).ended == ["waited"]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_who_is_interrupted_before_the_work_began_leaves_none_of_it() -> None:
    async def story() -> None:
        work, tasks = nothing(), Tasks()
        call = _Call(work, tasks)
        call.begin()
        call.cancel()
        assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
        await tasks.close()

    asyncio.run(story())


def test_what_ends_the_loop_from_within_leaves_nobody_waiting() -> None:
    loop, told = LoopThread("roost-left"), list[BaseException]()
    waits = threading.Event()

    async def wait() -> None:
        waits.set()
        await asyncio.get_running_loop().create_future()

    async def leave() -> None:
        raise SystemExit(3)

    def call() -> None:
        try:
            loop.call(wait())
        except Closed as error:
            told.append(error)

    waiting = threading.Thread(target=call)
    waiting.start()
    assert waits.wait(60)
    with pytest.raises(SystemExit):
        loop.call(leave())
    waiting.join()
    assert len(told) == 1
    with pytest.raises(Closed):
        loop.call(nothing())
    loop.close()


def test_a_call_is_made_in_the_context_of_its_caller() -> None:
    who = ContextVar("who", default="nobody")

    async def asked() -> str:
        return who.get()

    loop = LoopThread("roost-context")
    answers: dict[str, str] = {}

    def ask(name: str) -> None:
        who.set(name)
        answers[name] = loop.call(asked())

    callers = [threading.Thread(target=ask, args=(it,)) for it in ("ada", "bob", "cyd")]
    for it in callers:
        it.start()
    for it in callers:
        it.join()
    loop.close()
    assert answers == {"ada": "ada", "bob": "bob", "cyd": "cyd"}


class _Counted(asyncio.SelectorEventLoop):
    """Counts how often another thread wakes it."""

    woken_count = 0

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        self.woken_count += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


def test_calls_that_come_while_the_loop_is_busy_wake_it_once() -> None:
    counted, held = _Counted(), threading.Event()
    loop = LoopThread("roost-busy", make_loop=lambda: counted)

    async def hold() -> None:
        assert held.wait(60)

    callers = [threading.Thread(target=lambda: loop.call(hold()))]
    callers[0].start()
    wait_until(lambda: counted.woken_count == 1 and not loop._begun)
    callers += [threading.Thread(target=lambda: loop.call(nothing())) for _ in range(20)]
    for it in callers[1:]:
        it.start()
    wait_until(lambda: len(loop._begun) == 20)
    assert counted.woken_count == 2
    held.set()
    for it in callers:
        it.join()
    loop.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_has_to_open_its_own() -> None:
    with Counter() as counter:
        counter.add(1)
        child = os.fork()
        if not child:
            code = 1
            try:
                counter.add(1)
            except Forked:
                counter.close()
                code = 0
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert counter.add(1) == 2


def test_a_loop_that_was_never_used_has_no_thread() -> None:
    LoopThread("roost-unused").close()
    assert not [it for it in threading.enumerate() if it.name.startswith("roost-unused")]


async def nothing() -> str:
    return "nothing"


class _Crossed(asyncio.SelectorEventLoop):
    """A loop that somebody closes at the moment when a call is about to be put on it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_met = False
        self.is_locked: Callable[[], bool]
        self.closing: threading.Thread

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        if not self.is_met and threading.current_thread() is threading.main_thread():
            self.is_met = True
            can_wait = not self.is_locked()
            self.closing.start()
            if can_wait:
                self.closing.join()
        return super().call_soon_threadsafe(callback, *args, context=context)


def test_a_call_that_meets_the_end_is_made_or_refused_and_never_hangs() -> None:
    """It found a loop that ran, and was put on one that had ended."""
    crossed = _Crossed()
    loop = LoopThread("roost-crossed", make_loop=lambda: crossed)
    crossed.closing, crossed.is_locked = threading.Thread(target=loop.close), loop._lock.locked
    try:
        assert loop.call(nothing()) == "nothing"
    except Closed:
        pass  # it was refused
    crossed.closing.join()
    with pytest.raises(Closed):
        loop.call(nothing())


def test_a_loop_that_cannot_be_made_leaves_no_call_behind() -> None:
    def fail() -> asyncio.AbstractEventLoop:
        raise OSError("no descriptors")

    work = nothing()
    with pytest.raises(OSError, match="no descriptors"):
        LoopThread("roost-none", make_loop=fail).call(work)
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED, "nobody will ever wait for it"


def test_more_callbacks_than_may_wait_end_the_loops_call() -> None:
    """Full?  Whoever calls back slower than the loop tells holds nobody up, and is told."""
    told: list[int] = []
    held, over = threading.Event(), threading.Event()

    def slowly(number: int) -> None:
        assert held.wait(60)
        told.append(number)
        if number == CALLS_MAX:
            over.set()

    loop = LoopThread("roost-slow")
    tell = loop.calling(slowly)
    tell(0)
    wait_until(loop._calls.empty)
    for number in range(1, CALLS_MAX + 1):
        tell(number)
    with pytest.raises(RuntimeError, match="wait to be made"):
        tell(-1)
    held.set()
    assert over.wait(60)
    loop.close()
    assert told == list(range(CALLS_MAX + 1)), "in order, and none that was refused"


def test_what_is_iterated_when_it_is_closed_ends() -> None:
    ended: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            ended.append("closed")

    loop = LoopThread("roost-numbers")
    items = loop.iterate(numbers())
    assert next(items) == 0
    loop.close()
    with pytest.raises(Closed):
        next(items)
    assert ended == ["closed"]
