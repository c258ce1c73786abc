"""A tree of which is known how many keys its ranges have: a census, kept as entries are applied."""

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

from roost.store.census import Census, MiscountError, Ranks, TooFar
from roost.store.key_order import KeyValues
from roost.store.layer import FEW_MAX, Layer, TreeLayer
from roost.store.long_keys import Cut
from roost.store.view import View
from roost.store.walk import PASSED_MAX

logger = logging.getLogger(__name__)
# From the state before a write set to whether a value in it may be of a key that was not there:
# what is surely not need not be looked up.
Newness = Callable[[View], Callable[[bytes], bool]]
# From the state before a write set, and what it writes, to how many keys more the tree has then.
Growth = Callable[[View, Layer], int]
# Of so many keys at once not each is looked up, and no more than FEW_MAX of them may be set.
_MANY = 2000
# Of keys with more bytes together none is looked up: one of 1 MiB takes 0.8 ms (2026-11-27).
_LOOKED_UP_BYTES: Final = 1 << 20
# Of keys with more bytes together, which are joined of thousands of pieces, a walk goes no further.
_WALKED_BYTES: Final = 1 << 20
# At the ends of so many ranges is looked how many keys lie in them.
_RANGES_MAX = 8


class Counted:
    """One tree of the applied state.

    Whoever wants it counted has it built, a part a turn, by `go_on`; until it is, nothing is known.
    """

    def __init__(self, tree_id: int, view: View, newness: Newness, growth: Growth) -> None:
        """Nothing is counted yet; `view` is that of what is applied."""
        self._tree_id = tree_id
        self._view = view
        self._newness = newness
        self._growth = growth
        self._census = Census()
        # Called when there is something to do for `go_on` that there was not.
        self.on_work: Callable[[], None] = lambda: None

    def begin_anew(self) -> None:
        """Another tree has taken this one's place."""
        self._census.begin_anew()

    @property
    def is_done(self) -> bool:
        """Whether `go_on` has nothing to do."""
        return self._census.is_built and not self._census.is_crowded

    def go_on(self) -> None:
        """Count another block, or cut one that has grown."""
        if not self._census.is_built:
            self._census.build(self._walk)
        elif self._census.is_crowded:
            try:
                self._census.cut_crowded(self._walk)
            except MiscountError:
                self._on_miscount()

    def _on_miscount(self) -> None:
        """A fault of ours: counts are derived, so it costs a walk, and no entry and no member."""
        logger.error("the count of a tree's keys was wrong; it is counted anew", stack_info=True)
        self._census.begin_anew()

    def note(self, written: Layer) -> None:
        """Note which keys come and go by what is about to be applied."""
        tree = written.trees.get(self._tree_id)
        if tree is None:
            return
        was_done = self.is_done
        try:
            growth = self._growth(self._view, written)
            if tree.ranges:
                self._note_ranges(tree, growth)
            elif len(tree.values) < _MANY:
                self._note_few(tree.values, growth)
            else:
                self._note_many(written, tree, growth)
        except MiscountError:
            self._on_miscount()  # before it is applied: what is counted now has it in
        except (MemoryError, TooFar):
            self._census.begin_anew()  # the same, and nobody's fault
        if was_done and not self.is_done:
            self.on_work()

    def _note_few(self, values: KeyValues, growth: int) -> None:
        """Note keys; where none goes, growth may say that none comes, or that all do."""
        if growth == len(values):
            note_born = self._census.note_born
            for key in values:
                note_born(key)
        elif growth or None in values.values():
            self._note_keys(list(values.items()))

    def _note_many(self, written: Layer, tree: TreeLayer, growth: int) -> None:
        """Note many keys without looking each up, if nearly all of them were there and go."""
        values = tree.values
        puts = _set_by(written, self._tree_id)
        view, tree_id = self._view, self._tree_id
        if len(puts) <= FEW_MAX:
            born = sum(not view.has(tree_id, key) for key in puts)
            # Each of the others takes one key away at most.  If together they take away as many
            # as they are, each of them does.
            if growth == born - (len(values) - len(puts)):
                self._census.note_all_dead(_ranks_but(tree, sorted(puts)), len(values) - len(puts))
                self._note_keys(list(puts.items()))
                return
        self._census.begin_anew()

    def _note_ranges(self, tree: TreeLayer, growth: int) -> None:
        """Note ranges that were deleted, few of them, and a few keys that were written besides."""
        census, view, tree_id = self._census, self._view, self._tree_id
        if len(tree.ranges) > _RANGES_MAX or len(tree.values) >= _MANY:
            census.begin_anew()
            return
        grown = -sum(census.note_range_dead(*it, self._walk) for it in tree.ranges)
        for key, value in tree.values.items():
            was_there = not tree.hides(key) and view.has(tree_id, key)
            if was_there and value is None:
                census.note_dead(key)
                grown -= 1
            elif value is not None and not was_there:
                census.note_born(key)
                grown += 1
        if census.is_built and grown != growth:
            raise MiscountError(tree.ranges[0])

    def _note_keys(self, rows: list[tuple[bytes, bytes | None]]) -> None:
        census, view, tree_id = self._census, self._view, self._tree_id
        if sum(len(key) for key, _ in rows) > _LOOKED_UP_BYTES:
            census.begin_anew()
            return
        may_be_new = self._newness(view)
        for key, value in rows:
            if value is None:
                if view.has(tree_id, key):
                    census.note_dead(key)
            elif may_be_new(value) and not view.has(tree_id, key):
                census.note_born(key)

    def known(self, first: bytes, stop: bytes | None) -> int | None:
        """How many keys are in a range; None while only a walk over all of it could say."""
        return self._census.count(first, stop, self._walk)

    def _walk(self, first: bytes, stop: bytes | None) -> Iterator[bytes]:
        passed_count, left = 0, _WALKED_BYTES
        for key, value in self._view.walk(self._tree_id, first, stop, keys_only=True):
            if isinstance(value, Cut):
                raise TooFar(key)
            left -= len(key)
            if value is not None:
                yield key
                if left <= 0:
                    raise TooFar(key + b"\0")
                continue
            passed_count += 1
            if passed_count == PASSED_MAX or left <= 0:
                raise TooFar(key + b"\0")


def _set_by(written: Layer, tree_id: int) -> dict[bytes, bytes | None]:
    """What keys of a tree are set to, or of more than FEW_MAX some; of a long write it is known."""
    values = written.trees[tree_id].values
    if written.few_set is None:
        return {key: value for key, value in values.items() if value is not None}
    return {key: values[key] for key in written.few_set[tree_id]}


def _ranks_but(tree: TreeLayer, others: list[bytes]) -> Ranks:
    """How many keys of a layer lie before bounds, but for `others`, which are in order."""

    def ranks(bounds: list[bytes]) -> list[int]:
        found = tree.order.ranks(bounds)
        return [
            rank - bisect_left(others, bound) for rank, bound in zip(found, bounds, strict=True)
        ]

    return ranks
