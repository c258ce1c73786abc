"""A transaction's trees are dictionaries in order, whatever is done to them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roost.database import (
    BadKey,
    BadOpening,
    BadValue,
    KeyTooLarge,
    Limits,
    NotYourTree,
    OtherCodec,
    Transaction,
    TransactionOver,
    ValueTooLarge,
    WriteSetTooLarge,
    once,
)
from roost.database.answers import Asked
from roost.database.bounds import PAGE_ROWS
from roost.database.rows import TxnRows
from roost.store import CATALOG_ID, METADATA_ID, BadTreeName, Txn
from tests.store.stacks import DictBase

KEYS = st.tuples(st.sampled_from(["a", "a\0", "b", ""]), st.integers(-2, 2))
BOUNDS = st.one_of(st.none(), KEYS)
Rows = dict[tuple[str, int], int]


def empty_txn() -> Txn:
    txn = Txn([], DictBase({}))
    txn.put(CATALOG_ID, b"$metadata", METADATA_ID.to_bytes(2, "big"))
    return txn


def begin(limits: Limits | None = None, txn: Txn | None = None) -> Transaction:
    return Transaction(TxnRows(txn or empty_txn(), limits or Limits()))


class Dictionary(RuleBasedStateMachine):
    """One tree beside one dict, with savepoints."""

    def __init__(self) -> None:
        super().__init__()
        self.txn = begin()
        self.tree = self.txn.tree("rows", key=tuple[str, int], value=int)
        self.model: Rows = {}
        self.saved: list[tuple[Any, Rows]] = []

    def in_range(
        self, first: tuple[str, int] | None, stop: tuple[str, int] | None
    ) -> list[tuple[str, int]]:
        return [
            key
            for key in sorted(self.model)
            if (first is None or key >= first) and (stop is None or key < stop)
        ]

    @rule(key=KEYS, value=st.integers(0, 9))
    def put(self, key: tuple[str, int], value: int) -> None:
        self.tree[key] = value
        self.model[key] = value

    @rule(key=KEYS)
    def discard(self, key: tuple[str, int]) -> None:
        self.tree.discard(key)
        self.model.pop(key, None)

    @rule(key=KEYS)
    def pop(self, key: tuple[str, int]) -> None:
        assert self.tree.pop(key, None) == self.model.pop(key, None)

    @rule(first=BOUNDS, stop=BOUNDS)
    def delete_range(self, first: tuple[str, int] | None, stop: tuple[str, int] | None) -> None:
        self.tree.delete_range(first=first, stop=stop)
        for key in self.in_range(first, stop):
            del self.model[key]

    @rule(text=st.sampled_from(["a", "a\0", ""]))
    def delete_prefix(self, text: str) -> None:
        self.tree.delete_range(prefix=(text,))
        self.model = {key: it for key, it in self.model.items() if key[0] != text}

    @rule()
    def save(self) -> None:
        self.saved.append((self.txn.savepoint(), dict(self.model)))

    @rule()
    def undo(self) -> None:
        if self.saved:
            mark, self.model = self.saved.pop()
            mark.rollback()

    @rule(key=KEYS, first=BOUNDS, stop=BOUNDS, reverse=st.booleans(), limit=st.integers(0, 3))
    def read(
        self,
        key: tuple[str, int],
        first: tuple[str, int] | None,
        stop: tuple[str, int] | None,
        *,
        reverse: bool,
        limit: int,
    ) -> None:
        assert self.tree.get(key) == self.model.get(key)
        assert (key in self.tree) == (key in self.model)
        wanted = self.in_range(first, stop)
        assert self.tree.count(first=first, stop=stop) == len(wanted)
        wanted = wanted[::-1] if reverse else wanted
        found = self.tree.items(first=first, stop=stop, reverse=reverse, limit=limit)
        assert list(found) == [(it, self.model[it]) for it in wanted[:limit]]

    @rule(text=st.sampled_from(["a", "a\0", "b", ""]))
    def read_prefix(self, text: str) -> None:
        wanted = [key for key in sorted(self.model) if key[0] == text]
        assert list(self.tree.keys(prefix=(text,))) == wanted

    @invariant()
    def same(self) -> None:
        assert list(self.tree.items()) == sorted(self.model.items())
        assert self.tree.first() == (min(self.model.items()) if self.model else None)
        assert self.tree.last() == (max(self.model.items()) if self.model else None)


TestDictionary = Dictionary.TestCase
TestDictionary.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_an_iteration_goes_on_over_pages_while_its_tree_is_written() -> None:
    tree = begin().tree("numbers", key=int, value=int)
    for number in range(PAGE_ROWS * 2 + 7):
        tree[number] = number
    seen = []
    for key in tree:
        seen.append(key)
        tree.discard(key)
    assert seen == list(range(PAGE_ROWS * 2 + 7))
    assert not list(tree)


class Person(msgspec.Struct, frozen=True):
    """A value."""

    name: str
    born: datetime


def test_values_come_back_as_what_they_were() -> None:
    tree = begin().tree("people", key=str, value=Person)
    tree["ada"] = Person("Ada", datetime(1815, 12, 10, tzinfo=UTC))
    assert tree["ada"] == Person("Ada", datetime(1815, 12, 10, tzinfo=UTC))


WRONG: Any = Person(1, 2)  # type: ignore[arg-type]  # nothing checks it when it is made


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (lambda txn: txn.tree("a").__setitem__("text", b""), BadKey),
        (lambda txn: txn.tree("a").__setitem__(b"key", "text"), BadValue),
        (lambda txn: txn.tree("a").get("text"), BadKey),
        (lambda txn: txn.tree("a", key=str, value=int).__setitem__("k", "text"), BadValue),
        (lambda txn: txn.tree("a", key=str, value=Person).__setitem__("k", WRONG), BadValue),
        (lambda txn: txn.tree("a", key=int, value=int).__setitem__(True, 1), BadKey),
        (lambda txn: txn.tree("a", key=tuple[str, int]).__setitem__(("a",), b""), BadKey),
        (lambda txn: txn.tree("a", key=int).delete_range(prefix=1), BadKey),
        (lambda txn: list(txn.tree("a").items(prefix=b"a", first=b"a")), BadKey),
        (lambda txn: list(txn.tree("a").items(limit=-1)), BadKey),
        (lambda txn: txn.tree("a", key=float), BadKey),
        (lambda txn: txn.tree("a", value=object()), BadValue),
        (lambda txn: txn.tree("a b"), BadTreeName),
        (lambda txn: txn.tree("$mine"), BadTreeName),
        (lambda txn: txn.tree("ix_mine"), BadTreeName),
        (lambda txn: txn.queue("ix_mine"), BadTreeName),
        (lambda txn: txn.tree(7), BadTreeName),
        (lambda txn: txn.multi_tree("plain", key=str, value=str), BadTreeName),
        (lambda txn: txn.annotate(7, b""), BadKey),
        (lambda txn: txn.annotate(300, "text"), BadValue),
        (lambda txn: txn.describe("a", "x" * 1001), BadValue),
        (lambda txn: txn.describe("a", "", key_bytes_max=-1), BadValue),
        (lambda txn: txn.describe("a", "", key_bytes_max=(1 << 20) + 1), BadValue),
        (lambda txn: txn.describe("a", "", value_bytes_max="8 MiB"), BadValue),
        (lambda txn: txn.describe("$once", ""), BadTreeName),
        (lambda txn: txn.describe("ix_a", ""), BadTreeName),
        (lambda txn: txn.delete_range("$once"), BadTreeName),
        (lambda txn: txn.delete_range("a", "text"), BadKey),
        (lambda txn: txn.delete_range("a", b"", "text"), BadKey),
        (lambda txn: txn.tree("a", key=str, value=str).__setitem__("k", "\ud800"), BadValue),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    write: Callable[[Any], object], error: type[Exception]
) -> None:
    store = empty_txn()
    before = store.encode()
    with pytest.raises(error):
        write(begin(txn=store))
    assert store.encode() == before


def test_a_tree_is_opened_as_what_it_is() -> None:
    store = empty_txn()
    begin(txn=store).tree("people", key=str, value=int)["ada"] = 1
    other = begin(txn=store)
    with pytest.raises(OtherCodec, match="keys of type 'str', and was opened with 'bytes'"):
        other.tree("people")
    with pytest.raises(OtherCodec, match="msgpack int"):
        other.tree("people", key=str, value=float)
    with pytest.raises(OtherCodec):
        other.queue("people")
    assert other.tree("people", key=str, value=int)["ada"] == 1


def test_a_tree_that_was_only_opened_is_nothing_yet() -> None:
    store = empty_txn()
    before = store.encode()
    tree = begin(txn=store).tree("people", key=str, value=int)
    assert list(tree.items()) == []
    tree.discard("ada")
    assert store.encode() == before
    begin(txn=store).tree("people", key=int, value=str)[1] = "it may be something else"


def test_a_tree_of_somebody_elses_is_not_touched() -> None:
    store = empty_txn()
    store.tree("theirs")
    for name in ("theirs",):
        with pytest.raises(NotYourTree):
            begin(txn=store).tree(name)


def test_a_tree_that_is_undone_is_made_again_when_it_is_written_again() -> None:
    store = empty_txn()
    txn = begin(txn=store)
    tree = txn.tree("late", key=str, value=int)
    with pytest.raises(ZeroDivisionError), txn.savepoint():  # noqa: PT012 - the block's own
        tree["a"] = 1
        raise ZeroDivisionError
    assert "a" not in tree
    tree["b"] = 2
    assert list(begin(txn=store).tree("late", key=str, value=int).items()) == [("b", 2)]


def test_a_savepoint_that_was_undone_with_one_before_it_is_gone() -> None:
    txn = begin()
    tree = txn.tree("a", key=str, value=int)
    first = txn.savepoint()
    tree["undone"] = 1
    second = txn.savepoint()
    first.rollback()
    tree["kept"] = 2
    tree["kept too"] = 3
    with pytest.raises(TransactionOver, match="undone with one before it"):
        second.rollback()
    assert list(tree) == ["kept", "kept too"]
    third = txn.savepoint()
    tree["more"] = 4
    with pytest.raises(TransactionOver):
        second.rollback()  # a later one has its place, and is another
    for _ in range(2):
        third.rollback()
        assert list(tree) == ["kept", "kept too"]
    first.rollback()
    assert not list(tree)


class Unshowable:
    """Something of a program's."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


def test_what_is_said_of_a_wrong_value_has_a_bound() -> None:
    txn = begin()
    for wrong in ("x" * 100_000, ["x"] * 100_000, Unshowable()):
        for key, value in ((b"k", wrong), (wrong, b"v")):
            with pytest.raises((BadKey, BadValue)) as raised:
                txn.tree("a")[key] = value  # type: ignore[index,assignment]  # that is the point
            assert len(str(raised.value)) < 500
        with pytest.raises(BadValue) as raised:
            txn.tree("numbers", value=int)[b"k"] = wrong  # type: ignore[assignment]  # as above
        assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    "wrong", [{"key_bytes_max": "4"}, {"write_set_rows_max": 1.5}, {"hold_s": float("nan")}]
)
def test_a_limit_is_a_number(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadOpening, match=next(iter(wrong))):
        Limits(**wrong)


LIMITS = Limits(key_bytes_max=4, value_bytes_max=8, write_set_rows_max=3, write_set_bytes_max=500)


def test_limits_are_refused_by_their_names() -> None:
    with pytest.raises(KeyTooLarge, match="the database has key_bytes_max=4"):
        begin(LIMITS).tree("a")[b"12345"] = b""
    with pytest.raises(ValueTooLarge, match="the database has value_bytes_max=8"):
        begin(LIMITS).tree("a")[b"1"] = bytes(9)
    with pytest.raises(WriteSetTooLarge, match="write_set_rows_max=3"):
        begin(LIMITS).tree("a").update({bytes([it]): b"" for it in range(4)})
    with pytest.raises(WriteSetTooLarge, match="write_set_bytes_max=90"):
        begin(Limits(write_set_bytes_max=90)).tree("a")[b"key"] = bytes(90)


def test_a_tree_may_have_limits_of_its_own() -> None:
    txn = begin(LIMITS)
    txn.describe("a", "what it is for", value_bytes_max=20)
    txn.tree("a")[b"1"] = bytes(20)
    with pytest.raises(ValueTooLarge, match="the tree 'a' has value_bytes_max=20"):
        txn.tree("a")[b"1"] = bytes(21)
    with pytest.raises(KeyTooLarge, match="the database"):
        txn.tree("a")[b"12345"] = b""


class Watched(TxnRows):
    """Rows that say where they were scanned from the beginning of a range on."""

    firsts: tuple[bytes, ...] = ()

    def scan(
        self, tree: str, first: bytes, stop: bytes | None, *, reverse: bool, limit: int
    ) -> Sequence[tuple[bytes, bytes]]:
        if not reverse:
            self.firsts += (first,)
        return super().scan(tree, first, stop, reverse=reverse, limit=limit)


def test_results_that_were_forgotten_are_not_walked_over_again() -> None:
    store, limits = empty_txn(), Limits(once_count_max=3)
    for number in range(20):
        rows = Watched(store, limits)
        asked = Asked(name="shop.order", arguments=memoryview(b""), once=b"order %d" % number)
        assert once.run_once(rows, asked, lambda: b"done", limits, 0.0) == b"done"
        lowest = max(0, number - 3)
        assert rows.firsts == (b"s" + lowest.to_bytes(8, "big"),)
    held = TxnRows(store, limits).scan("$once", b"k", b"l", reverse=False, limit=100)
    assert [key for key, _ in held] == [b"korder 17", b"korder 18", b"korder 19"]


def test_a_transaction_is_over_when_it_is() -> None:
    txn = begin()
    tree, queue = txn.tree("a"), txn.queue("q")
    tree[b"1"] = b"1"
    rows = tree.items()
    txn.end()
    for use in (
        lambda: tree[b"1"],
        lambda: tree.update({b"2": b""}),
        lambda: next(rows),
        lambda: txn.tree("b"),
        queue.take,
        txn.savepoint,
    ):
        with pytest.raises(TransactionOver):
            use()


def test_many_values_stand_under_a_key_in_order() -> None:
    tree = begin().multi_tree("@followers", key=str, value=int)
    for key, value in (("ada", 3), ("ada", 1), ("ada", 3), ("ada\0", 7), ("", 5)):
        tree.add(key, value)
    assert list(tree.values("ada")) == [1, 3]
    assert list(tree.values("")) == [5]
    assert (tree.count("ada"), tree.count("bob")) == (2, 0)
    tree.discard("ada", 1)
    assert not tree.has("ada", 1)
    tree.discard_all("ada")
    assert list(tree.values("ada")) == []
    assert list(tree.values("ada\0")) == [7], "a key is no prefix of another one"


class QueueAndList(RuleBasedStateMachine):
    """A queue beside a list."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = begin().queue("jobs", value=int)
        self.model: list[int] = []
        self.appended = 0

    @rule(value=st.integers())
    def append(self, value: int) -> None:
        value %= 1 << 60
        assert self.queue.append(value) == self.appended
        self.appended += 1
        self.model.append(value)

    @rule()
    def take(self) -> None:
        assert self.queue.take() == (self.model.pop(0) if self.model else None)

    @invariant()
    def same(self) -> None:
        assert len(self.queue) == len(self.model)
        assert self.queue.peek() == (self.model[0] if self.model else None)


TestQueueAndList = QueueAndList.TestCase
TestQueueAndList.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


def test_keys_are_in_order_whatever_order_they_came_in() -> None:
    tree = begin().tree("moments", key=datetime)
    for day in (3, 1, 2):
        tree[datetime(2026, 1, day, tzinfo=UTC)] = b""
    assert all(one < two for one, two in pairwise(tree.keys()))
