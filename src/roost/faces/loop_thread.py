"""An event loop on a thread of its own, called from others.

A call is a coroutine that runs on the loop while its caller waits.  Whoever is interrupted
meanwhile (an exception of a signal's, as KeyboardInterrupt is one) has the coroutine cancelled,
and waits for its end for a moment, so that nothing is left half done.

What is given to be called back is called on a second thread, one call after the other: it may
make blocking calls itself, and the loop never waits for it.  Whoever calls back faster than that
is told waits for nobody: `CALLS_MAX` may wait, and one more ends the loop's call with an error.
"""

import asyncio
import inspect
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import copy_context
from queue import Full, Queue
from typing import Any, Generic, TypeVar

from roost.faces.errors import CalledInsideLoop, Closed, Forked
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
CALLS_MAX = 1000
# How long what was interrupted may take to end.
_GRACE_S = 2.0
# After how long a signal is seen that did not interrupt a wait.
_LOOK_S = 0.5


class _Call(Generic[Result]):
    """One call: its work, for the loop, and what came of it, for the one thread that waits.

    A lock is all that they share, which costs less than a future for threads does.  It is given
    back in the turn in which the work ends, and what came of it does not change any more.
    """

    __slots__ = ("_context", "_error", "_result", "_task", "_tasks", "_work", "is_over", "over")

    def __init__(self, work: Coroutine[Any, Any, Result], tasks: Tasks) -> None:
        self._work = work
        self._tasks = tasks
        self._context = copy_context()
        self._task: asyncio.Task[None] | None = None
        self._result: Result
        self._error: BaseException | None = None
        self.is_over = False
        self.over = threading.Lock()
        self.over.acquire()

    def wait(self) -> None:
        """Wait for the end, and let the main thread run handlers of signals meanwhile.

        It runs them between two of its steps.  A signal that comes after the last step before the
        wait, and before the wait itself, interrupts neither: its handler would run when the wait
        is over, which may be never.
        """
        while not self.over.acquire(timeout=_LOOK_S):
            pass

    def begin(self) -> None:
        """Run, on the loop, in the context of the caller."""
        self._task = self._context.run(self._tasks.start, self._run())

    async def _run(self) -> None:
        try:
            self._result = await self._work
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):
                raise  # it is the task's, or the loop's
        finally:
            self.is_over = True
            self.over.release()

    def cancel(self) -> None:
        """End it, on the loop; nobody waits for it any more."""
        assert self._task is not None, "it was begun before"
        self._task.cancel()
        if inspect.getcoroutinestate(self._work) == inspect.CORO_CREATED:
            self._work.close()  # its task will not even begin

    def outcome(self) -> Result:
        """What it returned, or what it raised; once, when it is over."""
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            if isinstance(error, asyncio.CancelledError):
                raise Closed("it was closed while something was waited for") from error
            raise error
        finally:
            del error  # it has this frame in its traceback


class LoopThread:
    """A loop that begins with the first call, and ends with `close`; safe to use by any thread."""

    def __init__(
        self,
        name: str,
        *,
        make_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        """Nothing runs yet; threads are named `name`; None = the quickest loop that there is."""
        self._name = name
        self._make_loop = make_loop or _quickest_loop
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks = Tasks()
        # Calls that the loop has not taken; it is woken for the first of them alone.
        self._begun: list[_Call[Any]] = []
        self._calls: Queue[Callable[[], object] | None] = Queue(CALLS_MAX)
        self._calling: threading.Thread | None = None
        self._is_closed = False
        self._process = os.getpid()

    @property
    def is_over(self) -> bool:
        """Whether it was closed, or is another process's: nothing of it can be called."""
        return self._is_closed or self._process != os.getpid()

    def call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run `work` on the loop; return what it does, or raise what it raises.

        Raises:
            Closed: the loop has ended.
            CalledInsideLoop: we are the loop's thread.
            Forked: the loop is another process's.

        """
        call = self._begin(work)
        try:
            call.wait()
        except BaseException:
            if not call.is_over:
                self._cancel(call)
            raise
        return call.outcome()

    def _cancel(self, call: "_Call[Any]") -> None:
        """End it, and wait for its end, for a moment."""
        loop = self._loop
        assert loop is not None, "it was begun"
        try:
            loop.call_soon_threadsafe(call.cancel)
            ended = self._begin(_until_cancelled_end())
        except (Closed, RuntimeError):
            return  # with the loop all that was on it has ended
        if not ended.over.acquire(timeout=_GRACE_S):
            logger.warning("what was interrupted does not end within %g s", _GRACE_S)

    def iterate(self, items: AsyncIterator[Result]) -> Generator[Result, None, None]:
        """What comes of `items`, one after the other; they are closed with the generator."""
        try:
            while True:
                try:
                    item = self.call(_next(items))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self._end(items)

    def _end(self, items: AsyncIterator[Any]) -> None:
        close = getattr(items, "aclose", None)
        if close is None or self.is_over:
            return  # with the loop all that was on it has ended
        if threading.current_thread() is self._thread:
            # A generator that nobody wants any more is collected wherever the interpreter is.
            assert self._loop is not None, "it runs us"
            asyncio.run_coroutine_threadsafe(close(), self._loop)
        else:
            with suppress(Closed):  # by another thread meanwhile
                self.call(close())

    def calling(self, told: Callable[..., object]) -> Callable[..., None]:
        """`told`, for the loop to call: it runs on another thread, after what was called before.

        What it raises is logged.
        """

        def call(*given: object) -> None:
            try:
                self._calls.put_nowait(lambda: told(*given))
            except Full:
                text = f"{CALLS_MAX} calls of {told} and others wait to be made"
                raise RuntimeError(text) from None
            with self._lock:
                if self._calling is None:
                    self._calling = self._start(self._call_back, "-calls")

        return call

    def _call_back(self) -> None:
        while (told := self._calls.get()) is not None:
            try:
                told()
            except BaseException:
                logger.exception("what %s called back failed", self._name)

    def _start(self, target: Callable[[], None], suffix: str = "") -> threading.Thread:
        thread = threading.Thread(target=target, name=f"{self._name}{suffix}", daemon=True)
        thread.start()
        return thread

    def _begin(self, work: Coroutine[Any, Any, Result]) -> "_Call[Result]":
        """Put `work` on the loop, which is started when it was not."""
        is_begun = False
        try:
            self._check_caller()
            # The work is on the loop before the lock is given back: whoever closes then cancels
            # it.  Put there behind the last turn of a loop it would be waited for without end.
            with self._lock:
                loop = self._running()
                call = _Call(work, self._tasks)
                if not self._begun:
                    # First: whoever is interrupted behind it has woken the loop for nothing, and
                    # nobody waits for a loop that was not woken.
                    loop.call_soon_threadsafe(self._take)
                is_begun = True
                self._begun.append(call)
                return call
        except BaseException:
            if not is_begun:  # what may run is the loop's to end
                work.close()
            raise

    def _take(self) -> None:
        """Begin what waits, on the loop."""
        with self._lock:
            begun, self._begun = self._begun, []
        for it in begun:
            it.begin()

    def _check_caller(self) -> None:
        # Before the lock: a fork may have it from a thread that did not come along.
        if self._process != os.getpid():
            raise Forked("it was opened before this process was forked: open another one here")
        if threading.current_thread() is self._thread:
            raise CalledInsideLoop(
                "a blocking call from the loop's own thread would never return: use the asyncio "
                "face there, or another thread; what a call is given is walked over there, so of "
                "what asks us itself give a list"
            )

    def _running(self) -> asyncio.AbstractEventLoop:
        """The loop, for who has the lock; it is started when it was not."""
        if self._is_closed:
            raise Closed("it was closed: open another one")
        if self._loop is None:
            self._loop = self._make_loop()
            self._thread = self._start(self._run)
        return self._loop

    def _run(self) -> None:
        assert self._loop is not None, "it was made before"
        loop = self._loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        except (KeyboardInterrupt, SystemExit) as error:
            # Who called what raised it is told so; all others, that it was closed.
            logger.error("the loop of %s was ended by what ran on it: %r", self._name, error)  # noqa: TRY400 - it is no fault of ours, and who called has it
            with self._lock:
                self._is_closed = True
            self._take()
            loop.run_until_complete(_end_all(loop))
        finally:
            loop.close()

    def close(self) -> None:
        """Cancel what runs, and end the loop and the threads; more than once does nothing.

        Raises:
            CalledInsideLoop: we are the loop's thread.

        """
        if self._process != os.getpid():
            return  # none of it came along
        if threading.current_thread() is self._thread:
            raise CalledInsideLoop("a loop cannot wait for its own end")
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            loop, thread, calling = self._loop, self._thread, self._calling
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(_end_all(loop), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
        if calling is not None and threading.current_thread() is not calling:
            self._calls.put(None)
            calling.join()


def _quickest_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop's, where that is installed: a call takes a tenth less processor time."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _next(items: AsyncIterator[Result]) -> Result:
    return await anext(items)


def _others() -> list["asyncio.Task[Any]"]:
    ours = asyncio.current_task()
    return [it for it in asyncio.all_tasks() if it is not ours]


async def _until_cancelled_end() -> None:
    cancelled = [it for it in _others() if it.cancelling()]
    if cancelled:
        await asyncio.wait(cancelled)


async def _end_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel every task, and again as long as some run: one may miss it (see `roost.tasks`)."""
    while others := _others():
        for it in others:
            it.cancel()
        await asyncio.wait(others, timeout=0.5)
    await loop.shutdown_asyncgens()
