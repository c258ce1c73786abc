"""Calls that are right, with what comes of them, and calls that are wrong: nothing here is run.

mypy and pyright judge these files (`make types`): what is wrong has to be ignored by the name of
mypy's error, and what is ignored and no error, to either of them, is one.  So this is a test.
"""

from collections.abc import Generator, Iterator
from datetime import datetime
from typing import assert_type

import roost
from roost import aio

bank = roost.Operations("bank")


@bank.operation
def transfer(txn: roost.Transaction, source: str, target: str, amount: int = 1) -> int:
    """An operation."""
    accounts = txn.tree("accounts", key=str, value=int)
    assert_type(accounts["ada"], int)
    assert_type(accounts.first(), tuple[str, int] | None)
    accounts[source] = "5"  # type: ignore[assignment]  # a value of another type
    accounts[5] = 5  # type: ignore[index]  # a key of another type
    accounts.get(b"ada")  # type: ignore[call-overload]  # a key of another type
    followers = txn.multi_tree("@followers", key=str, value=int)
    followers.add("ada", "bob")  # type: ignore[arg-type]  # a value of another type
    txn.queue("jobs", value=int).append("one")  # type: ignore[arg-type]  # another type
    txn.annotate("kind", b"")  # type: ignore[arg-type]  # a kind is a number
    return accounts[target] + amount


@roost.derived("ix_by_amount", source="accounts", version=1)
def by_amount(name: str, amount: int) -> Iterator[tuple[tuple[int, str], float]]:
    """A derived tree."""
    yield (amount, name), 1.0


@roost.derived("ix_wrong", source="accounts", version=1)  # type: ignore[arg-type]  # no rows
def no_rows(name: str, amount: int) -> str:
    """It gives no rows."""
    return name * amount


def derived(db: roost.Database) -> None:
    """A tree is what its function says that it is."""
    tree = db.derived(by_amount)
    assert_type(tree.get((1, "ada")), float | None)
    assert_type(tree[1, "ada"], float)
    assert_type(tree.first(), tuple[tuple[int, str], float] | None)
    tree.get("ada")  # type: ignore[call-overload]  # a key of another type
    tree.put((1, "ada"), 1.0)  # type: ignore[attr-defined]  # it is only read
    db.derived(blocking)  # type: ignore[arg-type]  # no derived tree


@bank.operation
def names(txn: roost.Transaction) -> list[str]:
    """An operation that returns a list."""
    return list(txn.tree("accounts", key=str, value=int))


def results(db: roost.Database) -> str:
    """What an operation returns may stand where something more general is asked for."""
    return ", ".join(db.run(names)) + f"{db.run(names)}"


async def results_awaited(db: aio.Database) -> str:
    """And with asyncio."""
    return ", ".join(await db.run(names)) + f"{await db.run(transfer, 'ada', 'bob')}"


async def derived_awaited(db: aio.Database) -> None:
    """And with asyncio."""
    tree = await db.derived(by_amount)
    await tree.wait_built()
    assert_type(await tree.get((1, "ada")), float | None)


def blocking(db: roost.Database, key: str | None = None) -> None:
    """Calls of the blocking face."""
    assert_type(db.run(transfer, "ada", "bob", 5), int)
    assert_type(db.run(transfer, "ada", target="bob"), int)
    assert_type(db.run(transfer, "ada", "bob", once="key"), int)
    assert_type(db.run(transfer, "ada", "bob", once=key), int)
    db.run(transfer, "ada", "bob", once=b"key")  # type: ignore[call-arg]  # a key is text
    db.run(transfer, "ada", 5)  # type: ignore[call-overload]  # an argument of another type
    db.run(transfer, "ada")  # type: ignore[call-overload]  # an argument too few
    db.run(transfer, "ada", "bob", 5, 6)  # type: ignore[call-overload]  # and one too many
    db.run(blocking)  # type: ignore[call-overload]  # no operation
    people = db.tree("people", key=str, value=float)
    assert_type(people["ada"], float)
    assert_type(people.get("ada"), float | None)
    assert_type(people.get("ada", 0), float | int)
    assert_type(people.items(prefix="a"), Generator[tuple[str, float], None, None])
    people[b"ada"] = 1.0  # type: ignore[index]  # a key of another type
    people["ada"] = "1"  # type: ignore[assignment]  # a value of another type
    people.put("ada", b"1")  # type: ignore[arg-type]  # a value of another type
    people.update({"ada": "1"})  # type: ignore[arg-type]  # values of another type
    assert_type(db.tree("plain")[b"a"], bytes)
    assert_type(db.tree("moments", key=datetime).last(), tuple[datetime, bytes] | None)
    assert_type(db.tree("pairs", key=tuple[str, int])["a", 1], bytes)
    db.local.tree("people").put(b"a", b"1")  # type: ignore[attr-defined]  # it is only read
    with db.view() as view:
        assert_type(view.tree("people", key=str)["ada"], bytes)
        view.tree("people")[b"a"] = b""  # type: ignore[index]  # it is only read
    assert_type(db.transact(lambda txn: len(txn.tree("people"))), int)
    with db.transaction() as txn:
        assert_type(txn, roost.Transaction)
    assert_type(db.queue("jobs", value=str).take(), str | None)
    for change in db.observe("people", key=str, value=int):
        if isinstance(change, roost.Overrun):
            assert_type(change.index, int)
        else:
            assert_type(change, roost.Change[str, int])
            assert_type(change.value, int | None)
            change.value + 1  # type: ignore[operator]  # it may be gone
    assert_type(next(iter(db.observe())), roost.Change[bytes, bytes] | roost.Overrun)
    event = next(iter(db.events()))
    assert_type(event, roost.events.Event | roost.Overrun)
    if isinstance(event, roost.events.LeaderChanged):
        assert_type(event.leader, str)
    db.observe(since="1")  # type: ignore[call-overload]  # a position is a number


async def waiting() -> None:
    """Calls of the asyncio face."""
    async with aio.open("data", operations=[bank]) as db:
        assert_type(await db.run(transfer, "ada", "bob"), int)
        assert_type(await db.tree("people", key=str, value=int).get("ada"), int | None)
        await db.run(transfer, 1, 2)  # type: ignore[call-overload]  # arguments of other types


def opening() -> None:
    """Ways to open."""
    roost.open(None, operations=[bank], heartbeat_interval=50, listen_peer_urls=["http://a:1"])
    roost.open("data", heartbeat_intervall=50)  # type: ignore[call-arg]  # a setting that is none
    roost.open("data", heartbeat_interval="50")  # type: ignore[arg-type]  # of another type
    roost.open("data", operations=[transfer])  # type: ignore[list-item]  # not a group of them
    roost.opne("data")  # type: ignore[attr-defined]  # there is no such name
