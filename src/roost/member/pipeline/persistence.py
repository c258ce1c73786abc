"""Making Readys durable: inline what is soon done, on a thread what is not.

Measured (2026-11): an inline `fdatasync` is both the fastest
and the cheapest way while it takes about 0.1 ms, because sockets fill meanwhile and the next
batch is larger.  A disk that needs many milliseconds would hold up heartbeats, so the work
moves to one thread, and back when the disk has recovered.  So does a batch of many bytes, whatever
the disk: the loop has other use for the time.  What comes while the thread writes is written
together afterwards, with one sync.  Order is kept either way: a Ready is reported durable only
after all Readys before it.

When the device fails the journal is poisoned; `on_failure` ends the process (J15).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Final, NamedTuple

from roost.histogram import Histogram
from roost.journal import Batch, Journal
from roost.member.events import DiskSlow, Tell, untold
from roost.member.machine.worker import OneThread, Result, Worker
from roost.raft import Entry, HardState, Ready

# Weight of the newest measurement in the running mean of write times, and how many times the
# limit it may count: one hiccup, however long, must not change the way of writing.
_WEIGHT: Final = 0.05
_OUTLIER_TIMES: Final = 4
# Small batches are written inline again when writes take this part of what moved them.
_RETURN_PART: Final = 0.25


class Group(NamedTuple):
    """Readys that are written together: how many, the newest hard state, and all entries."""

    ready_count: int
    hard_state: HardState | None
    entries: list[Entry]


class Persistence:
    """Writes Readys to the journal in order and says when each is durable.

    With `inline_ms_max` 0 the thread is used from the start and always, and on any disk for a batch
    of more than `inline_bytes_max`.

    `on_durable(readys)` is told of each Ready once, in order; inline within `persist`, from the
    event loop when the thread was used, and then of all that were written together at once.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        inline_ms_max: float,
        inline_bytes_max: int,
        on_durable: Callable[[Sequence[Ready]], None],
        on_failure: Callable[[BaseException], None],
        clock_s: Callable[[], float] = perf_counter,
        make_worker: Callable[[], Worker] = OneThread,
    ) -> None:
        """Start inline; `clock_s` never goes back, `make_worker` makes the thread."""
        self._journal = journal
        self._inline_s_max = inline_ms_max / 1000
        self._inline_bytes_max = inline_bytes_max
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._clock_s = clock_s
        self._mean_s = 0.0
        # Of batches that may be written inline: from large ones nothing follows for those.
        self._small_mean_s = 0.0
        self.syncs = Histogram()
        # What takes so long is told, once, until it is faster again.
        self.slow_s = float("inf")
        self.tell: Tell = untold
        self._is_told_slow = False
        self._make_worker = make_worker
        # Made when it is first needed, and kept.
        self._worker: Worker | None = None
        self._is_disk_slow = not inline_ms_max
        # Readys that are not durable, oldest first.  Bounded by the core: it proposes no more
        # than its uncommitted bytes, and takes no more than its in-flight windows from peers.
        self._outstanding: deque[Ready] = deque()
        self._writing_count = 0  # those at the front that are being written
        self._batch: Batch | None = None
        self._errand: Callable[[], None] | None = None
        self._mark_count = 0
        self._asked_count = 0  # what the thread has been asked and not yet answered
        # Made by `close`, which waits for it.
        self._drained: asyncio.Future[None] | None = None

    @property
    def mean_ms(self) -> float:
        """Running mean of the time one write and sync takes."""
        return self._mean_s * 1000

    @property
    def uses_thread(self) -> bool:
        """Whether the disk is so slow that a thread is used."""
        return self._is_disk_slow

    @property
    def outstanding_count(self) -> int:
        """Readys handed over and not yet durable, and marks on their way; zero when idle."""
        return len(self._outstanding) + self._mark_count

    def persist(self, ready: Ready) -> None:
        """Make `ready` durable, now or in order behind those before it."""
        assert self._drained is None, "nothing follows a close"
        has_work = ready.hard_state is not None or bool(ready.entries)
        if not has_work and not self._outstanding:
            self._on_durable((ready,))
            return
        self._outstanding.append(ready)
        if self._writing_count:
            return
        try:
            self._write_what_waits()
        except Exception as error:
            # Whoever called may be told by nobody, and all that follows would wait for ever.
            self._on_failure(error)
            raise

    def _write_what_waits(self) -> None:
        """Write it as one batch: now, or by the thread, which goes on with what comes meanwhile."""
        while self._outstanding:
            group = self._group()
            batch = self._journal.prepare(group.hard_state, group.entries)
            self._writing_count = group.ready_count
            if self._is_disk_slow or batch.size > self._inline_bytes_max:
                self._batch = batch
                self._submit(partial(self._write_timed, batch), self._on_written)
                return
            took_s = self._write_timed(batch)
            self._journal.finish(batch)
            self._note(batch, took_s)
            self._report()

    def _report(self) -> None:
        """What was being written is durable; what these lead to waits behind them."""
        self._on_durable([self._outstanding.popleft() for _ in range(self._writing_count)])
        self._writing_count = 0

    def _submit(self, work: Callable[[], Result], answer: Callable[[Result], None]) -> None:
        if self._worker is None:
            self._worker = self._make_worker()
        self._asked_count += 1
        self._worker.submit(work, answer, self._on_failed)

    def _group(self) -> Group:
        """Those that wait, up to one that overwrites entries: that begins a group of its own."""
        hard_state: HardState | None = None
        entries: list[Entry] = []
        for count, ready in enumerate(self._outstanding):
            if entries and ready.entries and ready.entries[0].index != entries[-1].index + 1:
                return Group(count, hard_state, entries)
            hard_state = ready.hard_state or hard_state
            entries += ready.entries
        return Group(len(self._outstanding), hard_state, entries)

    def _note(self, batch: Batch, took_s: float) -> None:
        """Of how long it took depends where the next ones are written."""
        if batch.hard_state is None and not batch.writes:
            return
        self.syncs.note(took_s)
        if took_s >= self.slow_s and not self._is_told_slow:
            self.tell(DiskSlow(1000 * took_s))
        self._is_told_slow = took_s >= self.slow_s
        took_s = min(took_s, _OUTLIER_TIMES * self._inline_s_max)
        self._mean_s += _WEIGHT * (took_s - self._mean_s)
        if batch.size > self._inline_bytes_max:
            return
        self._small_mean_s += _WEIGHT * (took_s - self._small_mean_s)
        if self._small_mean_s > self._inline_s_max:
            self._is_disk_slow = True
        elif self._small_mean_s < self._inline_s_max * _RETURN_PART:
            self._is_disk_slow = False

    def _write_timed(self, batch: Batch) -> float:
        started = self._clock_s()
        self._journal.write(batch)
        return self._clock_s() - started

    def _on_written(self, took_s: float) -> None:
        try:
            self._finish(took_s)
        except Exception as error:  # noqa: BLE001 - nobody above would take it, and our state is in doubt
            self._on_failure(error)
        self._on_answered()

    def _finish(self, took_s: float) -> None:
        """The thread has written what it was given: say so, and go on with what waits."""
        assert self._batch is not None, "it was written"
        batch, self._batch = self._batch, None
        self._journal.finish(batch)
        self._note(batch, took_s)
        self._run_errand()
        if self._drained is not None:
            return  # it is in the journal; nobody is promised anything any more
        self._report()
        self._write_what_waits()

    def between_writes(self, work: Callable[[], None]) -> None:
        """Have `work` done while nothing is written: now, or behind what is; the newest asked for.

        Readys may wait meanwhile: under load on a slow disk there is no moment without any.
        """
        self._errand = work
        self._run_errand()

    def _run_errand(self) -> None:
        if self._errand is not None and self._batch is None and not self._mark_count:
            work, self._errand = self._errand, None
            work()

    def mark(self) -> None:
        """Say durably that all is durable; only while nothing is outstanding."""
        assert not self._outstanding, "nothing is on its way"
        work = self._journal.prepare_mark()
        if not self._is_disk_slow:
            work()
            return
        self._mark_count += 1
        self._submit(work, self._on_marked)

    def _on_marked(self, _nothing: None) -> None:
        self._mark_count -= 1
        try:
            self._run_errand()
        except Exception as error:  # noqa: BLE001 - as above
            self._on_failure(error)
        self._on_answered()

    def _on_failed(self, error: BaseException) -> None:
        self._on_failure(error)
        self._on_answered()

    async def close(self) -> None:
        """Return when the thread has answered for all it was given; no more Readys may follow.

        What waits behind that is not written: nobody was promised it.
        """
        assert self._drained is None, "it is closed once"
        self._drained = asyncio.get_running_loop().create_future()
        if self._asked_count:
            await self._drained
        if self._worker is not None:
            self._worker.shutdown()

    def _on_answered(self) -> None:
        """If that was all that the thread was asked, whoever closes goes on."""
        self._asked_count -= 1
        if self._drained is not None and not self._asked_count:
            self._drained.set_result(None)
