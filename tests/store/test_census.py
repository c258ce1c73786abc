"""Counts of ranges without walking: held against a sorted list."""

from bisect import bisect_left, insort
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roost.store.census import BLOCK_COUNT_MAX, Census, TooFar

KEYS = st.one_of(st.binary(max_size=3), st.integers(0, 3000).map(lambda it: b"%05d" % it))


PASSED_MAX = 64


class Tree:
    """A sorted list of keys, and how many were walked over; those that are gone are passed."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.gone: list[bytes] = []
        self.walked_count = 0
        self.was_too_far = False

    def walk(self, first: bytes, stop: bytes | None) -> Iterator[bytes]:
        at, gone_at, passed = bisect_left(self.keys, first), bisect_left(self.gone, first), 0
        while at < len(self.keys) or gone_at < len(self.gone):
            is_gone = at == len(self.keys) or (
                gone_at < len(self.gone) and self.gone[gone_at] < self.keys[at]
            )
            key = self.gone[gone_at] if is_gone else self.keys[at]
            if stop is not None and key >= stop:
                return
            if is_gone:
                gone_at, passed = gone_at + 1, passed + 1
                if passed == PASSED_MAX:
                    self.was_too_far = True
                    raise TooFar(key + b"\0")
            else:
                at += 1
                self.walked_count += 1
                yield key

    def put_in_order(self) -> None:
        """What is gone is passed no more."""
        self.gone.clear()

    def put(self, key: bytes) -> None:
        if key in self.gone:
            self.gone.remove(key)
        insort(self.keys, key)

    def delete(self, keys: list[bytes]) -> None:
        self.gone = sorted({*self.gone, *keys})
        self.keys = sorted(set(self.keys) - set(keys))

    def count(self, first: bytes, stop: bytes | None) -> int:
        end = len(self.keys) if stop is None else bisect_left(self.keys, stop)
        return max(0, end - bisect_left(self.keys, first))


class Counting(RuleBasedStateMachine):
    """Keys come and go, also while it is built; counts are a sorted list's."""

    def __init__(self) -> None:
        super().__init__()
        self.tree, self.census = Tree(), Census()

    @rule(key=KEYS)
    def put(self, key: bytes) -> None:
        if key not in self.tree.keys:
            self.census.note_born(key)
            self.tree.put(key)

    @rule()
    def put_in_order(self) -> None:
        self.tree.put_in_order()

    @rule(begin=st.integers(0, 3000), size=st.integers(1, 900))
    def put_many(self, begin: int, size: int) -> None:
        for number in range(begin, begin + size):
            self.put(b"%05d" % number)

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        if key in self.tree.keys:
            self.census.note_dead(key)
            self.tree.delete([key])

    @rule(begin=st.integers(0, 3000), size=st.integers(1, 2000))
    def delete_many(self, begin: int, size: int) -> None:
        for number in range(begin, begin + size):
            self.delete(b"%05d" % number)

    @rule(begin=st.integers(0, 3000), size=st.integers(1, 2000))
    def delete_many_at_once(self, begin: int, size: int) -> None:
        keys, stop = self.tree.keys, b"%05d" % (begin + size)
        doomed = keys[bisect_left(keys, b"%05d" % begin) : bisect_left(keys, stop)]
        if doomed:
            self.census.note_all_dead(
                lambda bounds: [bisect_left(doomed, it) for it in bounds], len(doomed)
            )
            self.tree.delete(doomed)

    @rule(begin=st.integers(0, 3000), size=st.integers(1, 2000), is_open=st.booleans())
    def delete_range(self, begin: int, size: int, is_open: bool) -> None:  # noqa: FBT001 - drawn
        first, stop = b"%05d" % begin, None if is_open else b"%05d" % (begin + size)
        keys = self.tree.keys
        end = len(keys) if stop is None else bisect_left(keys, stop)
        doomed = keys[bisect_left(keys, first) : end]
        largest = max(self.census._counts)
        self.tree.walked_count = 0
        try:
            gone = self.census.note_range_dead(first, stop, self.tree.walk)
        except TooFar:
            self.census.begin_anew()
        else:
            assert gone == len(doomed) or (not self.census.is_built and gone < len(doomed))
            assert self.tree.walked_count <= 2 * largest
        self.tree.delete(doomed)

    @rule()
    def build(self) -> None:
        self.census.build(self.tree.walk)

    @rule()
    def build_all(self) -> None:
        while not self.census.build(self.tree.walk):
            pass

    @rule()
    def begin_anew(self) -> None:
        self.census.begin_anew()

    @rule(first=KEYS, stop=st.one_of(st.none(), KEYS))
    def count(self, first: bytes, stop: bytes | None) -> None:
        self.tree.walked_count, self.tree.was_too_far = 0, False
        found = self.census.count(first, stop, self.tree.walk)
        if self.census.is_built and (found is not None or not self.tree.was_too_far):
            assert found == self.tree.count(first, stop)
        else:
            assert found is None

    @rule()
    def cut_crowded(self) -> None:
        while self.census.is_built and self.census.is_crowded:
            self.tree.walked_count = 0
            self.census.cut_crowded(self.tree.walk)
            assert self.tree.walked_count <= BLOCK_COUNT_MAX

    @invariant()
    def all_are_counted(self) -> None:
        if self.census.is_built:
            assert self.census.count(b"", None, self.tree.walk) == len(self.tree.keys)


TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=60, stateful_step_count=30)


def test_a_block_that_grows_and_shrinks_before_it_is_cut_stays_whole() -> None:
    tree, census = Tree(), Census()
    tree.keys = [b"%05d" % number for number in range(2000)]
    while not census.build(tree.walk):
        pass
    guests = [b"00010.%03d" % number for number in range(300)]
    for key in guests:
        census.note_born(key)
        insort(tree.keys, key)
    for key in [*guests, *tree.keys[:5]]:
        census.note_dead(key)
        tree.keys.remove(key)
    assert not census.is_crowded, "there is nothing to cut any more"
    for first in range(0, 2000, 100):
        begin, stop = b"%05d" % first, b"%05d" % (first + 300)
        assert census.count(begin, stop, tree.walk) == tree.count(begin, stop)


def test_a_count_over_many_keys_walks_over_two_blocks_at_the_most() -> None:
    tree, census = Tree(), Census()
    tree.keys = [b"%08d" % number for number in range(100_000)]
    while not census.build(tree.walk):
        pass
    tree.walked_count = 0
    assert census.count(b"00000100", b"00099900", tree.walk) == 99_800
    assert tree.walked_count <= 2 * BLOCK_COUNT_MAX
    for key in list(tree.keys[10:-10]):
        census.note_dead(key)
    del tree.keys[10:-10]
    assert census.block_count < 10, "blocks that are nearly empty are one"
    assert census.count(b"", None, tree.walk) == 20


def test_what_is_gone_is_not_walked_over_however_much_it_is() -> None:
    """A lease of a million keys ran out, and the next count held the leader for 8 s (issue 14)."""
    tree, census = Tree(), Census()
    tree.keys = [b"%08d" % number for number in range(20_000)]
    while not census.build(tree.walk):
        pass
    doomed = tree.keys[100:19_900]
    census.note_all_dead(lambda bounds: [bisect_left(doomed, it) for it in bounds], len(doomed))
    tree.delete(doomed)
    assert census.count(b"00000090", b"00019910", tree.walk) == 20
    assert tree.was_too_far, "it was counted by what lies beside it"
    tree.put_in_order()
    assert census.count(b"00000090", b"00019910", tree.walk) == 20


def test_a_tree_of_much_that_is_gone_is_built_in_steps_and_cut_in_steps() -> None:
    tree, census = Tree(), Census()
    tree.keys = [b"%08d" % number for number in range(20_000)]
    tree.delete([it for it in tree.keys if int(it) % 100])
    step_count = 1
    while not census.build(tree.walk):
        step_count += 1
    assert step_count > 20_000 // PASSED_MAX - 10
    assert census.count(b"", None, tree.walk) == 200
    for number in range(10_000, 10_000 + 2 * BLOCK_COUNT_MAX):
        if number % 100:
            key = b"%08d" % number
            tree.put(key)
            census.note_born(key)
    cut_count = 0
    while census.is_crowded:
        census.cut_crowded(tree.walk)
        cut_count += 1
        assert cut_count < 1000
    assert census.count(b"", None, tree.walk) == len(tree.keys)
    assert census.count(b"00010000", b"00010100", tree.walk) == 100
