"""Lists and deques of many values: whatever moves many goes on over turns, as CPython's does."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from roost.database import BadArgument, Transaction
from roost.database import parts as parts_module
from roost.objects.aio.objects import Objects
from roost.objects.layouts import deques, lists
from roost.objects.layouts.heads import Shape
from roost.objects.layouts.lists import Span
from tests.objects.layouts.steps import all_of, done
from tests.objects.layouts.test_rows import CountedRows
from tests.objects.test_many import kill_amidst, slices_of
from tests.objects.test_sequences import Deques, Lists

FEW, SLICE = 2, 6
MANY = 300
VALUES = [b"%d" % it for it in range(MANY)]
SHAPE = Shape("objects/a", "kind", "", "")
pytestmark = pytest.mark.usefixtures("db", "small_nodes", "few_a_part")


@pytest.fixture(scope="module")
def few_a_part() -> Iterator[None]:
    """So few a part, and a slice, that nearly every call has several."""
    with pytest.MonkeyPatch.context() as patch:
        for form in (lists.VALUES, lists.PLACES, deques.VALUES):
            patch.setattr(form, "count_max", FEW)
        patch.setattr(parts_module, "SLICE_ROWS", SLICE)
        patch.setattr(lists, "DELETED_MAX", FEW)
        yield


TestListsInParts = Lists.TestCase
TestDequesInParts = Deques.TestCase

Do = Callable[[Transaction], Any]


def parts_of(form: Any, values: list[Any]) -> list[memoryview]:
    return [form.encode(values[at : at + FEW]) for at in range(0, len(values), FEW)]


def held(txn: Transaction, kind: str) -> list[bytes]:
    if kind == "list":
        items = lists.Items(txn, SHAPE)
        return [items.value(it) for it in range(items.count)]
    ring = deques.Ring(txn, SHAPE, None)
    return [ring.value(it) for it in range(ring.count)]


def insert(place: int | None) -> Do:
    return lambda txn: lists.insert_parts(txn, SHAPE, place, parts_of(lists.VALUES, VALUES))


def assign(span: Span, values: list[bytes]) -> Do:
    return lambda txn: lists.assign_parts(txn, SHAPE, span, parts_of(lists.VALUES, values))


def delete(*span: int | None) -> Do:
    return lambda txn: lists.delete(txn, SHAPE, Span(*span))


def extend(*, left: bool, maxlen: int | None) -> Do:
    parts = parts_of(deques.VALUES, VALUES)
    return lambda txn: deques.extend_parts(txn, SHAPE, parts, left, maxlen)


ORDER = [*range(1, MANY), 0]
# What is done with a list or a deque of so many values, and what CPython's has then.
LONG: list[tuple[str, Do, list[bytes]]] = [
    ("list", insert(None), VALUES + VALUES),
    ("list", insert(7), [*VALUES[:7], *VALUES, *VALUES[7:]]),
    ("list", insert(-7), [*VALUES[:-7], *VALUES, *VALUES[-7:]]),
    ("list", assign(Span(1, -1, None), VALUES), [VALUES[0], *VALUES, VALUES[-1]]),
    ("list", assign(Span(None, None, -1), VALUES), VALUES[::-1]),
    ("list", assign(Span(None, None, 2), VALUES), VALUES),
    ("list", delete(1, None, None), VALUES[:1]),
    ("list", delete(-2, 1, -1), [*VALUES[:2], VALUES[-1]]),
    ("list", delete(None, None, 2), VALUES[1::2]),
    ("list", delete(0, None, 100), [it for at, it in enumerate(VALUES) if at % 100]),
    ("list", lambda txn: lists.reverse(txn, SHAPE), VALUES[::-1]),
    (
        "list",
        lambda txn: lists.rearrange_parts(txn, SHAPE, parts_of(lists.PLACES, ORDER), 1),
        [VALUES[it] for it in ORDER],
    ),
    ("deque", extend(left=False, maxlen=None), VALUES + VALUES),
    ("deque", extend(left=True, maxlen=None), VALUES[::-1] + VALUES),
    ("deque", extend(left=False, maxlen=MANY), VALUES),
    ("deque", extend(left=True, maxlen=2), VALUES[:-3:-1]),
    ("deque", lambda txn: deques.extend(txn, SHAPE, [b"x"], False, 2), [VALUES[-1], b"x"]),
    ("deque", lambda txn: deques.insert(txn, SHAPE, 150, b"x", None),
     [*VALUES[:150], b"x", *VALUES[150:]]),
    ("deque", lambda txn: deques.insert(txn, SHAPE, 149, b"x", None),
     [*VALUES[:149], b"x", *VALUES[149:]]),
    ("deque", lambda txn: deques.delete(txn, SHAPE, 149), [*VALUES[:149], *VALUES[150:]]),
    ("deque", lambda txn: deques.remove(txn, SHAPE, 151, 1), [*VALUES[:151], *VALUES[152:]]),
    ("deque", lambda txn: deques.rotate(txn, SHAPE, 150), VALUES[150:] + VALUES[:150]),
    ("deque", lambda txn: deques.rotate(txn, SHAPE, -140), VALUES[140:] + VALUES[:140]),
    ("deque", lambda txn: deques.reverse(txn, SHAPE), VALUES[::-1]),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(LONG)))
def test_what_moves_many_has_few_rows_a_slice_and_comes_to_the_same(number: int) -> None:
    """Issue 14: of a hundred thousand values each of these was one step of 20 ms to 2.5 s."""
    kind, do, wanted = LONG[number]
    rows = CountedRows()
    txn = Transaction(rows)
    if kind == "list":
        lists.insert(txn, SHAPE, None, VALUES)
    else:
        all_of(deques.extend(txn, SHAPE, VALUES, False, None))
    found = slices_of(do(txn), rows)
    assert len(found) > 3
    # Beside its rows a slice ends with a step, and looks for the way to it: five levels.
    assert max(found) <= 2 * SLICE + 12
    assert held(txn, kind) == wanted


def test_an_order_in_parts_names_each_place_once() -> None:
    txn = Transaction(CountedRows())
    lists.insert(txn, SHAPE, None, VALUES[:4])
    for order in ([0, 1, 2, 2], [0, 1, 2], [0, 1, 2, 3, 3], [0, 1, 2, 4], [0, 1, 2, -1]):
        parts = parts_of(lists.PLACES, order)
        with pytest.raises(BadArgument, match="names each position once"):
            all_of(lists.rearrange_parts(txn, SHAPE, parts, 1))
    assert all_of(lists.rearrange_parts(txn, SHAPE, [], 0)) is False
    assert done(lists.remove(txn, SHAPE, 0, 0)) is False
    assert done(deques.remove(Transaction(CountedRows()), SHAPE, 0, 1)) is False


Change = Callable[[Objects], Awaitable[object]]
NUMBERS = list(range(200))


async def extend_list(objects: Objects) -> None:
    await objects.list("a", value=int).extend(NUMBERS)


async def reverse_list(objects: Objects) -> None:
    await objects.list("a", value=int).reverse()


async def extend_deque(objects: Objects) -> None:
    await objects.deque("b", value=int).extendleft(NUMBERS)


async def rotate_deque(objects: Objects) -> None:
    await objects.deque("b", value=int).rotate(100)


CHANGES: list[tuple[Change, list[int], list[int]]] = [
    (extend_list, NUMBERS + NUMBERS, NUMBERS),
    (reverse_list, NUMBERS[::-1], NUMBERS),
    (extend_deque, NUMBERS, NUMBERS[::-1] + NUMBERS),
    (rotate_deque, NUMBERS, NUMBERS[100:] + NUMBERS[:100]),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_a_leader_that_is_killed_leaves_all_of_it_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("roost.store.long_write.ENTRY_BYTES", 1)  # time passes between slices
    change, list_after, deque_after = CHANGES[number]
    before, after = (NUMBERS, NUMBERS), (list_after, deque_after)

    async def content(objects: Objects) -> tuple[list[int], list[int]]:
        of_list = await objects.list("a", value=int).copy()
        return of_list, await objects.deque("b", value=int).copy()

    async def begin(objects: Objects) -> None:
        if await content(objects) != before:
            await objects.drop("a")
            await objects.drop("b")
            await objects.list("a", value=int).extend(NUMBERS)
            await objects.deque("b", value=int).extend(NUMBERS)

    kill_amidst(tmp_path, begin, change, content, before, after)
