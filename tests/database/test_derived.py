"""Derived trees as programs see them: on every member, over crashes, failures and the end."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from roost.database import (
    BadDeclaration,
    BadKey,
    Derivation,
    DerivedDropped,
    DerivedFailed,
    Operations,
    OtherCodec,
    Rebuilding,
    Transaction,
    derived,
    deriving_tree,
)
from roost.database.aio import Database
from roost.faces import Closed
from roost.member import MemberConfig
from roost.store import Long, Steps, Txn
from tests.database.databases import Databases, again, with_databases

people = Operations("people")


class Person(msgspec.Struct):
    """A row."""

    city: str
    born: int


@people.operation
def fill(txn: Transaction, first: int, count: int) -> None:
    """Many rows at once."""
    tree = txn.tree("people", key=int, value=Person)
    for number in range(first, first + count):
        tree[number] = Person(f"c{number % 7}", number)


@people.operation
def empty(txn: Transaction) -> None:
    """All of them go."""
    txn.tree("people", key=int, value=Person).delete_range()


@derived("ix_by_city", source="people", version=1)
def by_city(number: int, person: Person) -> Iterator[tuple[tuple[str, int], int]]:
    """Who lives where."""
    yield (person.city, number), person.born


def made_again() -> Derivation[tuple[str, int], int]:
    """The same one, declared by another program."""
    return derived("ix_by_city", source="people", version=1)(by_city.function)


async def held_by(database: Database) -> dict[tuple[str, int], int]:
    tree = await database.derived(by_city)
    await tree.wait_built()
    return {key: value async for key, value in tree.items()}


async def crash(cluster: Databases, position: int) -> None:
    cluster.databases[position]._embedded.deriving.abandon()
    await cluster.crash(position)


def test_every_member_that_asks_has_it_and_reads_see_what_was_acknowledged(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        databases = list(cluster.databases.values())
        await databases[0].run(fill, 0, 10)
        for database in databases[1:]:
            tree = await database.derived(by_city)
            await tree.wait_built()
            for number in range(20):
                await (
                    databases[0]
                    .tree("people", key=int, value=Person)
                    .put(number, Person("x", number))
                )
                assert await tree.get(("x", number)) == number
            assert await tree.count() == 20
            assert [key async for key in tree.keys(prefix=("x",), limit=2)] == [("x", 0), ("x", 1)]
            assert await tree.last() == (("x", 19), 19)
            await database.run(empty)
            assert await tree.first() is None
            await database.run(fill, 0, 10)
            assert await tree.count(prefix=("c0",)) == 2
            (said,) = (await database.status()).derived
            assert (said.name, said.share, said.error) == ("ix_by_city", 1.0, "")
        assert (await databases[0].status()).derived == ()

    with_databases(tmp_path, story, people)


def test_it_is_made_in_turns_and_whoever_reads_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        await database.run(fill, 0, 3000)
        rows: list[int] = []
        work = deriving_tree.DerivingTree.work

        def counted(tree: deriving_tree.DerivingTree, *given: Any, **named: Any) -> None:
            begin = len(asked)
            work(tree, *given, **named)
            rows.append(len(asked) - begin)

        asked: list[int] = []

        @derived("ix_all", source="people", version=1)
        def everyone(number: int, person: Person) -> list[tuple[int, bytes]]:
            asked.append(number)
            return [(person.born, b"")]

        monkeypatch.setattr(deriving_tree.DerivingTree, "work", counted)
        tree = await database.derived(everyone)
        with pytest.raises(Rebuilding) as told:
            await tree.get(1)
        assert 0 <= told.value.share < 1
        await tree.wait_built()
        assert await tree.count() == 3000
        assert max(rows) <= deriving_tree.SLICE_UNITS, "no turn is long"
        assert asked == list(range(3000)), "each row once, in order"

    with_databases(tmp_path, story, people, size=1)


def test_it_goes_on_where_it_was_after_a_close_and_after_a_crash(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        await database.run(fill, 0, 500)
        first = await held_by(database)
        for ends in (cluster.close_all, partial(crash, cluster, 0)):
            database = cluster.databases[0]
            environment = database._embedded.deriving._environment
            assert environment is not None
            environment.store.flush()
            await ends()
            database = await cluster.open_at(0)
            await again(partial(database.run, fill, 0, 1))
            asked: list[int] = []

            @derived("ix_by_city", source="people", version=1)
            def counted(
                number: int, person: Person, asked: list[int] = asked
            ) -> Iterable[tuple[tuple[str, int], int]]:
                asked.append(number)
                return by_city(number, person)

            tree = await database.derived(counted)
            assert {key: value async for key, value in tree.items()} == first
            assert set(asked) == {0}, "the log said what was changed"

    with_databases(tmp_path, story, people, size=1)


def test_a_function_that_fails_stops_its_tree_and_nothing_else(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        await database.run(fill, 0, 5)

        @derived("ix_picky", source="people", version=1)
        def picky(number: int, person: Person) -> Iterator[tuple[int, int]]:
            yield 100 // (person.born - 7 if number == 7 else 1), number

        tree, other = await database.derived(picky), await database.derived(by_city)
        await tree.wait_built()
        await database.run(fill, 5, 5)
        with pytest.raises(DerivedFailed, match=r"ix_picky: at the row 7 .*ZeroDivisionError"):
            await tree.get(100)
        with pytest.raises(DerivedFailed):
            await tree.wait_built()
        assert await other.count() == 10
        said = {it.name: it.error for it in (await database.status()).derived}
        assert said["ix_by_city"] == ""
        assert "ZeroDivisionError" in said["ix_picky"]
        await cluster.close_all()

        @derived("ix_picky", source="people", version=1)
        def corrected(number: int, person: Person) -> Iterator[tuple[int, int]]:
            yield number, person.born

        database = await cluster.open_at(0)
        tree = await database.derived(corrected)
        assert await tree.get(7) == 7, "it goes on at the row at which it failed"
        assert (await tree.get(100), await tree.count()) == (0, 6), "and older rows stay"

    with_databases(tmp_path, story, people, size=1)


def test_more_rows_than_rows_max_are_warned_of_by_name_and_far_too_many_fail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        await database.run(fill, 0, 3)

        @derived("ix_many", source="people", version=1, rows_max=2)
        def many(number: int, person: Person) -> Iterator[tuple[tuple[int, int], int]]:
            del person
            yield from (((number, it), it) for it in range(2 + number))

        @derived("ix_endless", source="people", version=1)
        def endless(number: int, _person: Person) -> Iterator[tuple[tuple[int, int], int]]:
            while True:
                yield (number, 0), 0

        tree = await database.derived(many)
        await tree.wait_built()
        assert await tree.count() == 2 + 3 + 4
        (said,) = (await database.status()).derived
        assert said.oversized_count == 2
        assert caplog.text.count("ix_many makes") == 1
        lost = await database.derived(endless)
        with pytest.raises(DerivedFailed, match="more than 10000 rows"):
            await lost.wait_built()

    with_databases(tmp_path, story, people, size=1)


def test_a_tree_that_is_dropped_is_gone_at_once_and_emptied_later(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        await database.run(fill, 0, 1500)
        tree = await database.derived(by_city)
        await tree.wait_built()
        hub = database._embedded.deriving
        rows_id = tree._tree.rows_id
        assert await database.drop_derived("ix_by_city")
        with pytest.raises(DerivedDropped):
            await tree.get(("c0", 0))
        assert (await database.status()).derived == ()
        assert hub.view.count(rows_id) > 0, "it is emptied in turns"
        turns = 0
        while hub._dropped:
            turns += 1
            await asyncio.sleep(0)
        assert turns < 20, "each finds something to remove"
        assert hub.view.count(rows_id) == 0
        assert not await database.drop_derived("ix_by_city")
        again = await database.derived(by_city)
        await again.wait_built()
        assert await again.count() == 1500

    with_databases(tmp_path, story, people, size=1)


def test_what_cannot_be_derived_is_refused_by_name(tmp_path: Path) -> None:
    def right(number: int, person: Person) -> list[tuple[int, int]]:
        return [(number, person.born)]

    def no_types(number, person):  # type: ignore[no-untyped-def]  # that is what is wrong
        return [(number, person)]

    def no_rows(number: int, person: Person) -> int:
        return number + person.born

    def no_key(number: int, person: Person) -> list[tuple[float, int]]:
        return [(1.0, number + person.born)]

    def one(number: int) -> list[tuple[int, int]]:
        return [(number, number)]

    declare: Any = derived
    for words, given, function in (
        ("begin with 'ix_'", {"name": "by_city"}, right),
        ("own source", {"source": "ix_a"}, right),
        ("version=-1", {"version": -1}, right),
        ("rows_max=0", {"rows_max": 0}, right),
        ("prefixes", {"prefix": 1}, right),
        ("no annotation", {}, no_types),
        ("it gives rows", {}, no_rows),
        ("float", {}, no_key),
        ("a key and a value", {}, one),
        (r"\$once", {"source": "$once"}, right),
        ("derived trees", {"source": "ix_b"}, right),
    ):
        with pytest.raises(BadDeclaration, match=words):
            declare(**{"name": "ix_a", "source": "people", "version": 1, **given})(function)

    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        await database.tree("people", key=str).put("ada", b"")
        with pytest.raises(OtherCodec):
            await database.derived(by_city)
        await database.derived(declare("ix_a", source="later", version=1)(right))
        with pytest.raises(BadDeclaration, match="twice"):
            await database.derived(declare("ix_a", source="later", version=1)(right))
        tree = await database.derived(declare("ix_b", source="later", version=1)(right))
        await tree.wait_built()
        with pytest.raises(BadKey):
            await tree.get("1")
        await database.tree("later", key=str).put("ada", b"")
        with pytest.raises(OtherCodec):
            await tree.get(1)

    with_databases(tmp_path, story, people, size=1)


def test_whoever_waits_hears_of_the_end(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        await database.run(fill, 0, 3000)
        tree = await database.derived(by_city)
        waiting = asyncio.ensure_future(tree.wait_built())
        while not tree._tree._waiting:
            await asyncio.sleep(0)
        await cluster.close_all()
        with pytest.raises(Closed):
            await waiting
        with pytest.raises(Closed):
            await tree.get(("c0", 0))

    with_databases(tmp_path, story, people, size=1)


class Forgetful(Databases):
    """Members whose logs are short."""

    def config(self, position: int) -> MemberConfig:
        return replace(super().config(position), trailing_entries=5)


@pytest.mark.slow
def test_a_snapshot_that_takes_the_place_of_everything_has_all_rows_looked_at(
    tmp_path: Path,
) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        position = (leader + 1) % 3
        lagging, member = cluster.databases[position], cluster.members[leader]
        await cluster.databases[leader].run(fill, 0, 300)
        tree = await lagging.derived(by_city)
        await tree.wait_built()
        here = cluster.address(position)
        for other in {0, 1, 2} - {position}:
            there = cluster.address(other)
            cluster.network.simulated.cut |= {(here, there), (there, here)}
        await again(partial(cluster.databases[leader].run, empty))
        await again(partial(cluster.databases[leader].run, fill, 200, 200))
        big = cluster.databases[leader].tree("big")
        for _ in range(18):
            # So many bytes that the log is more than one file.
            await again(partial(big.put, b"", bytes(60_000)))
        await cluster.until(lambda: member.first_index > 10)
        cluster.network.simulated.heal()
        applied = lagging._embedded.member.store
        await cluster.until(lambda: applied.applied_index >= member.store.applied_index)
        await tree.wait_built()
        assert {key[1] async for key, _ in tree.items()} == set(range(200, 400))

    with_databases(tmp_path, story, people, kind=Forgetful)


@pytest.mark.parametrize("how", ["live", "past"])
def test_a_long_write_has_its_source_looked_at(tmp_path: Path, how: str) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        await database.run(fill, 0, 10)
        tree = await database.derived(by_city)
        await tree.wait_built()
        if how == "past":
            await cluster.close_all()
            database = await cluster.open_at(0)
        member = database._embedded.member
        tree_id = member.store.tree("people").id
        keys = [key for key, _ in member.view.scan(tree_id)]

        def steps(txn: Txn) -> Steps:
            for key in keys[3:]:
                txn.delete(tree_id, key)
                yield
            return b""

        member.register("a long one", lambda _txn, _body: Long(steps))
        await again(lambda: member.transact("a long one", b""))
        tree = await database.derived(by_city)
        await tree.wait_built()
        assert {key[1] async for key, _ in tree.items()} == {0, 1, 2}

    with_databases(tmp_path, story, people, size=1)


def test_a_row_that_is_damaged_on_the_disk_has_all_of_it_made_anew(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        await database.run(fill, 0, 50)
        first = await held_by(database)
        path = database._embedded.member.config.data_dir / "derived" / "data.mdb"
        await cluster.close_all()
        held = path.read_bytes()
        assert held.count(b"c3\0") > 1
        path.write_bytes(held.replace(b"c3\0", b"c4\0"))
        database = await cluster.open_at(0)
        tree = await database.derived(by_city)
        with pytest.raises(Rebuilding, match="is damaged"):
            assert [key async for key, _ in tree.items()]
        await tree.wait_built()
        assert {key: value async for key, value in tree.items()} == first

    with_databases(tmp_path, story, people, size=1)
