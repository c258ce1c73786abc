"""Changes as members apply them: in a cluster, over crashes, snapshots and the member's end."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from roost.database import (
    UNKNOWN,
    Annotation,
    BadArgument,
    BadKey,
    Change,
    KeyUndecodable,
    Operations,
    OtherCodec,
    Overrun,
    Transaction,
    observing,
)
from roost.database.aio import Database, Observation
from roost.faces import Closed
from roost.member import MemberConfig
from roost.sim.members.loop import run_virtually
from roost.store import BadTreeName
from roost.store.long_write import Long, Steps
from roost.store.txn import Txn
from tests.database.databases import Databases, again, with_databases
from tests.member.members import look_again

shop = Operations("shop")


@shop.operation
def sell(txn: Transaction, what: str, count: int, who: str) -> None:
    """Change a row twice, and say who did."""
    stock = txn.tree("stock", key=str, value=int)
    stock[what] = 0
    txn.annotate(300, who.encode())
    stock[what] = count


@shop.operation
def say(txn: Transaction, text: str) -> None:
    """Nothing but words."""
    txn.annotate(301, text.encode())


@shop.operation
def fill(txn: Transaction, first: int, count: int) -> None:
    """Many rows."""
    rows = txn.tree("rows", key=int, value=int)
    for number in range(first, first + count):
        rows[number] = number


@shop.operation
def clear(txn: Transaction) -> None:
    """All rows of a tree at once."""
    txn.tree("rows", key=int, value=int).clear()


class Item(msgspec.Struct, frozen=True):
    """A value."""

    count: int


async def take(found: AsyncGenerator[Any, None], count: int) -> list[Any]:
    return [await one(found) for _ in range(count)]


async def one(found: AsyncGenerator[Any, None]) -> Any:
    return await anext(found)


def test_every_member_tells_the_same_in_the_order_of_the_log(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        await cluster.quiet()
        observed = [await it.observe().__aenter__() for it in cluster.databases.values()]
        databases = list(cluster.databases.values())
        await asyncio.gather(
            *(databases[it % 3].run(sell, f"tea{it % 2}", it, f"ada{it}") for it in range(12))
        )
        await databases[1].run(say, "done")
        found = [await take(aiter(it), 25) for it in observed]
        assert found[0] == found[1] == found[2]
        assert found[0][-1] == Change(
            found[0][-1].index, "", b"", None, None, (Annotation(301, b"done"),)
        )
        changes = found[0][:24]
        assert [it.index for it in changes] == sorted(it.index for it in changes)
        held: dict[bytes, bytes | None] = {}
        for first, second in zip(changes[::2], changes[1::2], strict=True):
            assert first.key == second.key
            assert first.before == held.get(first.key)
            assert (first.value, second.before) == (msgspec.msgpack.encode(0),) * 2
            held[first.key] = second.value
            # Operations of one entry are told apart: each has its own words, and those of both.
            number = msgspec.msgpack.decode(second.value)
            assert first.annotations == second.annotations
            assert first.annotations == (Annotation(300, f"ada{number}".encode()),)
        for it in observed:
            await it.__aexit__()

    with_databases(tmp_path, story, shop)


def test_a_tree_is_told_as_what_it_holds(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        tree = database.tree("items", key=tuple[str, int], value=Item)
        async with database.observe(
            "items", key=tuple[str, int], value=Item, prefix=("a",)
        ) as changes:
            await tree.put(("a", 1), Item(1))
            await tree.put(("b", 1), Item(1))
            await tree.put(("a", 1), Item(2))
            await tree.delete(("a", 2))
            await tree.delete(("a", 1))
            found = await take(aiter(changes), 3)
        assert [(it.key, it.before, it.value) for it in found] == [
            (("a", 1), None, Item(1)),
            (("a", 1), Item(1), Item(2)),
            (("a", 1), Item(2), None),
        ]
        index = found[-1].index
        past = aiter(database.observe("items", key=tuple[str, int], value=Item, since=0))
        assert isinstance(await anext(past), Overrun), "the store began behind the log"
        told = await take(past, 4)
        assert [it.before for it in told] == [UNKNOWN] * 4
        assert told[3].index <= index
        await past.aclose()

    with_databases(tmp_path, story, shop, size=1)


def test_what_cannot_be_observed_is_refused_by_name(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        await database.tree("items", key=str).put("a", b"1")
        observe: Any = database.observe
        for error, given in (
            (BadArgument, {"prefix": b"a"}),
            (BadArgument, {"tree": "items", "since": -1}),
            (BadArgument, {"key": str}),
            (BadKey, {"tree": "items", "key": float}),
            (BadKey, {"tree": "items", "prefix": "a"}),
            (BadTreeName, {"tree": "$once"}),
            (BadTreeName, {"tree": "$members"}),
            (BadTreeName, {"tree": "ix_people"}),
        ):
            with pytest.raises(error):
                observe(**given)
        with pytest.raises(OtherCodec):
            await anext(aiter(database.observe("items", key=int)))
        changes = database.observe("items")
        async with changes:
            await database.tree("items", key=str).put("a", b"1")
            await anext(aiter(changes))
            with pytest.raises(BadArgument, match="keep its iterator"):
                await anext(aiter(changes))
        # A tree that comes to be as something else ends the wait for it.
        waiting = asyncio.ensure_future(anext(aiter(database.observe("later", key=int))))
        await look_again()
        await database.tree("later", key=str).put("a", b"1")
        with pytest.raises(OtherCodec):
            await waiting
        assert database._embedded.member.store.witness is None

    with_databases(tmp_path, story, shop, size=1)


def test_what_is_long_is_told_in_turns_and_in_order(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        await cluster.databases[leader].run(fill, 0, 2000)
        for database in cluster.databases.values():
            await database.tree("rows", key=int, value=int).get(0)  # all of it is applied here
            changes = database.observe("rows", key=int, value=int)
            async with changes:
                await database.run(clear)
                await asyncio.gather(*(database.run(fill, it, 1) for it in range(5)))
                await database.run(fill, 0, 2000)
                found = await take(aiter(changes), 4005)
            gone, come = found[:2000], found[2000:]
            assert [(it.key, it.before, it.value) for it in gone] == [
                (number, number, None) for number in range(2000)
            ]
            assert [(it.key, it.before) for it in come] == [
                *((number, None) for number in range(5)),
                *((number, number if number < 5 else None) for number in range(2000)),
            ]
            store = database._embedded.member.store
            assert (store.held_views.count, store.witness) == (0, None)

    with_databases(tmp_path, story, shop)


def test_who_is_slow_is_told_where_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "COUNT_MAX", 10)

    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        tree = database.tree("rows", key=int, value=int)
        async with database.observe("rows", key=int, value=int) as changes:
            for number in range(20):
                await tree.put(number, number)
            told = aiter(changes)
            assert [it.key for it in await take(told, 10)] == list(range(10))
            async with database.view() as view:
                assert await anext(told) == Overrun(view.index)
                assert await view.tree("rows", key=int, value=int).count() == 20
            await tree.put(20, 20)
            assert (await one(told)).key == 20

    with_databases(tmp_path, story, shop, size=1)


def test_a_cache_begun_before_a_view_is_right_after_any_of_it(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        databases = list(cluster.databases.values())
        tree = databases[leader].tree("rows", key=int, value=int)

        async def write(seed: int) -> None:
            for number in range(60):
                key = (number * seed) % 17
                if number % 5:
                    await again(partial(tree.put, key, number))
                else:
                    await again(partial(tree.delete, key))

        async def keep(database: Database) -> dict[int, int]:
            cache: dict[int, int] = {}
            async with database.observe("rows", key=int, value=int) as changes:
                async with database.view() as view:
                    rows = view.tree("rows", key=int, value=int)
                    async for page in rows.pages():
                        cache.update(page)
                async for it in changes:
                    assert not isinstance(it, Overrun)
                    if it.key == 100:
                        return cache
                    if it.index <= view.index:
                        continue
                    assert cache.get(it.key) == it.before
                    if it.value is None:
                        cache.pop(it.key, None)
                    else:
                        cache[it.key] = it.value
            return cache

        kept = [asyncio.ensure_future(keep(it)) for it in databases]
        await asyncio.gather(*(write(seed) for seed in (2, 3, 5)))
        await tree.put(100, 0)
        async with databases[leader].view() as view:
            rows = view.tree("rows", key=int, value=int)
            expected = {key: value async for key, value in rows.items() if key != 100}
        assert [await it for it in kept] == [expected] * 3

    with_databases(tmp_path, story, shop)


def test_who_comes_back_after_a_crash_goes_on_where_it_was(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        position = (leader + 1) % 3
        tree = cluster.databases[leader].tree("rows", key=int, value=int)
        changes = cluster.databases[position].observe("rows", key=int, value=int)
        async with changes:
            for number in range(10):
                await tree.put(number, number)
            found = await take(aiter(changes), 7)
            await cluster.crash(position)
        for number in range(10, 20):
            await again(partial(tree.put, number, number))
        database = await cluster.open_at(position)
        since = found[-1].index
        told = aiter(database.observe("rows", key=int, value=int, since=since))
        rest = await take(told, 13)
        assert [it.key for it in found + rest] == list(range(20))
        await tree.put(20, 20)
        last = await one(told)
        assert (last.key, last.before) == (20, None), "it has come to what is applied now"
        await told.aclose()

    with_databases(tmp_path, story, shop)


class Forgetful(Databases):
    """Members whose logs are short."""

    def config(self, position: int) -> MemberConfig:
        return replace(super().config(position), trailing_entries=5)


@pytest.mark.slow
def test_a_snapshot_that_takes_the_place_of_everything_is_an_overrun(tmp_path: Path) -> None:
    async def main() -> None:
        cluster = Forgetful(tmp_path, 3, shop)
        await cluster.open_all()
        leader = await cluster.quiet()
        position = (leader + 1) % 3
        lagging, member = cluster.databases[position], cluster.members[leader]
        tree = cluster.databases[leader].tree("rows", key=int, value=int)
        await tree.put(0, 0)
        await lagging.tree("rows", key=int, value=int).get(0)
        changes = lagging.observe("rows", key=int, value=int)
        async with changes:
            told = aiter(changes)
            await tree.put(1, 1)
            assert (await one(told)).key == 1
            here = cluster.address(position)
            for other in {0, 1, 2} - {position}:
                there = cluster.address(other)
                cluster.network.simulated.cut |= {(here, there), (there, here)}
            for number in range(2, 20):
                await again(partial(tree.put, number, number))
                # So many bytes that the log is more than one file.
                big = cluster.databases[leader].tree("big")
                await again(partial(big.put, b"", bytes(60_000)))
            await cluster.until(lambda: member.first_index > 12)
            cluster.network.simulated.heal()
            found = await anext(told)
            async with lagging.view() as view:
                assert isinstance(found, Overrun)
                assert 12 <= found.index <= view.index
                assert await view.tree("rows", key=int, value=int).count() == 20
            await again(lambda: tree.put(20, 20))
            assert (await one(told)).key == 20
        past = aiter(lagging.observe("rows", key=int, value=int, since=1))
        assert await anext(past) == Overrun(lagging._embedded.member.first_index - 1)
        await past.aclose()
        await cluster.close_all()

    run_virtually(main())


@pytest.mark.parametrize("touches", [True, False])
def test_a_long_write_is_told_live_and_lost_in_the_past_if_it_counts(
    tmp_path: Path, *, touches: bool
) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        await database.run(fill, 0, 3)
        await database.tree("other", key=int, value=int).put(0, 0)
        member = database._embedded.member
        begin = member.store.applied_index
        tree_id = member.store.tree("rows" if touches else "other").id
        key = next(iter(member.view.scan(tree_id)))[0]

        def steps(txn: Txn) -> Steps:
            txn.delete(tree_id, key)
            yield
            for number in range(3):
                txn.put(tree_id, key, bytes([number]))
                yield
            return b""

        member.register("a long one", lambda _txn, _body: Long(steps))
        async with database.observe("rows") as changes:
            await member.transact("a long one", b"")
            await database.run(fill, 7, 1)
            told = aiter(changes)
            found = await take(told, 2 if touches else 1)
        if touches:
            assert (found[0].key, found[0].value) == (key, b"\2"), "what came of each key"
            assert found[0].before == member.config.name.encode() or found[0].before is not None
        past = aiter(database.observe("rows", since=begin))
        first = await anext(past)
        if touches:
            assert isinstance(first, Overrun)
            first = await anext(past)
        assert first == Change(found[-1].index, "rows", found[-1].key, found[-1].value, UNKNOWN)
        await past.aclose()

    with_databases(tmp_path, story, shop, size=1)


def test_whoever_waits_hears_of_the_end(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        one, other = database.observe("rows"), database.observe("rows")
        waiting = asyncio.ensure_future(anext(aiter(one)))
        await other.__aenter__()
        ended = asyncio.ensure_future(_all_of(other))
        await look_again()
        await other.__aexit__()
        assert await ended == [], "who is ended by another task stops"
        await cluster.close_all()
        with pytest.raises(Closed):
            await waiting
        with pytest.raises(Closed):
            await anext(aiter(database.observe("rows")))

    with_databases(tmp_path, story, shop, size=1)


async def _all_of(changes: Observation[Any, Any]) -> list[Any]:
    return [it async for it in changes]


def test_a_row_that_is_no_such_key_is_named(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        await database.tree("rows", key=int, value=int).put(1, 1)
        member = database._embedded.member
        tree_id = member.store.tree("rows").id

        def spoil(txn: Txn, _body: bytes) -> bytes:
            txn.put(tree_id, b"\xff", b"")
            return b""

        member.register("spoil", spoil)
        async with database.observe("rows", key=int) as changes:
            await member.transact("spoil", b"")
            with pytest.raises(KeyUndecodable):
                await anext(aiter(changes))

    with_databases(tmp_path, story, shop, size=1)
