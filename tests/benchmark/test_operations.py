"""What is measured of operations: who calls, how often, and what the rates say."""

import asyncio
from collections import Counter

import pytest
from bench.operations import Measured, Row
from bench.operations_process import rate_of_tasks, rate_of_threads


def test_tasks_make_so_many_calls_and_each_has_its_own_key() -> None:
    asked: Counter[int] = Counter()

    async def call(caller: int) -> None:
        asked[caller] += 1
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(answered.set_result, None)
        await answered

    assert asyncio.run(rate_of_tasks(call, 4, 100)) > 0
    assert asked.total() == 100
    assert set(asked) == {0, 1, 2, 3}


def test_threads_make_as_many_calls_each() -> None:
    asked: list[int] = []
    assert rate_of_threads(asked.append, 5, 50) > 0
    assert Counter(asked) == dict.fromkeys(range(5), 10)


def test_a_call_that_fails_is_no_rate() -> None:
    def call(caller: int) -> None:
        raise ValueError(caller)

    with pytest.raises(ValueError, match=r"[01]"):
        rate_of_threads(call, 2, 10)


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    slow, fast = Measured([10.0, 30.0, 20.0], [5.0] * 3), Measured([10.0, 10.0, 40.0], [1.0] * 3)
    row = Row(7, {"await": slow, "threads": slow, "txn": fast, "put": fast})
    assert row.ratio("await", "put") == 1.0
    assert row.ratio("put", "await") == 1.0
    assert str(row).startswith("    7 callers  await      20/s     5 us")
