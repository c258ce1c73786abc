"""Dictionaries, counters and sets beside CPython's: the same calls, the same values and errors."""

from collections import Counter
from collections.abc import Mapping, MutableSet
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import roost
from roost.database import BadArgument, BadKey, Refused
from roost.objects.aio.handle import SHORT_ROWS
from tests.objects.beside import fresh, objects, same
from tests.samples import SAMPLES

pytestmark = pytest.mark.usefixtures("db")
KEYS = st.sampled_from(["", "a", "a\0", "b", "c"])
VALUES = st.integers(0, 5)
ROWS = st.dictionaries(KEYS, VALUES, max_size=4)
SOME = st.sets(KEYS, max_size=4)


class Dicts(RuleBasedStateMachine):
    """One of ours beside a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.ours: Any = objects().dict(fresh(), key=str, value=int)
        self.theirs: dict[str, int] = {}

    def both(self, ask: Any) -> None:
        same(self.ours, self.theirs, ask)

    @rule(key=KEYS, value=VALUES)
    def put(self, key: str, value: int) -> None:
        self.both(lambda it: it.__setitem__(key, value))

    @rule(key=KEYS, value=VALUES)
    def set_default(self, key: str, value: int) -> None:
        self.both(lambda it: it.setdefault(key, value))

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.both(lambda it: it.__delitem__(key))

    @rule(key=KEYS)
    def pop(self, key: str) -> None:
        self.both(lambda it: it.pop(key))

    @rule(key=KEYS)
    def pop_or_none(self, key: str) -> None:
        self.both(lambda it: it.pop(key, None))

    @rule()
    def pop_item(self) -> None:
        self.both(lambda it: it.popitem())

    @rule(rows=ROWS, as_pairs=st.booleans())
    def update(self, rows: dict[str, int], *, as_pairs: bool) -> None:
        self.both(lambda it: it.update(list(rows.items()) if as_pairs else rows))

    @rule()
    def clear(self) -> None:
        self.both(lambda it: it.clear())

    @rule(key=KEYS)
    def read(self, key: str) -> None:
        self.both(lambda it: it[key])
        self.both(lambda it: it.get(key))
        self.both(lambda it: it.get(key, 7))
        self.both(lambda it: key in it)
        self.both(len)
        self.both(bool)
        self.both(lambda it: list(it.keys()))
        self.both(lambda it: list(it.values()))
        self.both(lambda it: it.copy())
        assert list(self.ours.keys(reverse=True)) == list(reversed(self.theirs))
        assert self.ours.first() == next(iter(self.theirs.items()), None)
        assert self.ours.last() == next(reversed(self.theirs.items()), None)

    @invariant()
    def alike(self) -> None:
        assert list(self.ours.items()) == list(self.theirs.items())


TestDicts = Dicts.TestCase
TestDicts.settings = settings(max_examples=25 * SAMPLES, stateful_step_count=25, deadline=None)


class Counters(RuleBasedStateMachine):
    """One of ours beside a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.ours: Any = objects().counter(fresh(), key=str)
        self.theirs: Counter[str] = Counter()

    def both(self, ask: Any) -> None:
        same(self.ours, self.theirs, ask)

    @rule(rows=st.dictionaries(KEYS, st.integers(-3, 3), max_size=4), up=st.booleans())
    def add_rows(self, rows: dict[str, int], *, up: bool) -> None:
        self.both(lambda it: it.update(rows) if up else it.subtract(rows))

    @rule(keys=st.lists(KEYS, max_size=6), up=st.booleans())
    def add_keys(self, keys: list[str], *, up: bool) -> None:
        self.both(lambda it: it.update(keys) if up else it.subtract(keys))

    @rule(key=KEYS, number=st.integers(-3, 3))
    def add(self, key: str, number: int) -> None:
        self.theirs[key] += number
        assert self.ours.add(key, number) == self.theirs[key]

    @rule(key=KEYS, value=VALUES)
    def put(self, key: str, value: int) -> None:
        self.both(lambda it: it.__setitem__(key, value))

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.both(lambda it: it.__delitem__(key))

    @rule(key=KEYS, number=st.integers(0, 6))
    def read(self, key: str, number: int) -> None:
        self.both(lambda it: it[key])
        self.both(lambda it: it.get(key))
        self.both(lambda it: it.total())
        self.both(lambda it: it.most_common())
        self.both(lambda it: it.most_common(number))
        self.both(lambda it: list(it.elements()))

    @invariant()
    def alike(self) -> None:
        assert list(self.ours.items()) == list(self.theirs.items())


TestCounters = Counters.TestCase
TestCounters.settings = settings(max_examples=25 * SAMPLES, stateful_step_count=20, deadline=None)


class Sets(RuleBasedStateMachine):
    """One of ours beside a set."""

    def __init__(self) -> None:
        super().__init__()
        self.ours: Any = objects().set(fresh(), member=str)
        self.theirs: set[str] = set()

    def both(self, ask: Any) -> None:
        same(self.ours, self.theirs, ask)

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.both(lambda it: it.add(key))

    @rule(key=KEYS)
    def discard(self, key: str) -> None:
        self.both(lambda it: it.discard(key))

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        self.both(lambda it: it.remove(key))

    @rule()
    def pop(self) -> None:
        if self.theirs:  # CPython's takes any, ours the first
            self.theirs.remove(first := min(self.theirs))
            assert self.ours.pop() == first
        else:
            self.both(lambda it: it.pop())

    @rule(others=st.lists(SOME, max_size=2), what=st.integers(0, 2))
    def update(self, others: list[set[str]], what: int) -> None:
        name = ("update", "difference_update", "intersection_update")[what]
        self.both(lambda it: getattr(it, name)(*others))

    @rule(other=SOME)
    def toggle(self, other: set[str]) -> None:
        self.both(lambda it: it.symmetric_difference_update(other))

    @rule(other=SOME, what=st.integers(0, 3))
    def operate(self, other: set[str], what: int) -> None:
        for it in (self.ours, self.theirs):
            match what:
                case 0:
                    it |= other
                case 1:
                    it &= other
                case 2:
                    it -= other
                case _:
                    it ^= other

    @rule()
    def clear(self) -> None:
        self.both(lambda it: it.clear())

    @rule(other=SOME, key=KEYS)
    def read(self, other: set[str], key: str) -> None:
        self.both(lambda it: key in it)
        self.both(len)
        self.both(bool)
        self.both(lambda it: it.isdisjoint(other))
        self.both(lambda it: it.issubset(other))
        self.both(lambda it: it.issuperset(other))
        self.both(lambda it: it | other)
        self.both(lambda it: it & other)
        self.both(lambda it: it - other)
        self.both(lambda it: it ^ other)
        self.both(lambda it: it <= other)
        self.both(lambda it: it == other)
        self.both(lambda it: it.copy())

    @invariant()
    def alike(self) -> None:
        assert list(self.ours) == sorted(self.theirs)


TestSets = Sets.TestCase
TestSets.settings = settings(max_examples=25 * SAMPLES, stateful_step_count=25, deadline=None)


def test_they_are_what_python_calls_a_mapping_and_a_set(db: roost.Database) -> None:
    assert isinstance(db.objects.dict(fresh()), Mapping)
    assert isinstance(db.objects.set(fresh()), MutableSet)
    with pytest.raises(BadKey):
        db.objects.dict(fresh(), key=str)[1] = b""  # type: ignore[index]  # that is the point


def test_a_count_has_64_bits(db: roost.Database) -> None:
    counts = db.objects.counter(fresh(), key=str)
    assert counts.add("a", (1 << 63) - 1) == (1 << 63) - 1
    with pytest.raises(Refused, match="64 bits"):
        counts.update({"b": 1, "a": 1})
    assert counts.copy() == {"a": (1 << 63) - 1}, "all of it, or nothing"
    with pytest.raises(BadArgument):
        counts.add("a", 1 << 70)


@pytest.mark.slow
def test_a_long_one_is_walked_over_as_it_was_when_the_walk_began(db: roost.Database) -> None:
    count = SHORT_ROWS * 3
    rows = db.objects.dict(fresh(), key=int, value=int)
    rows.update({count - key: key for key in range(count)})
    walk = rows.items()
    assert next(walk) == (count, 0)
    rows.clear()
    rows[0] = 0
    assert list(walk) == [(count - key, key) for key in range(1, count)]
    assert rows.copy() == {0: 0}
    members = db.objects.set(fresh(), member=int)
    members.update(range(count))
    seen = members.members()
    assert next(seen) == 0
    members &= {5, 6, count}
    assert list(seen) == list(range(1, count))
    assert members.copy() == {5, 6}


def test_what_was_taken_from_an_end_is_not_walked_over_again(db: roost.Database) -> None:
    """Traces of what was removed lie in the newest layers: each look over them is longer."""
    rows = db.objects.dict(fresh(), key=int, value=int)
    members = db.objects.set(fresh(), member=int)
    rows.update(dict.fromkeys(range(1000), 0))
    members.update(range(1000))
    for number in range(1000):
        assert rows.popitem()[0] == 999 - number
        assert members.pop() == number
    with pytest.raises(KeyError, match="empty"):
        rows.popitem()
    with pytest.raises(KeyError, match="empty"):
        members.pop()
    members.add(3)
    assert members.pop() == 3
