"""Banks for `roost.sim.check`: a right one, and wrong ones that it must find."""

import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import roost
from roost.aio import Database
from roost.sim import Session
from roost.testing import DictModel

NAMES = ("ada", "bob", "cyd")
right = roost.Operations("bank")


@right.operation
def pay_in(txn: roost.Transaction, name: str, amount: int) -> int:
    accounts = txn.tree("accounts", key=str, value=int)
    accounts[name] = accounts.get(name, 0) + amount
    paid = txn.tree("paid", key=str, value=int)
    paid["all"] = paid.get("all", 0) + amount
    return accounts[name]


@right.operation
def move(txn: roost.Transaction, source: str, target: str, amount: int) -> int:
    accounts = txn.tree("accounts", key=str, value=int)
    left = accounts.get(source, 0) - amount
    if left < 0:
        raise roost.Refused("not enough money", code="funds")
    accounts[source] = left
    accounts[target] = accounts.get(target, 0) + amount
    return left


class Bank(DictModel):
    """What it ought to do."""

    def pay_in(self, name: str, amount: int) -> int:
        self[name] = self.get(name, 0) + amount
        return int(self[name])

    def move(self, source: str, target: str, amount: int) -> int:
        left = int(self.get(source, 0)) - amount
        if left < 0:
            raise roost.Refused(code="funds")
        self[source] = left
        self[target] = self.get(target, 0) + amount
        return left

    def balances(self) -> dict[str, int]:
        return dict(self)


def no_money_comes_or_goes(txn: roost.Transaction) -> None:
    accounts = txn.tree("accounts", key=str, value=int)
    paid = txn.tree("paid", key=str, value=int)
    assert sum(accounts.values()) == paid.get("all", 0)


async def balances(database: Database) -> dict[str, int]:
    async with database.view() as view:
        return {name: it async for name, it in view.tree("accounts", key=str, value=int).items()}


Visit = Callable[[Session, random.Random], Awaitable[None]]


def visits(moved: Any = move, paid: Any = pay_in) -> Visit:
    """What clients do, with these operations."""

    async def visit(db: Session, dice: random.Random) -> None:
        what = dice.random()
        if what < 0.3:
            await db.run(paid, dice.choice(NAMES), dice.randint(1, 5))
        elif what < 0.8:
            await db.run(moved, dice.choice(NAMES), dice.choice(NAMES), dice.randint(1, 5))
        else:
            await db.read("balances", balances)

    return visit


class WrongBank(NamedTuple):
    """Operations of which one is wrong, and clients that run it."""

    operations: roost.Operations
    visit: Visit


def that_remembers() -> WrongBank:
    """Balances are kept in the process, beside the tree: what is decided may yet be dropped."""
    group = roost.Operations("bank")
    known: dict[str, int] = {}

    @group.operation
    def pay_in(txn: roost.Transaction, name: str, amount: int) -> int:
        accounts = txn.tree("accounts", key=str, value=int)
        known[name] = known.get(name, 0) + amount
        accounts[name] = known[name]
        return known[name]

    async def visit(db: Session, dice: random.Random) -> None:
        if dice.random() < 0.7:
            await db.run(pay_in, dice.choice(NAMES), dice.randint(1, 5))
        else:
            await db.read("balances", balances)

    return WrongBank(group, visit)


def that_asks_twice() -> WrongBank:
    """A client reads, and writes what it made of that: two calls, where one would do."""
    group = roost.Operations("bank")

    @group.operation
    def put(txn: roost.Transaction, name: str, amount: int) -> None:
        txn.tree("accounts", key=str, value=int)[name] = amount

    async def pay_in(database: Database, name: str, amount: int) -> int:
        held = await database.tree("accounts", key=str, value=int).get(name, 0)
        await database.run(put, name, held + amount)
        return held + amount

    async def visit(db: Session, dice: random.Random) -> None:
        name, amount = dice.choice(NAMES), dice.randint(1, 5)
        await db.read("pay_in", lambda it: pay_in(it, name, amount), name, amount)

    return WrongBank(group, visit)


def that_makes_money() -> WrongBank:
    """Who pays himself gets it twice."""
    group = roost.Operations("bank")

    @group.operation
    def move(txn: roost.Transaction, source: str, target: str, amount: int) -> int:
        accounts = txn.tree("accounts", key=str, value=int)
        left, there = accounts.get(source, 0) - amount, accounts.get(target, 0)
        if left < 0:
            raise roost.Refused("not enough money", code="funds")
        accounts[source] = left
        accounts[target] = there + amount
        return left

    @group.operation
    def pay_in(txn: roost.Transaction, name: str, amount: int) -> int:
        return right_pay_in(txn, name, amount)

    return WrongBank(group, visits(move, pay_in))


def that_refuses_nobody() -> WrongBank:
    """There may be less than no money."""
    group = roost.Operations("bank")

    @group.operation
    def move(txn: roost.Transaction, source: str, target: str, amount: int) -> int:
        accounts = txn.tree("accounts", key=str, value=int)
        accounts[source] = accounts.get(source, 0) - amount
        accounts[target] = accounts.get(target, 0) + amount
        return accounts[source]

    @group.operation
    def pay_in(txn: roost.Transaction, name: str, amount: int) -> int:
        return right_pay_in(txn, name, amount)

    return WrongBank(group, visits(move, pay_in))


def that_fails() -> WrongBank:
    """An account that was never opened is a KeyError."""
    group = roost.Operations("bank")

    @group.operation
    def pay_in(txn: roost.Transaction, name: str, amount: int) -> int:
        accounts = txn.tree("accounts", key=str, value=int)
        accounts[name] += amount
        return accounts[name]

    async def visit(db: Session, dice: random.Random) -> None:
        await db.run(pay_in, dice.choice(NAMES), dice.randint(1, 5))

    return WrongBank(group, visit)


right_pay_in = pay_in
