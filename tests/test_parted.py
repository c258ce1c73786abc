"""Maps in parts: dictionaries; that they are in parts shows in nothing but how long a step is."""

import random
import sys
from itertools import islice
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from roost.parted import HASHED_COUNT, PART_COUNT_MAX, SPLIT_COUNT, HashedMap, PartedMap

KEYS = st.integers(0, 60).map(b"%d".__mod__)
VALUES = st.one_of(st.none(), st.binary(max_size=2))
ROWS = st.lists(st.tuples(KEYS, VALUES), max_size=12)
PART_COUNT: Final = 5
Map = PartedMap[bytes, bytes | None]


class Mapped(RuleBasedStateMachine):
    """A map of parts that are so small that there are many."""

    def __init__(self) -> None:
        super().__init__()
        self.map: Map = PartedMap(PART_COUNT)
        self.model: dict[bytes, bytes | None] = {}

    @rule(key=KEYS, value=VALUES)
    def put(self, key: bytes, value: bytes | None) -> None:
        self.map[key] = self.model[key] = value

    @rule(rows=ROWS)
    def put_all(self, rows: list[tuple[bytes, bytes | None]]) -> None:
        self.map.update(rows)
        self.model.update(rows)

    @rule(rows=ROWS, count_max=st.sampled_from([2, 100]))
    def cover(self, rows: list[tuple[bytes, bytes | None]], count_max: int) -> None:
        above: Map = PartedMap(count_max)
        above.update(rows)
        self.map.cover(above)
        self.model.update(above.items())

    @rule(key=KEYS)
    def remove(self, key: bytes) -> None:
        if key in self.model:
            self.map.remove([key])
            del self.model[key]
            return
        with pytest.raises(KeyError):
            self.map.remove([key])
        with pytest.raises(KeyError):
            _ = self.map[key]

    @rule(count=st.integers(0, 20))
    def forget_latest(self, count: int) -> None:
        latest = list(islice(reversed(self.model), count))
        assert list(self.map.latest(count)) == latest
        assert self.map.forget_latest(count) == len(latest)
        for key in latest:
            del self.model[key]

    @invariant()
    def it_is_a_dictionary(self) -> None:
        assert list(self.map.items()) == list(self.model.items())
        assert list(self.map) == list(self.model)
        assert list(self.map.values()) == list(self.model.values())
        assert len(self.map) == len(self.model)
        for number in range(61):
            key = b"%d" % number
            assert self.map.get(key, ...) == self.model.get(key, ...)
            assert (key in self.map) == (key in self.model)
            if key in self.model:
                assert self.map[key] == self.model[key]

    @invariant()
    def a_part_that_is_full_gets_no_more(self) -> None:
        # The last batch may have gone beyond.
        assert all(len(part) < PART_COUNT + 12 for part in self.map.parts)
        assert len(self.map.parts[-1]) < PART_COUNT


Mapped.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
test_it_is_a_dictionary = Mapped.TestCase


def test_no_part_moves_many_keys_however_many_there_are() -> None:
    dice = random.Random(7)
    rows: Map = PartedMap()
    for _ in range(100):
        rows.update((dice.randbytes(8), b"") for _ in range(4000))
    for _ in range(PART_COUNT_MAX + 1):
        rows[dice.randbytes(8)] = None
    assert len(rows) == 400_000 + PART_COUNT_MAX + 1
    assert max(map(len, rows.parts)) < PART_COUNT_MAX + 4000 < 87_381


class Hashed(RuleBasedStateMachine):
    """A map that is in parts when there are many keys, as it mostly is here."""

    @initialize(count=st.sampled_from([0, SPLIT_COUNT - 5, SPLIT_COUNT]))
    def begin(self, count: int) -> None:
        self.map: HashedMap[bytes, int] = HashedMap()
        self.model: dict[bytes, int] = {}
        for number in range(count):
            self.put(b"%d" % number, number)

    @rule(key=KEYS, value=st.integers())
    def put(self, key: bytes, value: int) -> None:
        self.map[key] = self.model[key] = value

    @rule(key=KEYS)
    def pop(self, key: bytes) -> None:
        assert self.map.pop(key, None) == self.model.pop(key, None)

    @rule(count=st.integers(0, 2 * SPLIT_COUNT))
    def some(self, count: int) -> None:
        some = self.map.some(count)
        assert len(set(some)) == len(some) == min(count, len(self.model))
        assert set(some) <= self.model.keys()

    @rule(count=st.integers(0, SPLIT_COUNT))
    def forget_some(self, count: int) -> None:
        assert self.map.forget_some(count) == min(count, len(self.model))
        left = set(self.map.some(len(self.model)))
        self.model = {key: value for key, value in self.model.items() if key in left}

    @invariant()
    def it_is_a_dictionary(self) -> None:
        assert len(self.map) == len(self.model)
        for number in range(61):
            key = b"%d" % number
            assert self.map.get(key, ...) == self.model.get(key, ...)
            assert (key in self.map) == (key in self.model)


Hashed.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
test_it_is_a_dictionary_without_an_order = Hashed.TestCase


def test_keys_that_come_and_go_leave_nothing() -> None:
    """Of a map by age each part that had been full was kept: a grant came to take milliseconds."""
    held: HashedMap[bytes, None] = HashedMap()
    for number in range(40 * SPLIT_COUNT):
        held[b"%d" % number] = None
        held.pop(b"%d" % (number - SPLIT_COUNT), None)
    assert len(held) == SPLIT_COUNT
    assert len(held._parts) == HASHED_COUNT
    sizes = [sys.getsizeof(part) for part in held._parts]
    assert sum(sizes) < 400 * SPLIT_COUNT
