"""Many rows in one call: in parts, and all of it or nothing."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roost.database import (
    BadArgument,
    BadKey,
    BadValue,
    Limits,
    OnceTaken,
    OtherCodec,
    Refused,
    Transaction,
    ValueTooLarge,
    WriteSetTooLarge,
)
from roost.database.aio import Database
from roost.database.answers import decode_answer, encode_asked
from roost.database.bounds import Range, Shape, shape_of
from roost.database.builtin import BUILTIN, PUT
from roost.database.changed import LONG_KEYS_MAX, note_changes
from roost.database.dirty import Dirty
from roost.database.parts import PART_BYTES
from roost.database.rows import Row, TxnRows
from roost.database.runner import Runner
from roost.database.updates import PART_ROWS, PUT_PARTS, ROWS, collect
from roost.sim.members.loop import run_virtually
from roost.store import (
    PARTS_ID,
    Changes,
    Layer,
    Long,
    LongChanges,
    NothingKept,
    Steps,
    encode_effect,
)
from tests.database.databases import Databases, again, with_databases
from tests.database.test_transaction import empty_txn

FEW = 5
SHAPE: Shape[int, bytes] = shape_of("rows", int, bytes)
SAID = "rows", SHAPE.keys.name, SHAPE.values.name
Rows = dict[int, bytes]


@pytest.fixture
def few_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many rows a part that a test has many parts of few rows."""
    monkeypatch.setattr(ROWS, "count_max", FEW)


def encoded(first: int, count: int, value: bytes = b"v") -> list[Row]:
    return [(SHAPE.keys.encode(number), value) for number in range(first, first + count)]


def parts_of(*parts: list[Row]) -> list[memoryview]:
    return [memoryview(msgspec.msgpack.encode(it)) for it in parts]


def asked_for(parts: list[memoryview], once: bytes | None = None) -> bytes:
    return encode_asked(PUT_PARTS.name, PUT_PARTS.encode((*SAID, parts), {}), once)


def runner_of(limits: Limits | None = None) -> Runner:
    return Runner(
        BUILTIN, limits or Limits(), clock_s=lambda: 0.0, wall_s=lambda: 0.0, clock_number=1
    )


async def content(database: Database) -> Rows:
    return {key: value async for key, value in database.tree("rows", key=int).items()}


def test_rows_are_encoded_a_part_a_turn() -> None:
    turns: list[int] = []

    async def count(taken: list[int]) -> None:
        while True:
            taken.append(0)
            await asyncio.sleep(0)

    def rows() -> Iterator[tuple[int, bytes]]:
        for number in range(2 * PART_ROWS + 7):
            turns[-1] += 1
            yield number, b"value"

    async def main() -> None:
        counting = asyncio.create_task(count(turns))
        while not turns:
            await asyncio.sleep(0)
        few, parts = await collect(rows(), SHAPE)
        counting.cancel()
        assert few == []
        sizes = [len(ROWS.decode(it)) for it in parts]
        assert sizes == [PART_ROWS, PART_ROWS, 7]
        made = [row for part in parts for row in ROWS.decode(part)]
        assert made == encoded(0, 2 * PART_ROWS + 7, b"value")

    run_virtually(main())
    assert sum(turns) == 2 * PART_ROWS + 7
    assert max(turns) == PART_ROWS


@pytest.mark.parametrize("count", [0, 1, PART_ROWS])
def test_few_rows_are_one_operation_as_they_were(count: int) -> None:
    async def main() -> None:
        few, parts = await collect([(it, b"v") for it in range(count)], SHAPE)
        assert (few, parts) == (encoded(0, count), [])
        txn = empty_txn()
        body = encode_asked(PUT.name, PUT.encode((*SAID, few), {}), None)
        assert isinstance(runner_of().run(txn, body), bytes), "it runs in one step"

    run_virtually(main())


def test_large_rows_are_parts_of_few() -> None:
    async def main() -> None:
        value = bytes(PART_BYTES // 3)
        _, parts = await collect(dict.fromkeys(range(7), value), SHAPE)
        assert [len(ROWS.decode(it)) for it in parts] == [3, 3, 1]
        few, parts = await collect({1: bytes(PART_BYTES)}, SHAPE)
        assert (len(few), parts) == (1, [])

    run_virtually(main())


@pytest.mark.usefixtures("few_a_part")
def test_rows_are_those_that_there_were_when_it_was_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encode = ROWS.encode
    made: list[int] = []

    def noted(part: list[Row]) -> memoryview:
        made.append(len(part))
        return encode(part)

    monkeypatch.setattr(ROWS, "encode", noted)

    async def main() -> None:
        for rows in (dict.fromkeys(range(8), b"v"), [(it, b"v") for it in range(8)]):
            made.clear()
            collecting = asyncio.create_task(collect(rows, SHAPE))
            while not made:
                await asyncio.sleep(0)
            assert not collecting.done()
            rows.clear()
            _, parts = await collecting
            assert [row for it in parts for row in ROWS.decode(it)] == encoded(0, 8)

    run_virtually(main())


@pytest.mark.usefixtures("few_a_part")
def test_what_is_no_row_is_refused_wherever_it_stands() -> None:
    many = [(it, b"v") for it in range(3 * FEW)]
    wrong: list[tuple[Any, type[Exception]]] = [
        (7, BadArgument),
        ([7], BadArgument),
        ([*many, (1, b"2", 3)], BadArgument),
        ([*many, ("text", b"v")], BadKey),
        ([*many, (1, "text")], BadValue),
    ]

    async def main() -> None:
        for rows, error in wrong:
            with pytest.raises(error):
                await collect(rows, SHAPE)

    run_virtually(main())


def test_a_part_is_put_in_each_slice() -> None:
    sizes = [4, 1, 3]
    parts = [encoded(10 * number, size) for number, size in enumerate(sizes)]
    txn = empty_txn()
    before = txn.savepoint()
    outcome = runner_of().run(txn, asked_for(parts_of(*parts)))
    assert isinstance(outcome, Long)
    assert txn.savepoint() == before, "what is long has written nothing yet"
    held: list[int] = []
    answer = b""

    def steps() -> Steps:
        nonlocal answer
        answer = yield from outcome.run(txn)
        return answer

    for _ in steps():
        txn.take_part(is_last=False)
        held.append(txn.count(txn.tree("rows").id))
    assert held == [4, 5, 8]
    assert decode_answer(answer) == msgspec.msgpack.encode(None)
    assert list(txn.scan(txn.tree("rows").id)) == [row for part in parts for row in part]


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (Limits(write_set_rows_max=7), WriteSetTooLarge),
        (Limits(write_set_bytes_max=250), WriteSetTooLarge),
        (Limits(value_bytes_max=1), ValueTooLarge),
    ],
)
def test_limits_hold_over_all_slices(limits: Limits, error: type[Exception]) -> None:
    parts = parts_of(encoded(0, 4), encoded(4, 4, b"v" * 20))
    runner = runner_of(limits)
    for at_most in (runner_of(), runner):
        txn = empty_txn()
        outcome = at_most.run(txn, asked_for(parts))
        assert isinstance(outcome, Long)
        steps = outcome.run(txn)
        next(steps)
        txn.take_part(is_last=False)
        if at_most is not runner:
            next(steps)
            continue
        with pytest.raises(NothingKept) as refused:
            next(steps)
        with pytest.raises(error):
            decode_answer(refused.value.answer)
    assert runner.figures().refused_count == 1


def test_what_is_no_part_is_refused() -> None:
    outcome = runner_of().run(txn := empty_txn(), asked_for([memoryview(b"\x91\x07")]))
    assert isinstance(outcome, Long)
    with pytest.raises(NothingKept) as refused:
        next(outcome.run(txn))
    with pytest.raises(Refused, match="no part of rows"):
        decode_answer(refused.value.answer)


def test_run_at_once_it_puts_the_same() -> None:
    """As a part of another operation."""
    rows = encoded(0, 9)
    in_parts, at_once = empty_txn(), empty_txn()
    PUT_PARTS(Transaction(TxnRows(in_parts, Limits())), *SAID, parts_of(rows[:4], rows[4:]))
    PUT(Transaction(TxnRows(at_once, Limits())), *SAID, rows)
    assert in_parts.encode() == at_once.encode()


@pytest.mark.usefixtures("few_a_part")
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 30), st.binary(max_size=3)), max_size=4 * FEW),
        max_size=6,
    )
)
def test_updates_are_those_of_a_dict(
    tmp_path_factory: pytest.TempPathFactory, given_rows: list[list[tuple[int, bytes]]]
) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        tree = database.tree("rows", key=int)
        model: Rows = {}
        for rows in given_rows:
            await again(partial(tree.update, rows))
            model.update(rows)
            assert await content(database) == model

    with_databases(tmp_path_factory.mktemp("rows"), story, size=1)


@pytest.mark.usefixtures("few_a_part")
def test_it_is_one_change_everywhere_wherever_it_is_asked(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        other = cluster.databases[(leader + 1) % 3]
        tree = other.tree("rows", key=int)
        await again(partial(tree.put, 0, b"first"))
        tree_id = other._embedded.member.store.tree("rows").id
        seen: list[tuple[int, bool, int]] = []

        def note(position: int, _index: int, changes: Changes) -> None:
            seen.append((position, changes.is_long, len(changes.of_tree(tree_id))))

        for position, member in cluster.members.items():
            member.observe(partial(note, position), trees=(tree_id,))
        await again(lambda: tree.update(dict.fromkeys(range(FEW), b"few")))
        await cluster.until(lambda: len(seen) == 3)
        assert sorted(seen) == [(it, False, FEW) for it in range(3)]
        seen.clear()
        rows = dict.fromkeys(range(4 * FEW + 1), b"many")
        await again(lambda: tree.update(rows))
        await cluster.until(lambda: len(seen) == 3)
        assert sorted(seen) == [(it, True, 4 * FEW + 1) for it in range(3)]
        for database in cluster.databases.values():
            assert await content(database) == rows

    with_databases(tmp_path, story)


@pytest.mark.usefixtures("few_a_part")
def test_what_is_refused_in_its_last_part_leaves_nothing(tmp_path: Path) -> None:
    rows = dict.fromkeys(range(4 * FEW), b"v")

    async def refused(database: Database, name: str) -> None:
        numbers = database.tree(name, key=int)
        with pytest.raises(ValueTooLarge, match="value_bytes_max=10"):
            await again(lambda: numbers.update({**rows, 4 * FEW: bytes(11)}))
        texts = database.tree(name, key=str)
        assert await texts.count() == 0, "nobody has said what is in it"
        await again(lambda: texts.put("a", b"v"))
        with pytest.raises(OtherCodec):
            await again(lambda: numbers.update(rows))

    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        await refused(cluster.databases[leader], "ours")
        await refused(cluster.databases[(leader + 1) % 3], "theirs")
        await cluster.until(
            lambda: not any(it.view.scan(PARTS_ID, limit=1) for it in cluster.members.values())
        )

    with_databases(tmp_path, story, limits=Limits(value_bytes_max=10))


@pytest.mark.usefixtures("few_a_part")
@pytest.mark.parametrize("part_count", [1, 15, 30])
def test_a_leader_that_is_killed_leaves_all_rows_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_count: int
) -> None:
    monkeypatch.setattr("roost.store.long_write.ENTRY_BYTES", 1)  # time passes between slices
    rows = dict.fromkeys(range(40 * FEW), b"new")

    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        asking = cluster.databases[(leader + 1) % 3]
        tree = asking.tree("rows", key=int)
        await again(partial(tree.put, 0, b"old"))
        updating = asyncio.ensure_future(tree.update(rows))
        is_done = await cluster.crash_amidst(leader, updating, part_count)
        for database in cluster.databases.values():
            held = await again(partial(content, database))
            assert held in ({0: b"old"}, rows)
            assert is_done is None or is_done == (held == rows)
        await again(partial(tree.update, rows))
        assert await again(partial(content, asking)) == rows

    with_databases(tmp_path, story)


def test_asked_again_with_its_key_it_is_done_once(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        ask = database._embedded.ask
        one = PUT_PARTS.encode((*SAID, parts_of(encoded(0, 3), encoded(3, 3))), {})
        other = PUT_PARTS.encode((*SAID, parts_of(encoded(6, 3))), {})
        first = await again(lambda: ask(PUT_PARTS.name, one, b"key"))
        await database.tree("rows", key=int).delete(0)
        assert await again(lambda: ask(PUT_PARTS.name, one, b"key")) == first
        with pytest.raises(OnceTaken):
            await again(lambda: ask(PUT_PARTS.name, other, b"key"))
        assert set(await content(database)) == {1, 2, 3, 4, 5}

    with_databases(tmp_path, story, size=1)


def test_operations_that_write_many_rows_are_few_a_batch(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        tree = database.tree("rows", key=int)
        await again(partial(tree.put, 0, b"first"))
        member = database._embedded.member
        before = member.store.applied_index
        rows = dict.fromkeys(range(PART_ROWS), b"")
        await asyncio.gather(*[tree.update(rows) for _ in range(36)])
        assert member.store.applied_index - before >= 3, "eleven of five hundred rows are a batch"

    with_databases(tmp_path, story, size=1)


@pytest.mark.parametrize("count", [3, LONG_KEYS_MAX + 1])
def test_derived_trees_look_at_what_was_written_and_no_more(count: int) -> None:
    layer = Layer()
    for key, value in encoded(0, count):
        layer.put(7, key, value)
    changes = LongChanges(encode_effect(1, 1, 1), layer)

    def noted(bounds: Range) -> Dirty:
        dirty = Dirty()
        note_changes(dirty, bounds, 7, 9, changes)
        return dirty

    encode: Callable[[int], bytes] = SHAPE.keys.encode
    dirty = noted(Range(encode(1), None))
    assert noted(Range(encode(count), None)).is_empty
    if count <= LONG_KEYS_MAX:
        assert (dirty.key_count, list(dirty.ranges)) == (count - 1, [])
    else:
        (found,) = dirty.ranges
        assert (found.first, found.stop) == (encode(1), encode(count - 1) + b"\0")
        assert not dirty.has_keys
