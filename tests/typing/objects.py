"""Calls of objects that are right, with what comes of them, and calls that are wrong.

As `tests/typing/database.py`: mypy is the test.
"""

from collections.abc import Generator, Iterator
from typing import assert_type

import roost
from roost import aio
from roost.objects import Leading, Lock, Versioned


def blocking(db: roost.Database) -> None:
    """Calls of the blocking face."""
    people = db.objects.dict("people", key=str, value=float)
    assert_type(people["ada"], float)
    assert_type(people.get("ada"), float | None)
    assert_type(people.pop("ada", None), float | None)
    assert_type(people.popitem(), tuple[str, float])
    assert_type(people.items(), Generator[tuple[str, float], None, None])
    people[5] = 1.0  # type: ignore[index]  # a key of another type
    people["ada"] = "1"  # type: ignore[assignment]  # a value of another type
    people.update({"ada": "1"})  # type: ignore[arg-type]  # values of another type
    assert_type(db.objects.dict("plain")[b"a"], bytes)
    counts = db.objects.counter("hits", key=str)
    assert_type(counts.add("a"), int)
    assert_type(counts["a"], int)
    counts.update([5])  # type: ignore[list-item]  # a key of another type
    tags = db.objects.set("tags", member=str)
    assert_type(iter(tags), Iterator[str])
    tags.add(5)  # type: ignore[arg-type]  # a member of another type
    numbers = db.objects.list("numbers", value=int)
    assert_type(numbers[0], int)
    assert_type(numbers[0:2], list[int])
    numbers[0] = "1"  # type: ignore[call-overload]  # a value of another type
    numbers.append("1")  # type: ignore[arg-type]  # a value of another type
    numbers.sort(key=lambda it: it.bit_length())
    recent = db.objects.deque("recent", value=str, maxlen=5)
    assert_type(recent.popleft(), str)
    jobs = db.objects.priority_queue("jobs", priority=int, value=str)
    assert_type(jobs.get(), tuple[int, str])
    jobs.put(("one", 1))  # type: ignore[arg-type]  # the other way round
    register = db.objects.register("config", value=list[int])
    assert_type(register.get(), list[int] | None)
    assert_type(register.versioned(), Versioned[list[int]])
    with db.objects.lock("report", ttl_s=10) as held:
        assert_type(held, Lock)
        assert_type(held.token, int)
    db.objects.lock("report")  # type: ignore[call-arg]  # for how long?
    assert_type(db.objects.leader("cron", ttl_s=5).current(), Leading | None)
    assert_type(db.objects.barrier("start", parties=3).wait(), int)


async def waiting() -> None:
    """Calls of the asyncio face."""
    async with aio.open("data") as db:
        assert_type(await db.objects.dict("people", key=str, value=int).get("a"), int | None)
        async with db.objects.semaphore("s", permits=2, ttl_s=5) as held:
            assert_type(held.token, int)
        async for it in db.objects.list("l", value=int).values():
            assert_type(it, int)
