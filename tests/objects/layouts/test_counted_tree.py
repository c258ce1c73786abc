"""A tree of counts is a list, whatever is done to it, and its rows are as few as they can be."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roost.objects.layouts import counted_tree
from roost.objects.layouts.counted_tree import CountedTree, decode_node
from tests.objects.layouts.steps import all_of
from tests.samples import SAMPLES

PLACES = st.integers(0, 60)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted_tree, "NODE_MAX", 4)
    monkeypatch.setattr(counted_tree, "NODE_SMALL", 2)


class Rows:
    """Where a tree keeps its nodes."""

    def __init__(self) -> None:
        self.rows: dict[int, bytes] = {}
        self.root = self.depth = 0
        self.next = 1
        self.reads = self.writes = 0

    def open(self) -> CountedTree:
        return CountedTree(self.root, self.depth, read=self.read, new=self.new)

    def read(self, number: int) -> bytes:
        self.reads += 1
        return self.rows[number]

    def new(self) -> int:
        self.next += 1
        return self.next - 1

    def write(self, number: int, row: bytes | None) -> None:
        self.writes += 1
        if row is None:
            self.rows.pop(number, None)
        else:
            self.rows[number] = row

    def save(self, tree: CountedTree) -> None:
        all_of(tree.flush(self.write))
        self.root, self.depth = tree.root, tree.depth

    def check(self) -> list[int]:
        """All numbers; nodes are neither lost nor too large, and count right."""
        seen: set[int] = set()

        def walk(number: int, depth: int) -> Iterator[int]:
            seen.add(number)
            node = decode_node(self.rows[number], depth)
            assert 0 < len(node.items) <= counted_tree.NODE_MAX
            if node.counts is None:
                yield from node.items
                return
            for child, count in zip(node.items, node.counts, strict=True):
                below = list(walk(child, depth - 1))
                assert len(below) == count
                yield from below

        found = list(walk(self.root, self.depth)) if self.root else []
        assert seen == set(self.rows), "no row is left that nobody leads to"
        return found


class Sequence(RuleBasedStateMachine):
    """One tree beside one list; each rule is an operation of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = Rows()
        self.model: list[int] = []

    @rule(place=PLACES, numbers=st.lists(st.integers(0, 99), max_size=9))
    def insert(self, place: int, numbers: list[int]) -> None:
        place = min(place, len(self.model))
        tree = self.rows.open()
        tree.insert(place, numbers)
        self.rows.save(tree)
        self.model[place:place] = numbers

    @rule(place=PLACES, count=st.integers(0, 20))
    def delete(self, place: int, count: int) -> None:
        place = min(place, len(self.model))
        stop = min(place + count, len(self.model))
        tree = self.rows.open()
        assert tree.delete(place, stop) == self.model[place:stop]
        self.rows.save(tree)
        del self.model[place:stop]

    @rule()
    def turn(self) -> None:
        tree = self.rows.open()
        all_of(tree.replace(all_of(tree.all())[::-1]))
        self.rows.save(tree)
        self.model.reverse()

    @rule(place=PLACES)
    def read(self, place: int) -> None:
        if place < len(self.model):
            assert self.rows.open().at(place) == self.model[place]

    @invariant()
    def same(self) -> None:
        assert self.rows.check() == self.model
        assert len(self.rows.open()) == len(self.model)


TestSequence = Sequence.TestCase
TestSequence.settings = settings(max_examples=60 * SAMPLES, stateful_step_count=30, deadline=None)


def filled(count: int) -> Rows:
    rows = Rows()
    tree = rows.open()
    tree.insert(0, range(count))
    rows.save(tree)
    return rows


def test_what_grows_at_its_end_fills_its_nodes() -> None:
    rows = Rows()
    for number in range(64):
        tree = rows.open()
        tree.insert(number, [number])
        rows.save(tree)
    leaves = 64 // 4
    assert len(rows.rows) <= leaves + leaves // 2 + 4


def test_a_change_reads_and_writes_a_row_for_each_level() -> None:
    rows = filled(256)
    assert rows.depth == 3
    for place in (0, 100, 255):
        rows.reads = rows.writes = 0
        assert rows.open().at(place) >= 0
        assert rows.reads == rows.depth + 1
        rows.reads, levels = 0, rows.depth + 1
        tree = rows.open()
        tree.insert(place, [0])
        rows.save(tree)
        assert rows.reads == levels
        assert rows.writes <= 2 * levels + 1, "each of them may be cut in two"


def test_what_shrinks_gives_its_rows_back() -> None:
    rows, numbers = filled(256), list(range(256))
    dice = random.Random(1)
    while len(numbers) > 8:
        place = dice.randrange(len(numbers))
        tree = rows.open()
        tree.delete(place, place + 1)
        rows.save(tree)
        del numbers[place]
    assert rows.check() == numbers
    assert len(rows.rows) <= 12
