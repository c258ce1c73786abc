"""Transactions: what operations write becomes one write set, which says the same everywhere."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.store import WRITE_BYTES_MAX, BadTreeName, TooManyTrees, Txn
from roost.store.catalog import CATALOG_ID, FIRST_TREE_ID, LAST_TREE_ID
from roost.store.layer import Layer
from roost.store.puts import decode_puts
from roost.store.view import View
from roost.store.write_set import (
    ANNOTATION,
    DELETE,
    DELETE_FROM,
    END_OF_ANNOTATED,
    HEAD_BYTES,
    PUT,
    decode,
)
from tests.store.stacks import KEYS, OTHER, STOPS, TREE, DictBase, Rows, in_range

LATEST = OTHER
BASE: Rows = {b"a": b"base", b"c": b"base"}
VALUES = st.binary(max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, VALUES),
        st.tuples(st.just("same"), KEYS, st.none()),
        st.tuples(st.just("latest"), KEYS, VALUES),
        st.tuples(st.just("delete"), KEYS, st.none()),
        st.tuples(st.just("range"), KEYS, STOPS),
        st.tuples(st.just("annotate"), KEYS, st.none()),
        st.tuples(st.just("gather"), KEYS, st.none()),
        st.tuples(st.just("order"), KEYS, st.none()),
        st.tuples(st.just("mark"), KEYS, st.none()),
        st.tuples(st.just("undo"), KEYS, st.none()),
    ),
    max_size=12,
)


def begin(base: Rows = BASE) -> Txn:
    return Txn([], DictBase(base))


class Story:
    """A transaction, and beside it two dictionaries."""

    def __init__(self) -> None:
        self.txn = begin()
        self.rows, self.latest = dict(BASE), Rows()
        self._value: bytes | None = None
        self._marks: list[Any] = []  # a mark is the transaction's own

    def step(self, what: str, key: bytes, value: bytes | None) -> None:
        txn = self.txn
        match what:
            case "put":
                assert value is not None
                txn.put(TREE, key, value)
                self.rows[key] = self._value = value
            case "same" if self._value is not None:
                txn.put_same(TREE, key, self._value)
                self.rows[key] = self._value
            case "latest":
                assert value is not None
                txn.put_latest(LATEST, key, value)
                self.latest[key] = value
            case "delete":
                txn.delete(TREE, key)
                self.rows.pop(key, None)
            case "range":
                txn.delete_range(TREE, key, value)
                for doomed, _ in in_range(self.rows, key, value):
                    del self.rows[doomed]
            case "annotate":
                txn.annotate(3, key)
            case "gather":
                txn.gather()
            case "order":
                txn.keep_order()
            case "mark":
                held = dict(self.rows), dict(self.latest), self._value
                self._marks.append((txn.savepoint(), held))
            case "undo" if self._marks:
                mark, (rows, latest, self._value) = self._marks.pop()
                txn.rollback(mark)
                self.rows, self.latest = rows, latest


@pytest.mark.slow
@settings(max_examples=120)
@given(STEPS)
def test_a_write_set_makes_of_the_state_below_what_the_transaction_saw(
    steps: list[tuple[str, bytes, bytes | None]],
) -> None:
    story = Story()
    txn = story.txn
    for step in steps:
        story.step(*step)
        assert txn.scan(TREE) == in_range(story.rows, b"", None)
        assert txn.scan(LATEST) == in_range(story.latest, b"", None)
        assert txn.encoded_bytes >= len(txn.encode())
        assert txn.is_empty is (txn.encode() == b"")
    elsewhere = Layer()
    elsewhere.apply(decode(txn.encode()))
    view = View([elsewhere], DictBase(BASE))
    assert view.scan(TREE) == txn.scan(TREE)
    assert view.scan(LATEST) == txn.scan(LATEST)


def test_what_every_operation_rewrites_counts_as_much_as_is_carried_of_it() -> None:
    """An operation that writes more than an entry holds is refused by this count alone."""
    txn = begin()
    for value in (b"x" * 1000, b"x" * 10, b"x" * 100):
        txn.put_latest(LATEST, b"now", value)
        assert txn.size_bytes == len(b"now") + len(value)
    mark = txn.savepoint()
    txn.put_latest(LATEST, b"other", b"x" * 50)
    txn.put_latest(LATEST, b"now", b"")
    assert txn.size_bytes == len(b"other") + 50 + len(b"now")
    txn.rollback(mark)
    assert txn.size_bytes == len(b"now") + 100
    assert decode(txn.encode()) == [(PUT, LATEST, b"now", b"x" * 100)]


def test_what_is_rewritten_by_every_operation_is_carried_once_behind_all_else() -> None:
    txn = begin()
    for number in range(3):
        txn.put_latest(LATEST, b"now", b"%d" % number)
        txn.put(TREE, b"k%d" % number, b"")
    records = decode(txn.encode())
    assert [key for _, _, key, _ in records] == [b"k0", b"k1", b"k2", b"now"]
    assert records[-1] == (PUT, LATEST, b"now", b"2")


def write_versions(txn: Txn, *, is_shared: bool, has_other: bool) -> None:
    """Three values, each under two keys; one of the six may be another."""
    txn.gather()
    for number in range(3):
        value, is_other = b"%d" % number * 1000, has_other and number == 1
        if is_other:
            txn.delete(TREE, b"a%d" % number)
            txn.put(LATEST, b"b%d" % number, b"gone")
        else:
            txn.put(TREE, b"a%d" % number, value)
            (txn.put_same if is_shared else txn.put)(LATEST, b"b%d" % number, value)


@pytest.mark.parametrize("has_other", [False, True])
def test_values_under_two_keys_are_carried_once(*, has_other: bool) -> None:
    once, twice = begin(), begin()
    write_versions(once, is_shared=True, has_other=has_other)
    write_versions(twice, is_shared=False, has_other=has_other)
    assert decode(once.encode()) == decode(twice.encode())
    carried = (2 if has_other else 3) * 1000
    assert carried < len(once.encode()) < carried + 150
    assert 2 * carried < len(twice.encode())


def test_a_layer_counts_what_will_stand_in_the_file_on_every_member_alike() -> None:
    """Quotas and alarms go by it: a value that was carried once stands under two keys."""
    txn, records, lists = begin(), Layer(), Layer()
    write_versions(txn, is_shared=True, has_other=True)
    records.apply(decode(txn.encode()))
    lists.carry_out(txn.encode())
    assert txn.layer.size_bytes == records.size_bytes == lists.size_bytes > 4 * 1000


def test_values_that_are_not_written_row_by_row_are_carried_again_and_counted() -> None:
    """Or an operation could write more than an entry holds, and a journal that refuses ends."""
    txn = begin()
    txn.put(TREE, b"alone", b"")
    write_versions(txn, is_shared=True, has_other=False)
    assert txn.encoded_bytes >= len(txn.encode()) > 6000
    mark = txn.savepoint()
    txn.put(TREE, b"more", b"")
    txn.rollback(mark)
    assert txn.encoded_bytes >= len(txn.encode()) > 6000


def test_an_annotation_is_no_change_of_a_tree_and_yet_something_to_tell() -> None:
    txn = begin()
    assert (txn.is_empty, txn.encode()) == (True, b"")
    txn.annotate(3, b"said")
    assert not txn.is_empty
    assert decode(txn.encode()) == [(ANNOTATION, 3, b"", b"said")]
    assert txn.scan(TREE) == in_range(BASE, b"", None)


def test_nothing_is_left_of_what_was_undone() -> None:
    txn = begin()
    mark = txn.savepoint()
    txn.put(TREE, b"a", b"never")
    txn.put_latest(LATEST, b"now", b"never")
    txn.annotate(3, b"never")
    txn.delete_range(TREE, b"")
    txn.rollback(mark)
    assert (txn.is_empty, txn.encode(), txn.size_bytes, txn.layer.size_bytes) == (True, b"", 0, 0)
    assert txn.scan(TREE) == in_range(BASE, b"", None)


def test_a_tree_is_made_once_and_its_id_is_never_anothers() -> None:
    txn = begin({})
    first, second = txn.tree("first"), txn.tree("second")
    assert (first.id, second.id) == (FIRST_TREE_ID, FIRST_TREE_ID + 1)
    written = txn.encode()
    assert txn.tree("first") == first
    assert txn.encode() == written, "a tree that is there is only looked up"
    assert [name for name, _ in txn.scan(CATALOG_ID)] == [b"first", b"second"]


def test_the_last_tree_that_can_be_made_is_made_and_one_more_is_refused() -> None:
    txn = begin({})
    txn.put(CATALOG_ID, b"before", (LAST_TREE_ID - 1).to_bytes(2, "big"))
    assert txn.tree("last").id == LAST_TREE_ID
    written = txn.encode()
    with pytest.raises(TooManyTrees, match="65534"):
        txn.tree("more")
    assert (txn.tree("last").id, txn.encode()) == (LAST_TREE_ID, written)


@pytest.mark.parametrize("name", ["", "a b", "\x7f", "ä", "x" * 129])
def test_a_tree_whose_name_breaks_the_rules_is_not_made(name: str) -> None:
    txn = begin({})
    with pytest.raises(BadTreeName):
        txn.tree(name)
    assert txn.is_empty


ORDERED = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(3, 5), st.binary(max_size=1)),
        st.tuples(st.just("delete"), st.integers(3, 5), st.binary(max_size=1)),
        st.tuples(st.just("range"), st.integers(3, 5), st.binary(max_size=1)),
        st.tuples(st.just("mark"), st.just(0), st.just(b"")),
        st.tuples(st.just("back"), st.just(0), st.just(b"")),
    ),
    max_size=8,
)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), ORDERED), max_size=5))
def test_operations_that_keep_order_are_told_in_it_and_each_has_what_it_said(
    operations: list[tuple[bool, bool, list[tuple[str, int, bytes]]]],
) -> None:
    """Whoever observes several trees hears of them as they were written, whatever is gathered."""
    txn = begin()
    expected: list[Any] = []
    for number, (says, gathers, steps) in enumerate(operations):
        if gathers:
            txn.gather()
            txn.put(9, b"etcd's", b"")
            expected.append((PUT, 9, b"etcd's", b""))
        begun_at = len(expected)
        txn.keep_order()
        begun = mark = txn.savepoint()
        marked_at = begun_at
        for what, tree, key in steps:
            match what:
                case "put":
                    txn.put(tree, key, b"v")
                    expected.append((PUT, tree, key, b"v"))
                case "delete":
                    txn.delete(tree, key)
                    expected.append((DELETE, tree, key, None))
                case "range":
                    txn.delete_range(tree, key)
                    expected.append((DELETE_FROM, tree, key, None))
                case "mark":
                    mark, marked_at = txn.savepoint(), len(expected)
                case _:
                    txn.rollback(mark)
                    del expected[marked_at:]
        if says:
            said = [(1, b"%d" % number), (2, b"more")]
            txn.tell(begun, said)
            expected[begun_at:begun_at] = [(ANNOTATION, kind, b"", data) for kind, data in said]
            expected.append((ANNOTATION, END_OF_ANNOTATED, b"", b""))
        assert txn.encoded_bytes >= len(txn.encode())
    assert decode(txn.encode()) == expected


def test_operations_that_write_the_same_tree_travel_as_one_run_and_can_be_parted() -> None:
    """A batch of small operations is as small as one of plain puts."""
    txn = begin()
    for number in range(4):
        txn.keep_order()
        begun = txn.savepoint()
        txn.put(3, b"%d" % number, b"v")
    assert [it.keys for it in decode_puts(txn.encode()[HEAD_BYTES:])] == [[b"0", b"1", b"2", b"3"]]
    txn.tell(begun, [(300, b"of the last")])
    assert decode(txn.encode())[2:] == [
        (PUT, 3, b"2", b"v"),
        (ANNOTATION, 300, b"", b"of the last"),
        (PUT, 3, b"3", b"v"),
        (ANNOTATION, END_OF_ANNOTATED, b"", b""),
    ]


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=9), st.binary(max_size=9))))
def test_a_write_adds_no_more_than_is_said(writes: list[tuple[int, bytes, bytes]]) -> None:
    """Whoever adds up what he wrote never believes it to be less than it is."""
    txn = begin()
    most = txn.encoded_bytes
    for tree, key, value in writes:
        if tree == 0:
            txn.delete_range(3, key, key + value)
        elif tree == 1:
            txn.delete(4, key)
        else:
            txn.put(tree, key, value)
        most += 2 * len(key) + len(value) + WRITE_BYTES_MAX
        assert txn.encoded_bytes <= most


@given(
    written=st.lists(
        st.tuples(
            st.sampled_from([TREE, OTHER]),
            st.dictionaries(st.binary(max_size=3), st.binary(max_size=9)),
        )
    ),
    is_gathered=st.booleans(),
)
def test_many_rows_at_once_are_what_they_are_one_by_one(
    written: list[tuple[int, dict[bytes, bytes]]], *, is_gathered: bool
) -> None:
    at_once, one_by_one = begin(), begin()
    for txn in (at_once, one_by_one):
        if is_gathered:
            txn.gather()
    marks = []
    for tree_id, rows in written:
        marks.append((at_once.savepoint(), one_by_one.savepoint()))
        at_once.put_all(tree_id, list(rows), list(rows.values()))
        for key, value in rows.items():
            one_by_one.put(tree_id, key, value)
    for undone in [None, *reversed(marks)]:
        if undone is not None:
            at_once.rollback(undone[0])
            one_by_one.rollback(undone[1])
        assert at_once.encode() == one_by_one.encode()
        assert at_once.encoded_bytes == one_by_one.encoded_bytes
        assert at_once.layer.size_bytes == one_by_one.layer.size_bytes
        for tree_id in (TREE, OTHER):
            assert at_once.scan(tree_id, b"", None) == one_by_one.scan(tree_id, b"", None)
