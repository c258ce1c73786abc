"""Many things in one call: in parts, beside CPython's types; all of it or nothing."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from roost.database import BadArgument, Limits, Operation, Transaction, WriteSetTooLarge
from roost.database.builtin import BUILTIN
from roost.database.rows import TxnRows
from roost.errors import NotExecuted, OutcomeUnknown
from roost.objects.aio.objects import Objects
from roost.objects.layouts import dicts, sets
from roost.objects.layouts.heads import Shape
from roost.objects.layouts.operations import OPERATIONS
from tests.database.databases import Databases, again, with_databases
from tests.database.test_transaction import empty_txn
from tests.objects.layouts.test_rows import CountedRows
from tests.objects.test_mappings import Counters, Dicts, Sets

FEW = 2
pytestmark = pytest.mark.usefixtures("db", "few_a_part")
FORMS: list[Any] = [dicts.ROWS, dicts.COUNTS, sets.MEMBERS]


@pytest.fixture(scope="module")
def few_a_part() -> Iterator[None]:
    """So few a part that nearly every call has several."""
    with pytest.MonkeyPatch.context() as patch:
        for form in FORMS:
            patch.setattr(form, "count_max", FEW)
        yield


class Cluster(Databases):
    """Members that know the operations of objects."""

    built_in: Mapping[str, Operation[Any, Any]] = {**BUILTIN, **OPERATIONS}


TestDictsInParts = Dicts.TestCase
TestCountersInParts = Counters.TestCase
TestSetsInParts = Sets.TestCase


def slices_of(steps: Iterator[None], rows: CountedRows) -> list[int]:
    """How many rows each slice reads and writes."""
    found: list[int] = []
    while True:
        rows.read = rows.written = 0
        is_over = next(steps, rows) is rows
        found.append(rows.read + rows.written)
        if is_over:
            return found


@pytest.mark.parametrize(
    ("do", "form", "items", "row_count"),
    [
        (dicts.put_parts, dicts.ROWS, [(b"%d" % it, b"v") for it in range(20)], 3),
        (dicts.add_parts, dicts.COUNTS, [(b"%d" % it, 1) for it in range(20)], 4),
        (sets.add_parts, sets.MEMBERS, [b"%d" % it for it in range(20)], 2),
        (sets.discard_parts, sets.MEMBERS, [b"%d" % it for it in range(20)], 2),
        (sets.toggle_parts, sets.MEMBERS, [b"%d" % it for it in range(20)], 3),
        (sets.keep_parts, sets.MEMBERS, [b"%d" % it for it in range(20)], 2),
        (sets.find_parts, sets.MEMBERS, [b"%d" % it for it in range(20)], 1),
    ],
)
def test_a_slice_has_the_rows_of_a_part(do: Any, form: Any, items: Any, row_count: int) -> None:
    rows = CountedRows()
    parts = [form.encode(items[at : at + FEW]) for at in range(0, len(items), FEW)]
    shape = Shape("objects/a", "kind", "", "")
    found = slices_of(do(Transaction(rows), shape, parts), rows)
    assert len(found) >= len(parts)
    # The head is read with the first part and written with the last.
    assert max(found) <= FEW * row_count + 2


async def after_a_kill(
    cluster: Cluster, change: Callable[[Objects], Awaitable[object]]
) -> bool | None:
    """Kill the leader in the middle of a change; whether it was done, None = it is in doubt."""
    leader = await cluster.quiet()
    asking = cluster.databases[(leader + 1) % 3]
    changing = asyncio.ensure_future(change(Objects(asking)))
    executor = cluster.members[leader]._parts.executor
    await cluster.until(lambda: executor._long is not None and executor._long.parts.count >= 5)
    assert not changing.done()
    await cluster.crash(leader)
    try:
        await changing
    except NotExecuted:
        return False
    except OutcomeUnknown:
        return None
    return True


def kill_amidst(
    tmp_path: Path,
    begin: Callable[[Objects], Awaitable[object]],
    change: Callable[[Objects], Awaitable[object]],
    content: Callable[[Objects], Awaitable[object]],
    before: object,
    after: object,
) -> None:
    """Whoever is asked once the leader was killed has all of a change, or nothing of it."""

    async def story(cluster: Databases) -> None:
        assert isinstance(cluster, Cluster)
        first = next(iter(cluster.databases.values()))
        await again(partial(begin, Objects(first)))
        is_done = await after_a_kill(cluster, change)
        await cluster.leader()
        for database in cluster.databases.values():
            found = await again(partial(content, Objects(database)))
            assert found in (before, after)
            assert is_done is None or is_done == (found == after)

    with_databases(tmp_path, story, kind=Cluster)


@pytest.mark.parametrize("kind", ["dict", "set", "counter"])
def test_a_leader_that_is_killed_leaves_all_of_it_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("roost.store.long_write.ENTRY_BYTES", 1)  # time passes between slices
    keys = [str(it) for it in range(40)]

    async def begin(objects: Objects) -> None:
        await objects.dict("a", key=str, value=int).put("0", 7)
        await objects.set("a2", member=str).add("x")
        await objects.counter("a3", key=str).add("0", 7)

    async def change(objects: Objects) -> None:
        if kind == "dict":
            await objects.dict("a", key=str, value=int).update(dict.fromkeys(keys, 1))
        elif kind == "set":
            await objects.set("a2", member=str).update(keys)
        else:
            await objects.counter("a3", key=str).update(keys)

    async def held(objects: Objects) -> object:
        if kind == "dict":
            return await objects.dict("a", key=str, value=int).copy()
        if kind == "set":
            return await objects.set("a2", member=str).copy()
        return await objects.counter("a3", key=str).copy()

    before: dict[str, object] = {"dict": {"0": 7}, "set": {"x"}, "counter": {"0": 7}}
    after: dict[str, object] = {
        "dict": dict.fromkeys(keys, 1),
        "set": {"x", *keys},
        "counter": {**dict.fromkeys(keys, 1), "0": 8},
    }

    kill_amidst(tmp_path, begin, change, held, before[kind], after[kind])


def test_what_is_given_may_change_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = dicts.ROWS.encode
    made: list[int] = []

    def noted(part: list[dicts.Row]) -> memoryview:
        made.append(len(part))
        return encode(part)

    monkeypatch.setattr(dicts.ROWS, "encode", noted)

    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        objects = Objects(database)
        numbers = dict.fromkeys(range(9), 1)
        updating = asyncio.ensure_future(objects.dict("a", key=int, value=int).update(numbers))
        adding = asyncio.ensure_future(objects.set("b", member=int).update(numbers))
        while not made:
            await asyncio.sleep(0)
        assert not updating.done()
        numbers.clear()
        await asyncio.gather(updating, adding)
        assert await objects.dict("a", key=int, value=int).copy() == dict.fromkeys(range(9), 1)
        assert await objects.set("b", member=int).copy() == set(range(9))

    with_databases(tmp_path, story, size=1, kind=Cluster)


def test_run_at_once_it_writes_the_same() -> None:
    """As a part of another operation."""
    shape = Shape("objects/a", "dict", "", "")
    rows = [(b"%d" % it, b"v") for it in range(9)]
    in_parts, at_once = empty_txn(), empty_txn()
    OPERATIONS["roost.dict_put_parts"](
        Transaction(TxnRows(in_parts, Limits())),
        shape,
        [dicts.ROWS.encode(rows[:4]), dicts.ROWS.encode(rows[4:])],
    )
    dicts.put(Transaction(TxnRows(at_once, Limits())), shape, rows)
    assert in_parts.encode() == at_once.encode()


ENDLESS: list[Callable[[Objects], Awaitable[object]]] = [
    lambda it: it.dict("a", key=int, value=int).update((at, at) for at in itertools.count()),
    lambda it: it.counter("b", key=int).update(itertools.count()),
    lambda it: it.set("c", member=int).update(itertools.count()),
    lambda it: it.set("c", member=int).isdisjoint(itertools.count()),
]


@pytest.mark.parametrize("ask", ENDLESS)
def test_what_has_no_end_is_refused_when_it_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Objects], Awaitable[object]]
) -> None:
    """All of memory was filled with it first."""
    monkeypatch.setattr("roost.database.parts.PARTS_BYTES_MAX", 20_000)

    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        with pytest.raises(WriteSetTooLarge, match="20000 bytes: do it in several"):
            await ask(Objects(database))

    with_databases(tmp_path, story, size=1, kind=Cluster)


@pytest.mark.parametrize("number", [1 << 70, 1 << 63, -(1 << 63), 1.5, "1", None, [1]])
@pytest.mark.parametrize("others", [0, 5 * FEW])
def test_what_is_no_count_is_said_to_be_none_however_many_there_are(
    tmp_path: Path, number: Any, others: int
) -> None:
    """Of many it was an OverflowError, or went to the member that leads and came back refused."""

    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        counter = Objects(database).counter("a", key=str)
        counts = {**dict.fromkeys(map(str, range(others)), 1), "x": number}
        for ask in (counter.update, counter.subtract):
            with pytest.raises(BadArgument, match="is no count: they are whole numbers"):
                await ask(counts)
        with pytest.raises(BadArgument, match="is no count"):
            await counter.add("x", number)
        assert await counter.count() == 0

    with_databases(tmp_path, story, size=1, kind=Cluster)


def test_each_of_several_that_are_given_may_change_meanwhile(tmp_path: Path) -> None:
    """Only the first was looked at as it had been when it was given."""

    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        members = Objects(database).set("a", member=int)
        await again(lambda: members.update(range(9)))
        second = set(range(5))

        def first() -> Iterator[int]:
            yield from range(5)
            second.clear()

        await members.intersection_update(first(), second)
        assert await members.copy() == set(range(5))

    with_databases(tmp_path, story, size=1, kind=Cluster)
