"""Objects on a real machine, by the blocking face: safe from any thread, and refused by name."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import roost
from roost.database import BadKey, KeyTooLarge, ValueTooLarge, ViewClosed
from roost.faces import CalledInsideLoop, Closed
from roost.objects import Lock
from roost.objects.aio.handle import SHORT_ROWS
from roost.store import BadTreeName
from tests.objects.beside import fresh


def test_a_lock_is_held_by_one_thread_at_a_time(db: roost.Database) -> None:
    inside: list[int] = []
    tokens: list[int] = []

    def work(_: int) -> None:
        with db.objects.lock("one", ttl_s=30) as held:
            assert isinstance(held, Lock)
            inside.append(threading.get_ident())
            assert len(inside) == 1
            tokens.append(held.token)
            inside.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(12)))
    assert tokens == sorted(set(tokens))


def test_objects_are_there_again_and_say_what_they_are(tmp_path: Path) -> None:
    with roost.open(tmp_path / "data") as db:
        db.objects.dict("people", key=str, value=int).update({"b": 1, "a": 2})
        db.objects.list("log", value=str).extend(["one", "two"])
        token = 0
        with db.objects.lock("x", ttl_s=30) as held:
            token = held.token
    with roost.open(tmp_path / "data") as db:
        assert db.objects.dict("people", key=str, value=int).copy() == {"b": 1, "a": 2}
        assert db.objects.list("log", value=str)[1] == "two"
        with db.objects.lock("x", ttl_s=30) as held:
            assert held.token > token, "also over all lives of the cluster"


def test_what_is_wrong_is_refused_by_name(db: roost.Database) -> None:
    for name in ("", "with blanks in it", "ä", "x" * 200, 5):
        wrong: Any = name
        with pytest.raises(BadTreeName):
            db.objects.dict(wrong)
    with pytest.raises(BadKey):
        db.objects.set(fresh(), member=float)
    with pytest.raises(KeyTooLarge, match="key_bytes_max"):
        db.objects.dict(fresh())[b"k" * 5000] = b""
    with pytest.raises(ValueTooLarge, match="value_bytes_max"):
        db.objects.list(fresh()).append(bytes(9 << 20))


def test_a_walk_that_is_left_half_way_keeps_nothing(db: roost.Database) -> None:
    numbers = db.objects.list(fresh(), value=int)
    numbers.extend(range(3 * SHORT_ROWS))
    for _ in range(10):  # more than there are states to be held
        for number in numbers:
            if number == 3:
                break
    assert len(numbers.copy()) == 3 * SHORT_ROWS


def test_nothing_can_be_asked_after_a_close_or_from_the_loop() -> None:
    with roost.open(None) as db:
        rows = db.objects.dict("rows", key=int, value=int)
        rows.update(dict.fromkeys(range(3 * SHORT_ROWS), 0))
        lock = db.objects.lock("a", ttl_s=30)
        lost: list[object] = []
        refused: list[str] = []

        def called_back(_: object) -> None:
            lost.append(threading.current_thread().name)

        assert db.objects.lock("b", ttl_s=30, on_lost=called_back).acquire()

        async def inside() -> None:
            try:
                rows.count()
            except CalledInsideLoop as error:
                refused.append(str(error))

        db._loop.call(inside())
        assert len(refused) == 1
        walk = iter(rows)
        assert next(walk) == 0
    for ask in (rows.count, lock.acquire, lambda: db.objects.list("l").append(b"")):
        with pytest.raises(Closed):
            ask()
    with pytest.raises((Closed, ViewClosed)):
        list(walk)
