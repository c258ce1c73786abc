"""One member's counters: what it counts, what it has heard, and the steps that make it durable.

    stage_...     change what is being assembled, at once: see `changing`, `receiving`, `upkeep`
    take_step     hands over all that came since the last one: one transaction, one sync
    write         makes it durable; may run on another thread, one step at a time
    finish        reads see it, and all that waits for the step may be answered

So one sync is shared by everything that arrived while the disk was busy.  Nothing is promised
before `durable_step` has come to the step that was said.  The first error of the device is final:
nothing is written behind it, and whoever owns the store opens it anew.

Every opening is counted and has a number by chance, which partners remember: so a directory that
was copied, or is an old state, is found out by the first of them that has heard of another one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from roost.counters import standing
from roost.counters.algebra import Counter, Part, Tombstone
from roost.counters.environment import Trees, Writes
from roost.counters.errors import (
    CounterStoreError,
    CounterStoreForeign,
    OwnerForked,
)
from roost.counters.layers import Layer, Layers
from roost.counters.owners import Owners
from roost.counters.pace import QUICK_ROWS_MAX
from roost.counters.passing import Passing
from roost.counters.requests import Limits, Order
from roost.counters.rows import EPOCH_BYTES, PART, TOMBSTONE
from roost.counters.standing import Digest, Heard, Opening, State
from roost.errors import Overloaded

# 2 has a log of steps beside LMDB (`logged`), of which a version that knows only 1 would not hear.
FORMAT, FORMAT_BEFORE = b"2", b"1"
# Of one step: with more the disk is behind, and who comes is turned away.
STEP_ROWS_MAX: Final = 20_000
# Whoever has missed more openings than these does not see whether the first was of an old state.
OPENINGS_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """Values of counters as this member knows them; to be told when `step` is durable."""

    values: list[int | None]
    step: int


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes durable together; nothing of it is changed any more."""

    number: int
    layer: Layer
    heard: dict[int, int]
    levels: dict[int, int]

    @property
    def writes(self) -> Writes:
        """All of it as bytes, made anew each time; any thread."""
        return self.layer.writes()


class Store:
    """One, open.  It has one owner, and belongs to one thread but for `write`."""

    def __init__(self, trees: Trees, state: State, limits: Limits) -> None:
        """Use `open`."""
        self.trees = trees
        self.epoch = state.epoch
        self.own = state.own
        self.opening = Opening(state.opening, state.nonce, state.began, state.nonces)
        self.buried_at = state.buried_at
        self.swept_at = state.swept_at
        self.layers = Layers(trees)
        self.owners = Owners(trees.scan("owners", b"", None))
        self.limits = limits
        self.requests = Order(self.layers, limits)
        self.passing = Passing(self.layers)
        self.heard: dict[int, Heard] = {}
        for key, value in trees.scan("heard", b"", None):
            self.heard[int.from_bytes(key, "big")] = standing.read_heard(value)
        self.durable_heard = {number: it.version for number, it in self.heard.items()}
        self.durable_levels = {number: it.level for number, it in self.heard.items()}
        self._step_number = 0
        self.durable_step = 0
        # Folds that have begun or ended since the store was opened, and in which step.
        self.fold_steps: dict[int, int] = {}
        self._heard_changed: set[int] = set()
        self._news: set[int] = set()
        self._broken: CounterStoreError | None = None

    @classmethod
    def open(
        cls,
        trees: Trees,
        entropy: Callable[[int], bytes],
        *,
        limits: Limits | None = None,
        is_restored: bool = False,
    ) -> "Store":
        """Open a store, or make it, and note durably that it was opened.

        `entropy` gives so many bytes of chance.  `is_restored` gives what came from a backup an
        epoch of its own: what was counted under the old one stays that owner's.

        Raises:
            CounterStoreForeign: the directory is of another version of Roost.
            CounterStoreError: it cannot be read or written.

        """
        found = trees.get("meta", b"format")
        if found not in (None, FORMAT, FORMAT_BEFORE):
            raise CounterStoreForeign(f"counters of format {found!r}: this version has {FORMAT!r}")
        value = trees.get("meta", b"state")
        nonce = int.from_bytes(entropy(8), "big")
        held = None if value is None else standing.read_state(value)
        if held is None or is_restored:
            state = State(
                epoch=entropy(EPOCH_BYTES), own=0, buried_at=0, swept_at=0, opening=0, nonce=0
            )
        else:
            state = held
        state = msgspec.structs.replace(state, opening=state.opening + 1, nonce=nonce)
        opened = cls(trees, state, limits or Limits())
        opened.own = opened.owners.number_of(state.epoch)
        began = (*state.began, opened.heard_of(opened.own).version)[-OPENINGS_KEPT:]
        nonces = (*state.nonces, nonce)[-OPENINGS_KEPT:]
        opened.opening = Opening(state.opening, state.nonce, began, nonces)
        opened.layers.assembling.rows["meta"][b"format"] = FORMAT
        if is_restored and held is not None:
            opened._forget_own_changes()
            opened._doubt(held.own)
            opened.passing.end()
        opened.perform()
        return opened

    def _forget_own_changes(self) -> None:
        """What another epoch has changed is no change of this one's."""
        for key, _value in self.trees.scan("changed", b"", None):
            self.layers.assembling.rows["changed"][key] = None

    def _doubt(self, owner: int) -> None:
        """What is here of who it was may be of a history that its partners do not share."""
        self.owners.doubt(owner)
        self.heard_of(owner).forget()

    @property
    def version(self) -> int:
        """The newest of its own versions."""
        return self.heard[self.own].version

    def heard_of(self, owner: int) -> Heard:
        """What is here of an owner, to be changed."""
        self._heard_changed.add(owner)
        self.layers.assembling.is_touched = True
        return self.heard.setdefault(owner, Heard())

    def next_version(self) -> int:
        """Take the next of its own versions."""
        own = self.heard_of(self.own)
        own.version += 1
        return own.version

    def refuse_when_broken(self) -> None:
        """Raise when nothing can be promised any more.

        Raises:
            CounterStoreError: an earlier write failed.
            Overloaded: the disk is behind.

        """
        if self._broken is not None:
            raise CounterStoreError("an earlier write failed") from self._broken
        if self.layers.assembling.count >= STEP_ROWS_MAX:
            raise Overloaded("the disk of the counters is behind")

    @property
    def step(self) -> int:
        """The step in which everything becomes durable that was changed up to now."""
        return self._step_number + (not self.layers.assembling.is_empty)

    def counter(self, key: bytes) -> Counter:
        """A counter as it is now, durable or not."""
        return Counter(self.layers.parts(key), self.layers.tombstones(key))

    def stage_part(
        self, key: bytes, owner: int, part: Part | None, before: dict[int, Part]
    ) -> None:
        """Have an owner's part of a counter be another one; None = none."""
        held = before.get(owner)
        after = dict(before)
        if part is None:
            after.pop(owner, None)
        else:
            after[owner] = part
        self.layers.assembling.parts[key] = after
        heard = self.heard_of(owner)
        heard.weigh(held, -1)
        heard.weigh(part, 1)
        old, new = (0 if it is None else it.version for it in (held, part))
        if owner == self.own:
            self.layers.assembling.move(old, new, PART, key)
        else:
            self.passing.move(owner, old, new, PART + key)

    def stage_tombstone(
        self, key: bytes, deleter: int, tombstone: Tombstone | None, before: dict[int, Tombstone]
    ) -> None:
        """Have a deleter's tombstone of a counter be another one; None = none."""
        held = before.get(deleter)
        after = dict(before)
        if tombstone is None:
            after.pop(deleter, None)
        else:
            after[deleter] = tombstone
        self.layers.has_tombstones = True
        self.layers.assembling.tombstones[key] = after
        old, new = (0 if it is None else it.version for it in (held, tombstone))
        if deleter != self.own:
            self.passing.move(deleter, old, new, TOMBSTONE + key)
        elif old != new:
            self.layers.assembling.move(old, new, TOMBSTONE, key)

    def take_step(self) -> Step | None:
        """What is to become durable next; None = nothing, or a step is being written."""
        layer = self.layers.assembling
        if self.layers.writing is not None or (layer.is_empty and not self.owners.is_changed):
            return None
        heard = {number: self.heard[number].version for number in sorted(self._heard_changed)}
        levels = {number: self.heard[number].level for number in heard}
        for number in heard:
            layer.rows["heard"][number.to_bytes(4, "big")] = self.heard[number].encode()
        self._heard_changed.clear()
        state = State(
            epoch=self.epoch,
            own=self.own,
            buried_at=self.buried_at,
            swept_at=self.swept_at,
            opening=self.opening.number,
            nonce=self.opening.nonce,
            began=self.opening.began,
            nonces=self.opening.nonces,
        )
        layer.rows["meta"][b"state"] = state.encode()
        layer.rows["owners"].update(self.owners.take_changed())
        self._step_number += 1
        self.layers.writing, self.layers.assembling = layer, Layer()
        return Step(self._step_number, layer, heard, levels)

    def is_quick(self, step: Step) -> bool:
        """Whether it is written in less time than a thread takes to hear of it."""
        count = step.layer.rows_count
        return count <= QUICK_ROWS_MAX and self.trees.is_quick(count)

    def write(self, step: Step) -> None:
        """Make a step durable.

        Raises:
            CounterStoreError: final; what the step has may be durable or not.

        """
        with self._poisoned_by_errors():
            self.trees.commit(step.writes)

    def finish(self, step: Step) -> None:
        """A step is durable: reads see it."""
        assert step.number == self._step_number, "one step at a time"
        with self._poisoned_by_errors():
            self.trees.refresh()
        self.layers.writing = None
        self.durable_step = step.number
        self.durable_heard.update(step.heard)
        self.durable_levels.update(step.levels)
        if self.passing.is_on:
            self._news.update(step.heard)

    def take_news(self) -> set[int]:
        """Owners of whom more may be durable than when this was asked last, while some relay."""
        news, self._news = self._news, set()
        return news

    def perform(self) -> None:
        """Make all that was changed durable, here and now."""
        step = self.take_step()
        if step is not None:
            self.write(step)
            self.finish(step)

    @contextmanager
    def _poisoned_by_errors(self) -> Iterator[None]:
        if self._broken is not None:
            raise CounterStoreError("an earlier write failed") from self._broken
        try:
            yield
        except CounterStoreError as error:
            self._broken = error
            raise

    def close(self) -> None:
        """Give back what is held; what was not performed is lost."""
        self._broken = self._broken or CounterStoreError("the store was closed")
        self.trees.close()

    def check_echo(self, version: int) -> None:
        """Somebody has heard of us up to that version.

        Raises:
            OwnerForked: we know nothing of it: this is an old state of the directory.

        """
        if version > self.version:
            raise OwnerForked(
                f"a partner has heard up to version {version} of {self.epoch.hex()}, which is only"
                f" at {self.version} here: the directory is an old state; restore it as a new owner"
            )

    def meet(self, epoch: bytes, opening: Opening) -> None:
        """Note which opening of its directory an owner has now.

        Raises:
            OwnerForked: another one was met that was opened later, or as often.

        """
        owner = self.owners.number_of(epoch)
        held = self.heard.get(owner, Heard())
        known = (held.opening, held.nonce)
        if known == (opening.number, opening.nonce):
            return
        if opening.number <= held.opening:
            raise OwnerForked(
                f"{epoch.hex()} was opened {opening.number} times there, and {held.opening} times"
                " where it was met before: one of the two directories is a copy, or an old state"
            )
        if held.opening and not opening.is_behind(held.opening, held.nonce):
            raise OwnerForked(
                f"opening {held.opening} of {epoch.hex()} was another one there than was met"
                " before: that directory was an old state, or is a copy"
            )
        began = opening.began_behind(held.opening) if held.opening else None
        if began is not None and began < held.told:
            raise OwnerForked(
                f"{epoch.hex()} was opened there at version {began}, and has told more, up to"
                f" {held.told}, before: that directory was an old state"
            )
        heard = self.heard_of(owner)
        heard.opening, heard.nonce = opening.number, opening.nonce

    def digest(self, epoch: bytes) -> Digest:
        """What is here of an owner's parts."""
        heard = self.heard.get(self.owners.numbers.get(epoch, 0), Heard())
        return Digest(heard.count, heard.values, heard.versions)

    def invariants(self) -> None:
        """Assert what holds between any two calls; reads no tree."""
        assert self.durable_step <= self._step_number <= self.durable_step + 1
        assert (self.layers.writing is None) == (self.durable_step == self._step_number)
        for number, version in self.durable_heard.items():
            assert version <= self.heard[number].version, "what was heard stays heard"
        assert max(self.buried_at, self.swept_at) <= self.version, "it was one of its versions"
