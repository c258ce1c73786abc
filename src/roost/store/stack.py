"""The stack of layers that are applied and not yet durable (D2).

    open layer        what is applied is taken over into it
    sealed layers     nothing is written to them any more; the newest first
    flushing layers   on their way to LMDB

A *hold* is a reader that wants the state of now for many turns.  Taking one seals the open layer,
which costs no copy: what it holds is a list of layers that nobody writes to.  A layer of many keys
is pushed upon the stack as it is, instead of being taken over key by key (D14).

Sealed layers become fewer by `merge`, a bounded part a call: what the upper of two neighbours knows
is copied into the lower one, and then the upper one goes.  Whoever sees the lower one sees the
upper one above it, so no state in between can be seen; that is why two are merged only when each
hold has both or neither.

A layer that is dropped is emptied, of its ranges as well, and what it knew is freed a part a turn
(`free`): to free a million keys at once takes a tenth of a second.  Of layers that are dropped
together one may be emptied, and an older one not, that has few keys or is held; so whoever has them
in a list of its own, as a transaction that runs over many turns, takes those of now with each turn
(`Store.renew`).

Each turn frees FREED_COUNT keys, and as many more as were written since then, of which it pays for
PAID_COUNT; turns follow each other while anything is to be freed.  To free a key takes a tenth of
what it takes to write one, so the work of writers grows by that at most.  It keeps up: beyond what
is not paid for yet, what is to be freed is never more than the layers, held ones too, had at one
time.  For be `t` the moment before the first of it was dropped: what was dropped since then the
layers had at `t`, or it was written later, and as much as was written later is freed or to be paid.
And what is to be paid comes to nothing when turns write fewer than PAID_COUNT keys each on the
average, as they do: a batch has 512 puts, and a long write takes many turns.

A layer can be *kept* alone, by whoever goes through what it wrote over many turns: then it is
pushed as it is, nothing is copied into it, and it is not emptied before it is let go.

Full?  Who may hold or keep, and how many, is the store's business (`snapshots`); there is a sealed
layer for each hold's state and one for each PUSH_COUNT_MIN keys, until they are merged or flushed.
"""

from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Final

from roost.store.layer import Layer, Old

# A layer of so many keys is pushed: taking it over would cost more than a millisecond.
PUSH_COUNT_MIN = 8000
# Or of so many ranges, each of which is put among those that are there.
PUSH_RANGES_MIN: Final = 500
# So many sealed layers may stand there before `merge` has something to do.
SEALED_COUNT_FREE = 2
_STEP_COUNT = 256
# So many keys are freed a turn, so many of what is dropped together at once; and so many more in a
# turn when as many were written.
FREED_COUNT, PAID_COUNT = 300, 2000


class Held:
    """The layers of one state, newest first; nobody writes to them."""

    __slots__ = ("layers",)

    def __init__(self, layers: list[Layer]) -> None:
        """Hold these."""
        self.layers = layers


class LayerStack:
    """All layers of what is applied; `layers` is what a view reads, changed in place."""

    def __init__(self) -> None:
        """Nothing is applied."""
        self._open = Layer()
        self._sealed: list[Layer] = []
        self._flushing: list[Layer] = []
        self._sealed_bytes = 0
        self._holds: list[Held] = []
        # Each as often as somebody keeps it.
        self._kept: list[Layer] = []
        self._merging: _Merging | None = None
        # What nobody sees any more, how many keys that are, and how many were written meanwhile
        # that no turn has paid for.
        self._old: list[Old] = []
        self._old_count = self._unpaid_count = 0
        self.layers: list[Layer] = [self._open]

    @property
    def unflushed_bytes(self) -> int:
        """What is applied and not on its way to LMDB."""
        return self._open.size_bytes + self._sealed_bytes

    @property
    def flushing_bytes(self) -> int:
        """What is on its way."""
        return sum(it.size_bytes for it in self._flushing)

    @property
    def is_flushing(self) -> bool:
        """Whether something is on its way."""
        return bool(self._flushing)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is to be flushed."""
        return not self._sealed and not self._open.trees

    @property
    def sealed_count(self) -> int:
        """How many layers are sealed, and not on their way."""
        return len(self._sealed)

    @property
    def held_bytes(self) -> int:
        """What is in memory only because somebody holds it."""
        held = dict.fromkeys(it for hold in self._holds for it in hold.layers)
        return sum(it.size_bytes for it in held if it not in self.layers)

    def add(self, written: Layer) -> None:
        """What `written` knows is applied, whole; it is the stack's from now on."""
        if self._old_count:
            self._unpaid_count += written.row_count
        if written not in self._kept and not _is_long_to_take_over(self._open, written):
            try:
                self._open.cover(written)
            except MemoryError:
                # What has been taken over says the same as what comes to lie above it, and to push
                # a layer takes next to nothing.
                pass
            else:
                return
        self._push(written)

    def _push(self, layer: Layer) -> None:
        """Seal a layer that is complete, upon all others."""
        self._seal()
        self._sealed.insert(0, layer)
        self._sealed_bytes += layer.size_bytes
        self._line_up()

    def _seal(self) -> None:
        """Write to the open layer no more."""
        if self._open.trees:
            self._sealed.insert(0, self._open)
            self._sealed_bytes += self._open.size_bytes
            self._open = Layer()
            self._line_up()

    def _line_up(self) -> None:
        self.layers[:] = [self._open, *self._sealed, *self._flushing]

    def flush(self) -> None:
        """All that is applied is on its way; readers go on to see it."""
        assert not self._flushing, "one flush at a time"
        self._seal()
        self._flushing, self._sealed = self._sealed, []
        self._sealed_bytes = 0
        self._merging = None
        self._line_up()

    def on_flushed(self) -> None:
        """What was on its way is in LMDB, and can be read there."""
        flushed, self._flushing = self._flushing, []
        self._line_up()
        self._let_go(flushed)

    def _let_go(self, layers: list[Layer]) -> None:
        """Layers are dropped; those that nobody holds are emptied, but for a few keys."""
        left = FREED_COUNT
        for layer in layers:
            if layer in self._kept or any(layer in it.layers for it in self._holds):
                continue
            for tree in layer.trees.values():
                count = tree.row_count
                if count <= left:
                    left -= count
                else:
                    self._old.append(tree.take_all())
                    self._old_count += count

    @property
    def old_count(self) -> int:
        """How many keys and ranges are to be freed; zero when idle."""
        return self._old_count

    @property
    def unpaid_count(self) -> int:
        """How many were written while some were to be freed, and no turn has freed as many."""
        return self._unpaid_count

    def free(self) -> None:
        """Free some of what was dropped; to be called once a turn, while anything is left."""
        paid = min(self._unpaid_count, PAID_COUNT)
        self._unpaid_count -= paid
        left = FREED_COUNT + paid
        while self._old and left > 0:
            freed = self._old[-1].free(left)
            self._old_count -= freed
            left -= freed
            if not self._old[-1].count:
                self._old.pop()
        if not self._old_count:
            self._unpaid_count = 0

    def clear(self) -> None:
        """Another store has taken the place of this one; who holds has lost its state."""
        assert not self._holds, "what they held is gone below"
        dropped = [self._open, *self._sealed, *self._flushing]
        self._open = Layer()
        self._sealed, self._flushing = [], []
        self._sealed_bytes = 0
        self._merging = None
        self._line_up()
        self._let_go(dropped)

    def hold(self) -> Held:
        """Keep the state of now readable until `release`."""
        self._seal()
        held = Held([*self._sealed, *self._flushing])
        self._holds.append(held)
        return held

    def release(self, held: Held) -> None:
        """Nobody reads that state any more."""
        self._holds.remove(held)
        self._let_go([it for it in held.layers if it not in self.layers])
        held.layers.clear()

    def keep(self, layer: Layer) -> None:
        """Have a layer that is complete stay as it is until `let_go`; before it is added."""
        self._kept.append(layer)

    def let_go(self, layer: Layer) -> None:
        """It was kept, and that has an end."""
        self._kept.remove(layer)
        if layer not in self.layers:
            self._let_go([layer])

    @property
    def wants_merge(self) -> bool:
        """Whether `merge` has something to do."""
        return len(self._sealed) > SEALED_COUNT_FREE and (
            self._merging is not None or self._next_merge() is not None
        )

    def merge(self, count_max: int) -> int:
        """Make two sealed layers one, a part a call; say how many keys that was for."""
        if self._merging is None:
            self._merging = self._next_merge()
            if self._merging is None:
                return 0
        merging = self._merging
        try:
            count = merging.go_on(count_max)
        except MemoryError:
            self._merging = None  # what was taken over is seen by nobody, and so it may stay there
            return 0
        if merging.is_done:
            self._merging = None
            self._drop(merging.upper)
            self._let_go([merging.upper])
        return count

    def _next_merge(self) -> "_Merging | None":
        """The two neighbours whose upper one is the smallest, of those that may be merged."""
        sealed = self._sealed
        pairs = [
            (upper, lower)
            for upper, lower in pairwise(sealed)
            if lower not in self._kept
            and all(upper in hold.layers for hold in self._holds if lower in hold.layers)
        ]
        if len(sealed) <= SEALED_COUNT_FREE or not pairs:
            return None
        upper, lower = min(pairs, key=lambda pair: pair[0].key_count)
        return _Merging(upper, lower)

    def _drop(self, upper: Layer) -> None:
        """All that a layer knows, the one below it knows as well."""
        self._sealed.remove(upper)
        for hold in self._holds:
            if upper in hold.layers:
                hold.layers.remove(upper)
        self._line_up()

    def invariants(self) -> None:
        """Assert what holds between any two calls; it looks at no key."""
        expected = [self._open, *self._sealed, *self._flushing]
        assert self.layers == expected, "a read sees each layer once, the newest first"
        assert self._sealed_bytes == sum(it.size_bytes for it in self._sealed), "sizes add up"
        for hold in self._holds:
            assert self._open not in hold.layers, "nobody writes to what is held"
            # A hold has the lower end of what is sealed: what was written after it lies above.
            held = [it for it in self._sealed if it in hold.layers]
            assert held == self._sealed[len(self._sealed) - len(held) :], "states are nested"
        merging = self._merging
        if merging is not None:
            position = self._sealed.index(merging.upper)
            assert self._sealed[position + 1] is merging.lower, "neighbours are merged"
            assert merging.lower not in self._kept, "what is kept stays as it is"


def _is_long_to_take_over(mine: Layer, written: Layer) -> bool:
    """Whether it takes more than a bounded part of a turn; see `Layer.cover`."""
    for tree_id, tree in written.trees.items():
        if len(tree.ranges) >= PUSH_RANGES_MIN:
            return True
        if tree.ranges or len(tree.values) >= PUSH_COUNT_MIN:
            held = mine.trees.get(tree_id) if tree.ranges else None
            if len(tree.values) >= PUSH_COUNT_MIN or (
                held is not None and len(held.values) >= PUSH_COUNT_MIN
            ):
                return True
    return False


class _Merging:
    """What an upper layer knows on its way into the one below it."""

    __slots__ = ("_steps", "is_done", "lower", "upper")

    def __init__(self, upper: Layer, lower: Layer) -> None:
        self.upper, self.lower = upper, lower
        self.is_done = False
        self._steps = self._run()

    def go_on(self, count_max: int) -> int:
        """Take over about `count_max` keys; say how many it was."""
        count = 0
        for step in self._steps:
            count += step
            if count >= count_max:
                return count
        self.is_done = True
        return count

    def _run(self) -> Iterator[int]:
        for tree_id, tree in self.upper.trees.items():
            mine = self.lower.tree(tree_id)
            for first, stop in tree.ranges:
                while dropped := mine.drop(first, stop, _STEP_COUNT):
                    yield dropped
                mine.hide(first, stop)
                # It moves those behind it, eight bytes each.
                yield 1 + len(mine.ranges) // 1000
            values = tree.values.items()
            while rows := list(islice(values, _STEP_COUNT)):
                mine.values.update(rows)
                self.lower.put_in_order()
                yield len(rows)
        self.lower.size_bytes += self.upper.size_bytes
