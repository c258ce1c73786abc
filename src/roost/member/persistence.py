"""Making Readys durable: inline while the disk is fast, on a thread when it is not.

Measured (specification of the write path, 2026-11): an inline `fdatasync` is both the fastest
and the cheapest way while it takes about 0.1 ms, because sockets fill meanwhile and the next
batch is larger.  A disk that needs many milliseconds would hold up heartbeats, so the work
moves to one thread, and back when the disk has recovered.  Order is kept either way: a Ready is
reported durable only after all Readys before it.

When the device fails the journal is poisoned; `on_failure` ends the process (journal.md J15).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter

from roost.journal import Batch, Journal
from roost.raft import Ready

# Weight of the newest measurement in the running mean of write times, and how many times the
# limit it may count: one hiccup, however long, must not change the way of writing.
_WEIGHT = 0.05
_OUTLIER_TIMES = 4
# A thread is left again when writes take this part of what made us use it.
_RETURN_PART = 0.25


class Persistence:
    """Writes Readys to the journal in order and says when each is durable.

    `on_durable(ready)` is called once for each Ready, in order; inline within `persist`, from
    the event loop when the thread was used.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        inline_ms_max: float,
        on_durable: Callable[[Ready], None],
        on_failure: Callable[[BaseException], None],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Start inline; `clock` is in seconds."""
        self._journal = journal
        self._inline_s_max = inline_ms_max / 1000
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._clock = clock
        self._mean_s = 0.0
        self._thread: ThreadPoolExecutor | None = None
        # Readys handed to the thread, oldest first.  Bounded by the core: it proposes no more
        # than its uncommitted bytes, and takes no more than its in-flight windows from peers.
        self._outstanding: deque[tuple[Ready, Batch | None]] = deque()

    @property
    def mean_ms(self) -> float:
        """Running mean of the time one write and sync takes."""
        return self._mean_s * 1000

    @property
    def uses_thread(self) -> bool:
        """Whether the disk is so slow that a thread is used."""
        return self._thread is not None

    @property
    def outstanding_count(self) -> int:
        """Readys handed over and not yet durable; zero when idle."""
        return len(self._outstanding)

    def persist(self, ready: Ready) -> None:
        """Make `ready` durable, now or in order behind those before it."""
        has_work = ready.hard_state is not None or bool(ready.entries)
        if self._thread is None:
            if has_work:
                self._write_inline(ready)
            self._on_durable(ready)
            return
        batch = self._journal.prepare(ready.hard_state, ready.entries) if has_work else None
        self._outstanding.append((ready, batch))
        loop = asyncio.get_running_loop()
        future = self._thread.submit(self._write_timed, batch)

        def finished(done: Future[float]) -> None:
            loop.call_soon_threadsafe(self._on_written, done)

        future.add_done_callback(finished)

    def _write_inline(self, ready: Ready) -> None:
        journal = self._journal
        batch = journal.prepare(ready.hard_state, ready.entries)
        started = self._clock()
        journal.write(batch)
        took = self._clock() - started
        journal.finish(batch)
        self._note(took)
        if self._mean_s > self._inline_s_max:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    def _note(self, took_s: float) -> None:
        took_s = min(took_s, _OUTLIER_TIMES * self._inline_s_max)
        self._mean_s += _WEIGHT * (took_s - self._mean_s)

    def _write_timed(self, batch: Batch | None) -> float:
        started = self._clock()
        if batch is not None:
            self._journal.write(batch)
        return self._clock() - started

    def _on_written(self, done: Future[float]) -> None:
        ready, batch = self._outstanding.popleft()
        error = done.exception()
        if error is not None:
            self._on_failure(error)
            return
        if batch is not None:
            self._journal.finish(batch)
            self._note(done.result())
        if not self._outstanding and self._mean_s < self._inline_s_max * _RETURN_PART:
            thread, self._thread = self._thread, None
            assert thread is not None
            thread.shutdown(wait=False)
        self._on_durable(ready)

    def close(self) -> None:
        """Wait for the thread's last write; no more Readys may follow."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None
