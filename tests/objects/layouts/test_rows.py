"""What operations on objects read and write: as many rows as their docstrings say."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from roost.database import Limits, Transaction
from roost.database.rows import TxnRows
from roost.objects.layouts import deques, dicts, heaps, lists, registers, sets
from roost.objects.layouts.heads import Shape
from tests.database.test_transaction import empty_txn
from tests.objects.layouts.steps import all_of, done

MANY = 20_000


class CountedRows(TxnRows):
    """Counts what is asked of a transaction's rows."""

    def __init__(self) -> None:
        super().__init__(empty_txn(), Limits())
        self.read = self.written = 0
        self.scanned: list[bytes] = []

    def get(self, tree: str, key: bytes) -> bytes | None:
        self.read += 1
        return super().get(tree, key)

    def scan(
        self, tree: str, first: bytes, stop: bytes | None, *, reverse: bool, limit: int
    ) -> Sequence[tuple[bytes, bytes]]:
        found = super().scan(tree, first, stop, reverse=reverse, limit=limit)
        self.scanned.append(first)
        self.read += len(found)
        return found

    def put(self, tree: str, key: bytes, value: bytes) -> None:
        self.written += 1
        super().put(tree, key, value)

    def delete(self, tree: str, key: bytes) -> None:
        self.written += 1
        super().delete(tree, key)

    def delete_range(self, tree: str, first: bytes, stop: bytes | None) -> None:
        self.written += 1
        super().delete_range(tree, first, stop)


def keys(count: int) -> list[bytes]:
    return [number.to_bytes(8, "big") for number in range(count)]


Filled = Callable[[Transaction, Shape], object]
ENTRIES = [(it, it) for it in keys(MANY)]


def fill_dict(txn: Transaction, shape: Shape) -> None:
    dicts.put(txn, shape, ENTRIES)


def fill_set(txn: Transaction, shape: Shape) -> None:
    sets.add(txn, shape, keys(MANY))


def fill_list(txn: Transaction, shape: Shape) -> None:
    lists.insert(txn, shape, None, keys(MANY))


def fill_deque(txn: Transaction, shape: Shape) -> None:
    all_of(deques.extend(txn, shape, keys(MANY), False, None))


def fill_heap(txn: Transaction, shape: Shape) -> None:
    heaps.put(txn, shape, ENTRIES, 0)


def fill_register(txn: Transaction, shape: Shape) -> None:
    registers.put(txn, shape, b"0")


MIDDLE = MANY // 2
NEW = b"\xff" * 8
OLD = keys(2)[1]
# What is done, and how many rows it may read and write; a list of 20,000 has three levels.
COSTS: list[tuple[Filled, Callable[[Transaction, Shape], object], int, int]] = [
    (fill_dict, lambda txn, it: dicts.put(txn, it, [(OLD, b"")]), 2, 1),
    (fill_dict, lambda txn, it: dicts.put(txn, it, [(NEW, b"")]), 2, 3),
    (fill_dict, lambda txn, it: dicts.pop(txn, it, OLD), 2, 3),
    (fill_dict, dicts.pop_last, 3, 3),
    (fill_dict, dicts.clear, 1, 2),
    (fill_set, lambda txn, it: sets.add(txn, it, [NEW]), 2, 2),
    (fill_set, lambda txn, it: sets.add(txn, it, [OLD]), 2, 0),
    (fill_set, lambda txn, it: sets.discard(txn, it, [OLD]), 2, 2),
    (fill_set, sets.pop, 3, 2),
    (fill_set, lambda txn, it: sets.keep(txn, it, [OLD, NEW]), 4, 3),
    (fill_set, lambda txn, it: sets.find(txn, it, [OLD, NEW]), 3, 0),
    (fill_list, lambda txn, it: lists.get(txn, it, MIDDLE), 5, 0),
    (fill_list, lambda txn, it: lists.set_one(txn, it, MIDDLE, b""), 4, 2),
    (fill_list, lambda txn, it: lists.insert(txn, it, None, [b""]), 4, 5),
    # A full leaf is cut in two, and so may those above it be.
    (fill_list, lambda txn, it: lists.insert(txn, it, MIDDLE, [b""]), 4, 8),
    (fill_list, lambda txn, it: lists.pop(txn, it, MIDDLE), 5, 5),
    (fill_list, lambda txn, it: lists.pop(txn, it, -1), 5, 5),
    (fill_list, lists.clear, 1, 2),
    (fill_deque, lambda txn, it: deques.extend(txn, it, [b""], True, None), 1, 2),
    (fill_deque, lambda txn, it: deques.extend(txn, it, [b""], False, MANY), 1, 3),
    (fill_deque, lambda txn, it: deques.pop(txn, it, True), 2, 2),
    (fill_deque, lambda txn, it: deques.get(txn, it, MIDDLE), 2, 0),
    (fill_deque, lambda txn, it: deques.rotate(txn, it, MANY - 1), 2, 3),
    (fill_deque, lambda txn, it: deques.insert(txn, it, -2, b"", None), 3, 4),
    (fill_deque, lambda txn, it: deques.delete(txn, it, 1), 2, 3),
    (fill_heap, lambda txn, it: heaps.put(txn, it, [(NEW, b"")], 0), 1, 2),
    (fill_heap, heaps.take, 2, 2),
    (fill_register, lambda txn, it: registers.put(txn, it, b"1"), 1, 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fill", [fill_dict, fill_set, fill_list, fill_deque, fill_heap, fill_register]
)
def test_an_operation_reads_and_writes_a_few_rows_however_long_the_object_is(fill: Any) -> None:
    for filled, do, read, written in COSTS:
        if filled is fill:
            rows = CountedRows()
            txn, shape = Transaction(rows), Shape("objects/a", "kind", "", "")
            filled(txn, shape)
            rows.read = rows.written = 0
            done(do(txn, shape))
            assert rows.read <= read
            assert rows.written <= written


@pytest.mark.parametrize(
    ("fill", "take"), [(fill_set, sets.pop), (fill_heap, heaps.take), (fill_dict, dicts.pop_last)]
)
def test_what_was_taken_from_an_end_is_not_walked_over_again(fill: Any, take: Any) -> None:
    """Traces of what was removed lie in the newest layers: a look over them would be long."""
    rows = CountedRows()
    txn, shape = Transaction(rows), Shape("objects/a", "kind", "", "")
    if fill is fill_dict:
        dicts.put(txn, shape, [(it, b"") for it in keys(20)])
    elif fill is fill_set:
        sets.add(txn, shape, keys(20))
    else:
        heaps.put(txn, shape, [(it, b"") for it in keys(20)], 0)
    stops: list[bytes] = []
    scan = rows.scan

    def watched(tree: str, first: bytes, stop: bytes | None, **more: Any) -> Any:
        stops.append(stop or b"")
        return scan(tree, first, stop, **more)

    rows.scan = watched  # type: ignore[method-assign]  # it is looked at
    for _ in range(20):
        take(txn, shape)
    if fill is fill_dict:
        assert stops == sorted(stops, reverse=True), "it begins before what was removed"
        assert len(set(stops)) == 20
    else:
        assert rows.scanned == sorted(rows.scanned), "it begins behind what was removed"
        assert len(set(rows.scanned)) == 20
