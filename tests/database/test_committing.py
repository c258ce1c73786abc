"""Transactions that are committed in parts: as at once, and all of it or nothing."""

import asyncio
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roost.database import Conflict, Limits, Refused, Transaction, optimistic
from roost.database.aio import Database
from roost.database.changes import Annotation, Change
from roost.database.committing import (
    COMMIT,
    COMMIT_PARTS,
    DONE,
    PAGE_ROWS,
    READS,
)
from roost.database.optimistic import (
    Done,
    KeyRead,
    Putting,
    RangeDeleting,
    RangeRead,
    Read,
    digest_of,
    digest_of_value,
)
from roost.database.parts import SLICE_ROWS
from roost.database.rows import TxnRows
from roost.store.layer import DROPPED_COUNT
from tests.database.databases import Databases, again, with_databases
from tests.database.test_transaction import empty_txn
from tests.objects.layouts.test_rows import CountedRows
from tests.steps import steps_of

FEW = 2
ROWS = [(b"%02d" % it, b"v" * it) for it in range(12)]
KEYS = st.sampled_from([key for key, _ in ROWS] + [b"", b"011", b"9"])
VALUES = st.sampled_from([b"", b"1", bytes(3000)])


@pytest.fixture
def few_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly every transaction is committed in several parts, in slices of few rows."""
    monkeypatch.setattr(READS, "count_max", FEW)
    monkeypatch.setattr(DONE, "count_max", FEW)
    monkeypatch.setattr(optimistic, "FEW_READS", 1)
    monkeypatch.setattr(optimistic, "FEW_DONE", 1)
    monkeypatch.setattr("roost.database.parts.SLICE_ROWS", 3)
    monkeypatch.setattr("roost.database.committing.SMALL_PAGE_BYTES", 3 << 10)
    monkeypatch.setattr("roost.database.committing.PIECE_BYTES", 1000)


def filled() -> TxnRows:
    rows = TxnRows(empty_txn(), Limits())
    rows.open("t", "bytes", "bytes")
    for key, value in ROWS:
        rows.put("t", key, value)
    return rows


RANGES = st.tuples(KEYS, st.one_of(st.none(), KEYS), st.booleans(), st.integers(0, 14))
FALSE_ONES = st.booleans().map(lambda it: it and b"0" * 16)


@pytest.mark.usefixtures("few_a_part")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(KEYS, max_size=4),
    st.lists(RANGES, max_size=4),
    st.one_of(st.none(), st.integers(0, 7)),
)
def test_it_finds_out_what_one_step_finds_out(
    keys: list[bytes], ranges: list[tuple[bytes, bytes | None, bool, int]], false: int | None
) -> None:
    """The same reads are so, or are not, whether ranges are scanned at once or page by page."""
    rows = filled()
    reads: list[Read] = [
        KeyRead(tree="t", key=it, digest=digest_of_value(rows.get("t", it))) for it in keys
    ]
    for first, stop, reverse, limit in ranges:
        found = rows.scan("t", first, stop, reverse=reverse, limit=limit)
        read = RangeRead(
            tree="t", first=first, stop=stop, reverse=reverse, limit=limit, digest=digest_of(found)
        )
        reads.append(read)
    is_false = false is not None and false < len(reads)
    if is_false:
        assert false is not None
        wrong: Any = reads[false]
        fields = {name: getattr(wrong, name) for name in wrong.__struct_fields__}
        reads[false] = type(wrong)(**{**fields, "digest": b"0" * 16})
    txn = Transaction(rows)
    for is_in_parts in (False, True):
        with pytest.raises(Conflict) if is_false else nullcontext():
            if is_in_parts:
                COMMIT_PARTS(txn, [READS.encode(reads)], [DONE.encode([])])
            else:
                COMMIT(txn, reads, [])


def test_a_slice_reads_few_rows_however_long_the_range_is() -> None:
    rows = CountedRows()
    rows.open("t", "bytes", "bytes")
    many = [(b"%05d" % it, b"") for it in range(5000)]
    for key, value in many:
        rows.put("t", key, value)
    read = RangeRead(
        tree="t", first=b"", stop=None, reverse=False, limit=6000, digest=digest_of(many)
    )
    steps = COMMIT_PARTS._steps(Transaction(rows), [READS.encode([read, read])], [])
    slices: list[int] = []
    while True:
        rows.read = 0
        if next(steps, rows) is rows:
            break
        slices.append(rows.read)
    assert sum(slices) == 2 * len(many)
    assert max(slices) <= SLICE_ROWS + PAGE_ROWS


def test_what_a_transaction_has_written_goes_in_slices_where_it_deletes_it() -> None:
    """All of it was taken out in one step, of a million rows for a tenth of a second."""
    rows = TxnRows(empty_txn(), Limits())
    rows.open("t", "bytes", "bytes")
    for number in range(3 * DROPPED_COUNT):
        rows.put("t", b"%05d" % number, b"")
    done: list[Done] = [
        RangeDeleting(tree="t", first=b"00007", stop=None),
        Putting(tree="t", key=b"9", value=b""),
    ]
    steps = COMMIT_PARTS._steps(Transaction(rows), [], [DONE.encode(done)])
    slices: list[int] = []
    is_over = False
    while not is_over:

        def step() -> None:
            nonlocal is_over
            is_over = next(steps, rows) is rows

        slices.append(steps_of(step))
    assert len(slices) > 3
    assert max(slices) < 4 * DROPPED_COUNT, "some lines a row"
    found = rows.scan("t", b"", None, reverse=False, limit=100)
    assert [int(key) for key, _ in found] == [*range(7), 9]


def test_what_asks_for_more_than_may_be_read_is_refused() -> None:
    read = RangeRead(
        tree="t", first=b"", stop=None, reverse=False, limit=8000, digest=digest_of(ROWS)
    )
    with pytest.raises(Refused, match="reads 10000 rows at most"):
        COMMIT_PARTS(Transaction(filled()), [READS.encode([read] * 3)], [])
    with pytest.raises(Refused, match="no part of reads"):
        COMMIT_PARTS(Transaction(filled()), [memoryview(b"\x91\x07")], [])


Model = dict[bytes, bytes]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, VALUES),
        st.tuples(st.just("delete"), KEYS, st.just(b"")),
        st.tuples(st.just("range"), KEYS, KEYS),
        st.tuples(st.just("read"), KEYS, st.just(b"")),
        st.tuples(st.just("scan"), KEYS, KEYS),
    ),
    max_size=10,
)


def carry_out(txn: Transaction, model: Model, steps: list[tuple[str, bytes, bytes]]) -> None:
    """The same to a tree and to a dict, which must have the same."""
    tree = txn.tree("t")
    for step, key, value in steps:
        match step:
            case "put":
                tree[key] = value
            case "delete":
                tree.discard(key)
            case "range":
                tree.delete_range(first=key, stop=value)
            case "read":
                assert tree.get(key) == model.get(key)
            case _:
                expected = sorted(it for it in model.items() if key <= it[0] < value)
                assert list(tree.items(first=key, stop=value)) == expected
        write(model, step, key, value)


def write(model: Model, step: str, key: bytes, value: bytes) -> None:
    """What a step does to a dict, which is nothing when it reads."""
    if step == "put":
        model[key] = value
    elif step == "delete":
        model.pop(key, None)
    elif step == "range":
        for it in [it for it in model if key <= it < value]:
            del model[it]


async def content(database: Database) -> Model:
    return {key: value async for key, value in database.tree("t").items()}


@pytest.mark.usefixtures("few_a_part")
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(STEPS, st.one_of(st.none(), KEYS)), max_size=5))
def test_transactions_are_those_of_a_dict(
    tmp_path_factory: pytest.TempPathFactory,
    transactions: list[tuple[list[tuple[str, bytes, bytes]], bytes | None]],
) -> None:
    """Where somebody else writes a key meanwhile that was read, nothing is done."""

    async def story(cluster: Databases) -> None:
        (database,) = cluster.databases.values()
        model: Model = {}
        for steps, other in transactions:
            try:
                async with database.transaction() as txn:
                    carry_out(txn, dict(model), steps)
                    if other is not None:
                        await database.tree("t").put(other, b"other")
                        model[other] = b"other"
            except Conflict:
                assert other is not None
                assert any(step in ("read", "scan") for step, *_ in steps)
            else:
                for step in steps:
                    write(model, *step)
            assert await content(database) == model

    with_databases(tmp_path_factory.mktemp("rows"), story, size=1)


@pytest.mark.usefixtures("few_a_part")
def test_a_conflict_in_its_last_part_leaves_nothing(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        for database in (cluster.databases[leader], cluster.databases[(leader + 1) % 3]):
            await again(partial(database.tree("t").update, dict(ROWS)))
            with pytest.raises(Conflict):  # noqa: PT012 - it is the end of the block that raises
                async with database.transaction() as txn:
                    for key, _ in ROWS:
                        assert txn.tree("t").get(key) is not None
                        txn.tree("t")[key] = b"new"
                    await database.tree("t").put(ROWS[-1][0], b"other")
            assert await content(database) == {**dict(ROWS), ROWS[-1][0]: b"other"}

    with_databases(tmp_path, story)


@pytest.mark.usefixtures("few_a_part")
def test_a_leader_that_is_killed_leaves_all_of_it_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roost.store.long_write.ENTRY_BYTES", 1)  # time passes between slices

    async def change(database: Database) -> None:
        async with database.transaction() as txn:
            tree = txn.tree("t")
            assert tree[b"old"] == b"1"
            tree.update({b"%d" % it: b"new" for it in range(60)})
            del tree[b"old"]

    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        asking = cluster.databases[(leader + 1) % 3]
        await again(partial(asking.tree("t").put, b"old", b"1"))
        changing = asyncio.ensure_future(change(asking))
        is_done = await cluster.crash_amidst(leader, changing, 5)
        for database in cluster.databases.values():
            found = await again(partial(content, database))
            assert found in ({b"old": b"1"}, {b"%d" % it: b"new" for it in range(60)})
            assert is_done is None or is_done == (b"old" not in found)

    with_databases(tmp_path, story)


@pytest.mark.usefixtures("few_a_part")
def test_what_it_says_is_told_with_each_key_everywhere(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        leader = await cluster.quiet()
        one = cluster.databases[(leader + 1) % 3]
        observed = [await it.observe().__aenter__() for it in cluster.databases.values()]
        async with one.transaction() as txn:
            for key, value in ROWS:
                txn.tree("t")[key] = value
            txn.annotate(300, b"a")
            txn.annotate(301, b"b")
        async with one.transaction() as txn:
            for _ in range(5):
                txn.annotate(302, b"alone")
        for changes in observed:
            found: list[Change[bytes, bytes]] = []
            async for it in changes:
                assert isinstance(it, Change)
                found.append(it)
                if len(found) == len(ROWS) + 1:
                    break
            *rows, last = found
            assert sorted((change.key, change.value) for change in rows) == ROWS
            said = (Annotation(300, b"a"), Annotation(301, b"b"))
            assert {change.annotations for change in rows} == {said}
            assert (last.tree, last.annotations) == ("", (Annotation(302, b"alone"),) * 5)

    with_databases(tmp_path, story)
