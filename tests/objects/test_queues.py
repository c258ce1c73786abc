"""Priority queues beside CPython's, and registers."""

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import roost
from roost.database import BadArgument, BadKey, Conflict
from roost.objects import QueueEmpty, QueueFull
from tests.objects.beside import fresh, objects
from tests.samples import SAMPLES

pytestmark = pytest.mark.usefixtures("db")
PRIORITIES = st.tuples(st.sampled_from(["", "a", "a\0", "b"]), st.integers(-2, 2))


class Queues(RuleBasedStateMachine):
    """One of ours beside one of CPython's, in which a number orders equals by their coming."""

    @initialize(maxsize=st.sampled_from([0, 1, 3]))
    def begin(self, maxsize: int) -> None:
        self.ours: Any = objects().priority_queue(
            fresh(), priority=tuple[str, int], value=int, maxsize=maxsize
        )
        self.theirs: queue.PriorityQueue[Any] = queue.PriorityQueue(maxsize)
        self.count = 0

    @rule(priority=PRIORITIES)
    def put(self, priority: tuple[str, int]) -> None:
        self.count += 1
        try:
            self.theirs.put_nowait((priority, self.count))
        except queue.Full:
            with pytest.raises(queue.Full):
                self.ours.put_nowait((priority, self.count))
        else:
            self.ours.put_nowait((priority, self.count))

    @rule()
    def get(self) -> None:
        try:
            wanted = self.theirs.get_nowait()
        except queue.Empty:
            assert self.ours.peek() is None
            with pytest.raises(queue.Empty):
                self.ours.get_nowait()
        else:
            assert self.ours.peek() == wanted
            assert self.ours.get_nowait() == wanted

    @rule()
    def clear(self) -> None:
        self.ours.clear()
        while not self.theirs.empty():
            self.theirs.get_nowait()

    @invariant()
    def alike(self) -> None:
        if hasattr(self, "theirs"):
            for name in ("qsize", "empty", "full"):
                assert getattr(self.ours, name)() == getattr(self.theirs, name)()
            assert self.ours.maxsize == self.theirs.maxsize


TestQueues = Queues.TestCase
TestQueues.settings = settings(max_examples=25 * SAMPLES, stateful_step_count=30, deadline=None)


def test_who_waits_gets_what_is_put_and_nobody_gets_it_twice(db: roost.Database) -> None:
    jobs = db.objects.priority_queue(fresh(), priority=int, value=str, maxsize=2)
    with ThreadPoolExecutor(8) as pool:
        taken = [pool.submit(jobs.get) for _ in range(4)]
        put = [pool.submit(jobs.put, (number, str(number))) for number in range(8)]
        taken += [pool.submit(jobs.get) for _ in range(4)]
        assert [it.result(60) for it in put] == [None] * 8
        assert sorted(it.result(60) for it in taken) == [(it, str(it)) for it in range(8)]
    with pytest.raises(QueueEmpty, match="is empty"):
        jobs.get(wait_s=0.01)
    jobs.put((1, "one"))
    jobs.put((1, "another"))
    with pytest.raises(QueueFull, match="2 entries"):
        jobs.put((0, "first"), wait_s=0.01)
    assert [jobs.get(), jobs.get()] == [(1, "one"), (1, "another")]


def test_priorities_of_text_and_bytes_are_ordered_as_such(db: roost.Database) -> None:
    texts = db.objects.priority_queue(fresh(), priority=bytes)
    given = [b"a\0", b"a", b"a\0\0", b"", b"a\0\xff", b"b", b"\0"]
    for it in given:
        texts.put((it, b"value"))
    assert [texts.get()[0] for _ in given] == sorted(given)
    with pytest.raises(BadKey):
        texts.put(("a", b""))  # type: ignore[arg-type]  # that is the point
    with pytest.raises(BadArgument):
        db.objects.priority_queue(fresh(), priority=int, maxsize=-1)


def test_what_was_taken_is_not_walked_over_again(db: roost.Database) -> None:
    jobs = db.objects.priority_queue(fresh(), priority=int)
    for number in range(500):
        jobs.put((number, b""))
    assert [jobs.get()[0] for _ in range(500)] == list(range(500))
    jobs.put((7, b""))
    jobs.put((3, b""))
    assert [jobs.get()[0], jobs.get()[0]] == [3, 7]


def test_a_register_is_set_read_and_changed_when_it_is_as_it_was(db: roost.Database) -> None:
    register = db.objects.register(fresh(), value=list[int])
    assert (register.get(), register.get([7])) == (None, [7])
    register.set([1])
    assert register.swap([2]) == [1]
    held = register.versioned()
    assert held.value == [2]
    assert register.set_if([3], held.version)
    assert not register.set_if([4], held.version)
    assert register.get() == [3]
    register.clear()
    assert register.get() is None
    assert not register.set_if([5], held.version), "its version never comes again"
    assert register.update(lambda it: [*(it or []), 9]) == [9]


def test_an_update_of_a_register_loses_none_of_the_others(db: roost.Database) -> None:
    register = db.objects.register(fresh(), value=int)
    register.set(0)
    threads: set[str] = set()

    def add(held: int | None) -> int:
        threads.add(threading.current_thread().name)
        return (held or 0) + 1

    def work() -> None:
        for _ in range(10):
            while True:
                try:
                    register.update(add)
                except Conflict:
                    continue
                break

    with ThreadPoolExecutor(3) as pool:
        for it in [pool.submit(work) for _ in range(3)]:
            it.result(60)
    assert register.get() == 30
    assert not {it for it in threads if it.startswith("roost")}, "it runs where it was given"
