"""Lists and deques beside CPython's: the same calls, the same values and errors."""

from collections import deque
from collections.abc import MutableSequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import roost
from roost.database import BadArgument, BadValue, OtherCodec
from roost.objects.aio.handle import SHORT_ROWS
from tests.objects.beside import fresh, objects, same
from tests.samples import SAMPLES

pytestmark = pytest.mark.usefixtures("db", "small_nodes")
VALUES = st.integers(0, 5)
PLACES = st.integers(-9, 9)
ENDS = st.one_of(st.none(), st.integers(-9, 9))
SLICES = st.builds(slice, ENDS, ENDS, st.one_of(st.none(), st.sampled_from([-3, -2, -1, 1, 2, 3])))
SHORT = st.lists(VALUES, max_size=7)


class Sequences(RuleBasedStateMachine):
    """One of ours beside one of theirs: what lists and deques do alike."""

    ours: Any
    theirs: Any = None

    def both(self, ask: Any) -> None:
        same(self.ours, self.theirs, ask)

    @rule(value=VALUES)
    def append(self, value: int) -> None:
        self.both(lambda it: it.append(value))

    @rule(values=SHORT)
    def extend(self, values: list[int]) -> None:
        self.both(lambda it: it.extend(values))

    @rule(place=PLACES, value=VALUES)
    def insert(self, place: int, value: int) -> None:
        self.both(lambda it: it.insert(place, value))

    @rule()
    def pop_last(self) -> None:
        self.both(lambda it: it.pop())

    @rule(value=VALUES)
    def remove(self, value: int) -> None:
        self.both(lambda it: it.remove(value))

    @rule(place=PLACES, value=VALUES)
    def set_one(self, place: int, value: int) -> None:
        self.both(lambda it: it.__setitem__(place, value))

    @rule(place=PLACES)
    def delete(self, place: int) -> None:
        self.both(lambda it: it.__delitem__(place))

    @rule()
    def reverse(self) -> None:
        self.both(lambda it: it.reverse())

    @rule()
    def clear(self) -> None:
        self.both(lambda it: it.clear())

    @rule(place=PLACES, value=VALUES, start=PLACES, stop=PLACES)
    def read(self, place: int, value: int, start: int, stop: int) -> None:
        self.both(lambda it: it[place])
        self.both(lambda it: value in it)
        self.both(lambda it: it.count(value))
        self.both(lambda it: it.index(value))
        self.both(lambda it: it.index(value, start, stop))
        self.both(lambda it: list(reversed(it)))
        self.both(len)

    @invariant()
    def alike(self) -> None:
        if self.theirs is not None:
            assert list(self.ours) == list(self.theirs)


class Lists(Sequences):
    """One of ours beside a list."""

    @initialize()
    def begin(self) -> None:
        self.ours, self.theirs = objects().list(fresh(), value=int), []

    @rule(place=PLACES)
    def pop(self, place: int) -> None:
        self.both(lambda it: it.pop(place))

    @rule(span=SLICES, values=SHORT)
    def set_slice(self, span: slice, values: list[int]) -> None:
        self.both(lambda it: it.__setitem__(span, values))

    @rule(span=SLICES)
    def delete_slice(self, span: slice) -> None:
        self.both(lambda it: it.__delitem__(span))

    @rule(down=st.booleans(), odd=st.booleans())
    def sort(self, *, down: bool, odd: bool) -> None:
        key = (lambda it: it % 2) if odd else None
        self.both(lambda it: it.sort(key=key, reverse=down))

    @rule(span=SLICES)
    def read_slice(self, span: slice) -> None:
        self.both(lambda it: it[span])
        self.both(lambda it: it.copy())


TestLists = Lists.TestCase
TestLists.settings = settings(max_examples=25 * SAMPLES, stateful_step_count=25, deadline=None)


class Deques(Sequences):
    """One of ours beside a deque, with and without a greatest length."""

    @initialize(maxlen=st.sampled_from([None, 0, 1, 4]))
    def begin(self, maxlen: int | None) -> None:
        self.ours = objects().deque(fresh(), value=int, maxlen=maxlen)
        self.theirs = deque[int](maxlen=maxlen)

    @rule(value=VALUES)
    def appendleft(self, value: int) -> None:
        self.both(lambda it: it.appendleft(value))

    @rule(values=SHORT)
    def extendleft(self, values: list[int]) -> None:
        self.both(lambda it: it.extendleft(values))

    @rule()
    def popleft(self) -> None:
        self.both(lambda it: it.popleft())

    @rule(steps=st.integers(-9, 9))
    def rotate(self, steps: int) -> None:
        self.both(lambda it: it.rotate(steps))

    @rule()
    def rotate_one(self) -> None:
        self.both(lambda it: it.rotate())
        self.both(lambda it: it.maxlen)


TestDeques = Deques.TestCase
TestDeques.settings = settings(max_examples=25 * SAMPLES, stateful_step_count=25, deadline=None)


def test_both_are_what_python_calls_a_sequence_that_changes(db: roost.Database) -> None:
    numbers, ends = db.objects.list(fresh(), value=int), db.objects.deque(fresh(), value=int)
    both: tuple[object, ...] = (numbers, ends)
    assert all(isinstance(it, MutableSequence) for it in both)
    assert not numbers
    assert not ends
    numbers += [1, 2]
    ends += [1, 2]
    assert (list(numbers), list(ends)) == ([1, 2], [1, 2])
    with pytest.raises(ValueError, match="cannot be zero"):
        del numbers[::0]
    with pytest.raises(ValueError, match="of size 1 to extended slice of size 2"):
        numbers[::-1] = [5]
    with pytest.raises(BadArgument):
        db.objects.deque(fresh(), maxlen=-1)


@pytest.mark.slow
def test_a_long_one_is_walked_over_as_it_was_when_the_walk_began(db: roost.Database) -> None:
    count = SHORT_ROWS * 3
    for it in (db.objects.list(fresh(), value=int), db.objects.deque(fresh(), value=int)):
        it.extend(range(count))
        walk, back = it.values(), it.values(reverse=True)
        assert (next(walk), next(back)) == (0, count - 1)
        it.clear()
        it.append(7)
        assert list(walk) == list(range(1, count))
        assert list(back) == list(range(count - 1))[::-1]
        assert list(it) == [7]


def test_a_value_that_comes_again_equal_is_found_as_python_finds_it(db: roost.Database) -> None:
    numbers = db.objects.list(fresh(), value=float)
    numbers.extend([1.0, 2.5])
    assert numbers.index(1) == 0
    numbers.remove(1)
    assert numbers.copy() == [2.5]
    with pytest.raises(BadValue):
        numbers.append("one")  # type: ignore[arg-type]  # that is the point


def test_an_object_is_what_it_was_made_as(db: roost.Database) -> None:
    name = fresh()
    db.objects.list(name, value=int).append(1)
    for other in (
        lambda: db.objects.list(name, value=str).append("x"),
        lambda: db.objects.list(name, value=str).copy(),
        lambda: db.objects.deque(name, value=int).append(1),
        lambda: db.objects.dict(name, key=int, value=int).put(1, 1),
        lambda: db.objects.set(name, member=int).count(),
    ):
        with pytest.raises(OtherCodec, match=f"the object '{name}' is a list of int"):
            other()
    assert db.objects.list(name, value=int).copy() == [1]
    db.objects.drop(name)
    db.objects.dict(name, key=int, value=int)[1] = 2
    assert db.objects.dict(name, key=int, value=int).copy() == {1: 2}
