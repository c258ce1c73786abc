"""Calls of the client that are right, with what comes of them, and calls that are wrong.

As `tests/typing/database.py`: mypy is the test.
"""

from collections.abc import AsyncGenerator, Generator, Iterator
from typing import assert_type

import roost
from roost import aio
from roost.client import (
    Change,
    Item,
    Key,
    Leader,
    Leading,
    Lock,
    Put,
    Retry,
    Stm,
    TxnAnswer,
    series,
)
from roost.client import aio as awaited


def sell(txn: Stm) -> int:
    """What `stm` runs."""
    assert_type(txn.get("stock/7"), bytes | None)
    txn.put("stock/7", 6)  # type: ignore[arg-type]  # a value is text or bytes
    return 6


def blocking(client: roost.Client) -> None:
    """Calls of the blocking face."""
    assert_type(client.put("a", b"1"), int)
    assert_type(client.get("a"), Item | None)
    assert_type(client.watch("a", prefix=True), Generator[Change, None, None])
    answer = client.txn(when=[Key("a").version == 0], then=[Put("a", "1")])
    assert_type(answer, TxnAnswer)
    assert_type(answer.item(0), Item | None)
    assert_type(client.stm(sell), int)
    with client.lock("backups", ttl_s=10) as lock:
        assert_type(lock, Lock)
    with client.election("scheduler").lead("me") as leading:
        assert_type(leading, Leading)
    assert_type(client.election("scheduler").leader(), Leader | None)
    assert_type(client.counters.trying(Retry.AT_LEAST_ONCE).increment("a"), int)
    assert_type(client.counters.read("a"), dict[str, int | None])
    client.put("a", 1)  # type: ignore[arg-type]  # a value is text or bytes


async def count(txn: awaited.Stm) -> int:
    """What `stm` of asyncio runs."""
    return int(await txn.get("total") or 0)


async def waiting(client: aio.Client) -> None:
    """Calls of the asyncio face."""
    assert_type(await client.stm(count), int)
    assert_type(client.follow("a", prefix=True), AsyncGenerator[Change, None])
    async with client.election("scheduler").lead("me") as leading:
        assert_type(leading, awaited.Leading)
    async with client.leases.session(ttl_s=5) as session:
        assert_type(session.lease_id, int)


def measured() -> None:
    """Time series."""
    with series.connect("10.0.0.1:2379", wait_for_server_flush=True) as con:
        con.add("sensor1.heat", 5, "hot")  # type: ignore[arg-type]  # a value is a number
        asked = con.query("sensor1.heat").between("now-1d", "now").window("1h").aggregate("max")
        assert_type(asked, series.Question)
        assert_type(asked.fetch()[0], series.Table)
        assert_type(asked.fetch()[0].columns["max"], list[float | None])
        assert_type(con.last("sensor1.heat"), dict[str, tuple[int, float | None]])
        assert_type(con.tail("sensor1.heat"), Iterator[series.Live])
        assert_type(con.delete("sensor1.heat", 0, 5), int)
