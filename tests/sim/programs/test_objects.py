"""Replicated objects under faults: judged against CPython's own, and one holder at a time."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.msgpack import decode, encode

import roost
import roost.sim
from roost.aio import Database
from roost.database import key_codec
from roost.errors import NotExecuted, OutcomeUnknown
from roost.objects import LeaseLost
from roost.objects.aio.locks import Turned
from roost.objects.layouts import dicts, heaps, lists
from roost.objects.layouts.heads import Shape
from roost.sim import Session
from roost.testing import DictModel
from tests.samples import SAMPLES

Pairs = list[tuple[str, int]]
Visit = Callable[[Session, random.Random], Awaitable[None]]
ROWS = Shape("objects/rows", "dict", "str", "msgpack int")
VALUES = Shape("objects/values", "list", "", "msgpack int")
QUEUE = Shape("objects/queue", "priority_queue", "tuple[int]", "msgpack int")
PRIORITY = key_codec(tuple[int])
changes = roost.Operations("changes")
nothing = roost.Operations("nothing")


@changes.operation
def put(txn: roost.Transaction, key: str, value: int) -> None:
    dicts.put(txn, ROWS, [(key.encode(), encode(value))])


@changes.operation
def setdefault(txn: roost.Transaction, key: str, value: int) -> int:
    return decode(dicts.set_default(txn, ROWS, key.encode(), encode(value)), type=int)


@changes.operation
def popitem(txn: roost.Transaction) -> tuple[str, int] | None:
    held = dicts.pop_last(txn, ROWS)
    return None if held is None else (held[0].decode(), decode(held[1], type=int))


@changes.operation
def insert(txn: roost.Transaction, place: int, value: int) -> None:
    lists.insert(txn, VALUES, place, [encode(value)])


@changes.operation
def pop_at(txn: roost.Transaction, place: int) -> int | None:
    held = lists.pop(txn, VALUES, place)
    return None if held is None else decode(held, type=int)


@changes.operation
def queue(txn: roost.Transaction, priority: int, value: int) -> None:
    heaps.put(txn, QUEUE, [(PRIORITY.encode((priority,)), encode(value))], 0)


@changes.operation
def take(txn: roost.Transaction) -> tuple[int, int] | None:
    held = heaps.take(txn, QUEUE)
    return None if held is None else (PRIORITY.decode(held[0])[0], decode(held[1], type=int))


@nothing.operation
def touch(txn: roost.Transaction, number: int) -> int:
    held = txn.tree("touched", key=str, value=int)
    held["last"] = max(held.get("last", 0), number)
    return held["last"]


@pytest.fixture(autouse=True)
def _no_seeds_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROOST_SEED", "ROOST_SEEDS"):
        monkeypatch.delenv(name, raising=False)


class Model(DictModel):
    """A dict, a list and a queue of CPython's, which a value is never taken out of twice."""

    def rows(self) -> dict[str, int]:
        return dict(self.get("rows", ()))

    def keep(self, rows: dict[str, int]) -> None:
        self["rows"] = tuple(rows.items())

    def put(self, key: str, value: int) -> None:
        self.keep(self.rows() | {key: value})

    def setdefault(self, key: str, value: int) -> int:  # type: ignore[override]  # the model's own
        rows = self.rows()
        found = rows.setdefault(key, value)
        self.keep(rows)
        return found

    def popitem(self) -> Any:
        rows = self.rows()
        found = rows.popitem() if rows else None
        self.keep(rows)
        return found

    def walk(self) -> Pairs:
        return list(self.rows().items())

    def insert(self, place: int, value: int) -> None:
        values = list(self.get("values", ()))
        values.insert(place, value)
        self["values"] = tuple(values)

    def pop_at(self, place: int) -> int | None:
        values = list(self.get("values", ()))
        found = values.pop(place) if -len(values) <= place < len(values) else None
        self["values"] = tuple(values)
        return found

    def line(self) -> list[int]:
        return list(self.get("values", ()))

    def queue(self, priority: int, value: int) -> None:
        self["queue"] = (*self.get("queue", ()), (priority, value))

    def take(self) -> Any:
        entries = list(self.get("queue", ()))
        found = min(entries, key=lambda it: it[0], default=None)
        if found is not None:
            entries.remove(found)
        self["queue"] = tuple(entries)
        return found


async def walk(db: Database) -> Pairs:
    return [it async for it in db.objects.dict("rows", key=str, value=int).items()]


async def visit_objects(db: Session, dice: random.Random) -> None:
    """Changes are operations of the check's own, so that it knows which of them happened."""
    objects = db.database.objects
    key, number, place = dice.choice("abc"), dice.randrange(1000), dice.randint(-3, 3)
    match dice.randrange(10):
        case 0:
            await db.run(put, key, number)
        case 1:
            await db.run(setdefault, key, number)
        case 2:
            await db.run(popitem)
        case 3:
            await db.read("walk", walk)
        case 4 | 5:
            await db.run(insert, place, number)
        case 6:
            await db.run(pop_at, place)
        case 7:
            await db.read("line", lambda _: objects.list("values", value=int).copy())
        case 8:
            await db.run(queue, place, number)
        case _:
            await db.run(take)


@pytest.mark.slow
def test_every_call_of_an_object_is_one_of_cpythons_whatever_fails() -> None:
    checked = roost.sim.check(
        operations=[changes], client=visit_objects, model=Model, seeds=range(4 * SAMPLES)
    )
    assert checked.calls > 80
    assert checked.crashes > 8


def clients_of_a_lock(ttl_s: float) -> tuple[Visit, list[int]]:
    """Each holds it for a while, as far as it knows, and looks whether anybody else does."""
    holders: list[Turned] = []
    tokens: list[int] = []

    async def visit(db: Session, dice: random.Random) -> None:
        lock = db.database.objects.lock("one", ttl_s=ttl_s)
        try:
            if not await lock.acquire(wait_s=3):
                return
        except (NotExecuted, OutcomeUnknown, LeaseLost):
            return
        holders[:] = [it for it in holders if it.is_held]
        assert not holders, "somebody holds it already, and believes so"
        assert not tokens or lock.token > tokens[-1], "a token only ever grows"
        holders.append(lock)
        tokens.append(lock.token)
        for _ in range(dice.randrange(4)):
            try:
                await db.run(touch, lock.token)
            except (NotExecuted, OutcomeUnknown):
                pass  # nobody hears us: the lock will tell
        await lock.release()

    return visit, tokens


def check_lock(seed: int) -> int:
    """How often it was held."""
    visit, tokens = clients_of_a_lock(1.0)
    roost.sim.check(operations=[nothing], client=visit, invariant=lambda _: True, seeds=[seed])
    return len(tokens)


@pytest.mark.slow
def test_a_lock_has_one_holder_that_believes_so_whatever_fails() -> None:
    assert sum(map(check_lock, range(4 * SAMPLES))) > 20


@pytest.mark.slow
def test_a_lock_whose_leases_end_too_early_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant: a holder that believes in its lease for three times as long as it lasts."""
    monkeypatch.setattr("roost.objects.turns._SURE_SHARE", 3.0)

    def look() -> None:
        for seed in range(17, 45):  # of fifty seeds four find it, and 18 is the first
            check_lock(seed)

    with pytest.raises(roost.sim.Broken, match="believes so"):
        look()
