"""When the disk is written in the loop and when on a thread, against a journal of the test's."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from roost.journal import Batch, JournalBroken
from roost.member.events import DiskSlow, Event
from roost.member.machine.worker import OneThread, Result, Worker
from roost.member.pipeline.persistence import Persistence
from roost.raft import Entry, EntryKind, HardState, Ready
from roost.sim.members.loop import pass_time, run_virtually
from roost.sim.members.world import SlowWorker
from roost.testing.patience import PATIENCE_S

pytestmark = pytest.mark.pure("its journal is a fake")

LIMIT_MS, LIMIT_BYTES = 5.0, 100


@dataclass
class SlowJournal:
    """Takes as long as it is told to, by the test's clock; remembers what was asked of it."""

    now_s: float = 0.0
    write_s: float = 0.0
    fails: bool = False
    fails_to_prepare: bool = False
    calls: list[tuple[str, int]] = field(default_factory=list)

    def prepare(self, _hard_state: HardState | None, entries: Sequence[Entry]) -> Batch:
        if self.fails_to_prepare:
            raise JournalBroken("an earlier write failed")
        self.calls.append(("prepare", entries[-1].index if entries else 0))
        # That there are some, and how large they are, is all that is looked at.
        writes: list[Any] = [SimpleNamespace(size=len(it.payload)) for it in entries]
        return Batch(None, writes, entries[-1].index if entries else 0)

    def write(self, batch: Batch) -> None:
        self.calls.append(("write", batch.last_index))
        self.now_s += self.write_s
        if self.fails:
            raise JournalBroken("the device failed")

    def finish(self, batch: Batch) -> None:
        self.calls.append(("finish", batch.last_index))

    def prepare_mark(self) -> Callable[[], None]:
        self.calls.append(("prepare mark", 0))
        return self.mark

    def mark(self) -> None:
        self.calls.append(("mark", 0))
        if self.fails:
            raise JournalBroken("the device failed")


def ready_of(entry: Entry | None, number: int = 0) -> Ready:
    return Ready(
        messages=[],
        hard_state=None,
        entries=[] if entry is None else [entry],
        messages_after_persist=[],
        committed=(),
        reads=[],
        reads_failed=[],
        number=number if entry is None else entry.index,
    )


class Bench:
    """A Persistence over a SlowJournal, and what it said."""

    def __init__(
        self, limit_ms: float = LIMIT_MS, *, make_worker: Callable[[], Worker] = OneThread
    ) -> None:
        self.journal = SlowJournal()
        self.durable: list[int] = []
        self.told: list[int] = []  # how many Readys each call was of
        self.errors: list[BaseException] = []
        self.persistence = Persistence(
            self.journal,  # type: ignore[arg-type]  # the part of a Journal that is used
            inline_ms_max=limit_ms,
            inline_bytes_max=LIMIT_BYTES,
            on_durable=self._on_durable,
            on_failure=self.errors.append,
            clock_s=lambda: self.journal.now_s,
            make_worker=make_worker,
        )
        self._index = 0

    def _on_durable(self, readys: Sequence[Ready]) -> None:
        self.told.append(len(readys))
        self.durable.extend(it.index for ready in readys for it in ready.entries)

    def persist(self, *, ms: float, size: int = 0) -> None:
        self.journal.write_s = ms / 1000
        self._index += 1
        entry = Entry(self._index, 1, EntryKind.NORMAL, bytes(size))
        self.persistence.persist(ready_of(entry))

    async def until_durable(self) -> None:
        """Wait until the thread has answered everything."""
        async with asyncio.timeout(PATIENCE_S):
            while self.persistence.outstanding_count and not self.errors:
                await asyncio.sleep(0)

    async def make_slow(self) -> None:
        for _ in range(100):
            self.persist(ms=4 * LIMIT_MS)
            await self.until_durable()
        assert self.persistence.uses_thread


def test_a_fast_disk_is_written_in_the_loop() -> None:
    bench = Bench()
    for _ in range(50):
        bench.persist(ms=0.2)
    assert bench.durable == list(range(1, 51))
    assert not bench.persistence.uses_thread
    assert 0.1 < bench.persistence.mean_ms < 0.2


def test_one_hiccup_changes_nothing_however_long_it_is() -> None:
    bench = Bench()
    for ms in (0.2, 60_000.0, 0.2):
        bench.persist(ms=ms)
    assert not bench.persistence.uses_thread


def test_a_disk_that_is_slow_is_told_once_until_it_is_faster_again() -> None:
    bench, told = Bench(), list[Event]()
    bench.persistence.slow_s, bench.persistence.tell = 0.1, told.append
    for ms in (99, 100, 250, 1, 150):
        bench.persist(ms=ms)
    assert [round(it.took_ms) for it in told if isinstance(it, DiskSlow)] == [100, 150]


def test_a_slow_disk_gets_a_thread_and_a_fast_one_the_loop_again() -> None:
    async def story() -> None:
        bench = Bench()
        await bench.make_slow()
        for _ in range(200):
            bench.persist(ms=0.2)
            await bench.until_durable()
        assert not bench.persistence.uses_thread
        assert bench.durable == list(range(1, 301))

    asyncio.run(story())


class HeldWorker:
    """Does what it was given when the test says so."""

    def __init__(self) -> None:
        self.given: list[Callable[[], None]] = []

    def submit(
        self,
        call: Callable[[], Result],
        answer: Callable[[Result], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        def work() -> None:
            try:
                result = call()
            except JournalBroken as error:
                fail(error)
            else:
                answer(result)

        self.given.append(work)

    def shutdown(self) -> None:
        """Nothing waits in a test that ends."""


def test_a_batch_of_many_bytes_is_the_threads_and_what_is_small_behind_it_is_not() -> None:
    """Puts of 64 KiB held the loop for each sync of ten (issue 16)."""
    worker = HeldWorker()
    bench = Bench(make_worker=lambda: worker)
    bench.persist(ms=0.2, size=LIMIT_BYTES)
    assert bench.durable == [1]
    bench.persist(ms=2, size=LIMIT_BYTES + 1)
    assert (bench.durable, len(worker.given)) == ([1], 1)
    bench.persist(ms=0.2)
    bench.persist(ms=0.2)
    assert bench.durable == [1], "nothing is promised before it"
    worker.given.pop()()
    assert bench.durable == [1, 2, 3, 4], "together, and at once"
    assert bench.told == [1, 1, 2]
    bench.persist(ms=0.2)
    assert bench.durable[-1] == 5
    assert not worker.given
    assert not bench.persistence.uses_thread


def test_large_batches_do_not_make_a_fast_disk_a_slow_one() -> None:
    worker = HeldWorker()
    bench = Bench(make_worker=lambda: worker)
    for _ in range(20):
        bench.persist(ms=2 * LIMIT_MS, size=LIMIT_BYTES + 1)
        worker.given.pop()()
    assert bench.persistence.mean_ms > LIMIT_MS
    assert not bench.persistence.uses_thread
    bench.persist(ms=0.2)
    assert not worker.given


def test_a_device_that_fails_in_the_loop_is_told_whoever_has_called() -> None:
    """A timer had, and nobody heard of it: the member lived on, and wrote nothing any more."""
    bench = Bench()
    bench.journal.fails = True
    with pytest.raises(JournalBroken):
        bench.persist(ms=0.2)
    assert [type(it) for it in bench.errors] == [JournalBroken]
    assert bench.durable == []


def test_an_errand_in_the_journal_is_done_between_two_writes() -> None:
    """The journal was never trimmed while something always waited for the thread."""
    worker, done = HeldWorker(), list[int]()
    bench = Bench(limit_ms=0, make_worker=lambda: worker)

    def errand() -> None:
        done.append(bench.journal.calls[-1][1] if bench.journal.calls else 0)

    bench.persistence.between_writes(errand)
    assert done == [0]
    for _ in range(3):
        bench.persist(ms=1)
        bench.persistence.between_writes(errand)
    assert done == [0]
    worker.given.pop()()
    assert bench.journal.calls == [("prepare", 1), ("write", 1), ("finish", 1), ("prepare", 3)]
    assert done == [0, 1]
    worker.given.pop()()
    assert done == [0, 1]


def test_an_errand_waits_for_a_mark_too() -> None:
    worker, done = HeldWorker(), list[int]()
    bench = Bench(limit_ms=0, make_worker=lambda: worker)
    bench.persistence.mark()
    bench.persistence.between_writes(lambda: done.append(1))
    assert not done
    worker.given.pop()()
    assert done


@pytest.mark.parametrize("behind", ["a write", "a mark"])
def test_an_errand_that_fails_is_told(behind: str) -> None:
    worker = HeldWorker()
    bench = Bench(limit_ms=0, make_worker=lambda: worker)

    def errand() -> None:
        raise JournalBroken("the manifest could not be saved")

    if behind == "a mark":
        bench.persistence.mark()
    else:
        bench.persist(ms=1)
    bench.persistence.between_writes(errand)
    worker.given.pop()()
    assert [type(it) for it in bench.errors] == [JournalBroken]


def test_on_the_thread_order_is_kept_and_nothing_is_promised_early() -> None:
    """A thread takes the waiting from the loop, and must not take the order with it.

    Checklist 141, 142, 146; J9, J11.
    """

    async def story() -> None:
        bench = Bench()
        await bench.make_slow()
        bench.durable.clear()
        bench.told.clear()
        bench.journal.calls.clear()
        for _ in range(5):
            bench.persist(ms=4 * LIMIT_MS)
        assert bench.durable == []  # only the loop reports, and it has not turned yet
        assert bench.persistence.outstanding_count == 5
        await bench.until_durable()
        assert bench.durable == [101, 102, 103, 104, 105]
        assert bench.told == [1, 4], "and told of together: the member looks round once"
        # What came while the first was written is written together, with one sync.
        for what in ("prepare", "write", "finish"):
            assert [index for it, index in bench.journal.calls if it == what] == [101, 105]
        await bench.persistence.close()

    asyncio.run(story())


def test_a_failure_on_the_thread_is_told_and_nothing_becomes_durable() -> None:
    async def story() -> None:
        bench = Bench()
        await bench.make_slow()
        bench.durable.clear()
        bench.journal.fails = True
        bench.persist(ms=1)
        await bench.until_durable()
        assert [type(it) for it in bench.errors] == [JournalBroken]
        assert bench.durable == []
        await bench.persistence.close()

    asyncio.run(story())


def test_what_overwrites_begins_a_batch_of_its_own() -> None:
    async def story() -> None:
        bench = Bench()
        await bench.make_slow()
        bench.journal.calls.clear()
        for index, term in ((101, 1), (102, 1), (103, 1), (102, 2), (103, 2)):
            entry = Entry(index, term, EntryKind.NORMAL, b"")
            bench.persistence.persist(ready_of(entry))
        await bench.until_durable()
        assert bench.durable[-5:] == [101, 102, 103, 102, 103]
        written = [index for it, index in bench.journal.calls if it == "write"]
        assert written == [101, 103, 103]
        await bench.persistence.close()

    asyncio.run(story())


def test_with_a_limit_of_zero_the_thread_is_used_from_the_start() -> None:
    async def story() -> None:
        bench = Bench(limit_ms=0.0)
        bench.persist(ms=0.1)
        assert bench.durable == []
        await bench.until_durable()
        assert bench.durable == [1]
        assert bench.persistence.uses_thread
        await bench.persistence.close()

    asyncio.run(story())


def test_a_ready_without_work_is_not_reported_before_those_that_are_being_written() -> None:
    """A bug of ours: it vouched for them."""

    async def story() -> None:
        bench = Bench(limit_ms=0.0)
        bench.persist(ms=0.1)
        empty = ready_of(None, 2)
        reported: list[Ready] = []
        bench.persistence._on_durable = reported.extend
        bench.persistence.persist(empty)
        assert reported == []
        await bench.until_durable()
        assert [it.number for it in reported] == [1, 2]
        bench.persistence.persist(empty)
        assert len(reported) == 3
        await bench.persistence.close()

    asyncio.run(story())


def test_what_cannot_be_prepared_after_a_write_is_told_too() -> None:
    async def story() -> None:
        bench = Bench(limit_ms=0.0)
        bench.persist(ms=0.1)
        bench.journal.fails_to_prepare = True
        bench.persist(ms=0.1)
        await bench.until_durable()
        assert bench.durable == [1]
        assert [type(it) for it in bench.errors] == [JournalBroken]
        await bench.persistence.close()

    asyncio.run(story())


def test_a_mark_on_the_thread_counts_until_it_is_written() -> None:
    """Or files could be closed under it."""

    async def story() -> None:
        bench = Bench(limit_ms=0)
        bench.persistence.mark()
        assert bench.persistence.outstanding_count == 1
        await bench.until_durable()
        assert bench.persistence.outstanding_count == 0
        bench.journal.fails = True
        bench.persistence.mark()
        await bench.until_durable()
        assert [str(it) for it in bench.errors] == ["the device failed"]
        await bench.persistence.close()

    asyncio.run(story())


def test_a_mark_is_written_at_once_while_the_disk_is_fast() -> None:
    bench = Bench()
    bench.persistence.mark()
    assert bench.journal.calls == [("prepare mark", 0), ("mark", 0)]
    assert bench.persistence.outstanding_count == 0


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("has_mark", [False, True])
def test_a_close_waits_for_what_was_begun_and_begins_nothing(count: int, *, has_mark: bool) -> None:
    """A bug of ours: the last answer came after the close, and the next group had no thread."""

    async def story() -> None:
        bench = Bench(limit_ms=0, make_worker=lambda: SlowWorker(random.Random(1)))
        if has_mark:
            bench.persistence.mark()
        for _ in range(count):
            bench.persist(ms=1)
        await bench.persistence.close()
        begun = list(bench.journal.calls)
        await pass_time(60)
        assert bench.errors == []
        assert bench.durable == []
        assert bench.journal.calls == begun
        kinds = [it for it, _ in begun]
        assert kinds.count("prepare") == kinds.count("finish") == min(count, 1)
        assert kinds.count("prepare mark") == kinds.count("mark") == has_mark

    run_virtually(story())


def test_a_failure_during_a_close_is_told() -> None:
    async def story() -> None:
        bench = Bench(limit_ms=0)
        bench.journal.fails = True
        bench.persist(ms=1)
        await bench.persistence.close()
        assert [type(it) for it in bench.errors] == [JournalBroken]

    asyncio.run(story())
