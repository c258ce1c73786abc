"""The store: trees as layers over LMDB.

    speculative layers   leader only: proposed, not yet committed, one for each log position
    applied layers       committed, not yet on their way to LMDB: one that is open, and sealed ones
    flushing layers      on their way: the keeper has been asked to make them durable
    LMDB                 durable, lagging; says itself up to which log position (applied_index)

A read looks from the top down.  When the applied layers are large or old enough they become the
flushing ones; when the keeper answers, those are dropped.  After a crash LMDB is the state at its
applied index, and the journal has the rest.  `hold` gives a view of the state of now that stays
readable over many turns, see `held`.

Full?  While a flush is on its way and the applied layers are over their size again, `is_backed_up`
says so, and the owner stops applying and executing until `on_room` is called.
"""

import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from roost.errors import ShortOfMemory
from roost.histogram import Histogram
from roost.store.catalog import (
    CATALOG_ID,
    GUID_KEY,
    METADATA_ID,
    METADATA_NAME,
    PARTS_ID,
    PARTS_NAME,
    STORAGE_VERSION,
    VERSION_KEY,
    Tree,
    check_version,
)
from roost.store.counted import Counted, Growth, Newness
from roost.store.errors import MalformedWriteSet, StoreCorrupt, StoreError, UnknownTree
from roost.store.held import HeldView, HeldViews
from roost.store.keeper import Keeper
from roost.store.layer import Layer
from roost.store.long_write import Assembly, LongChanges, is_effect
from roost.store.observers import Observer, Observers
from roost.store.stack import LayerStack
from roost.store.stall import Stall
from roost.store.txn import Txn
from roost.store.view import View
from roost.store.write_set import Changes

logger = logging.getLogger(__name__)
BOOTSTRAP_INDEX, BOOTSTRAP_TERM = 1, 1
# How long a store that is closed waits for each of its last flushes.
CLOSE_S: Final = 1.0
# Keys of sealed layers that are merged in a tick: a millisecond.
_MERGE_COUNT: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """Sizes in bytes, ages in seconds."""

    layer_bytes_max: int = 32 << 20
    flush_age_s: float = 5.0
    # Of layers that are kept for held views alone.
    held_bytes_max: int = 128 << 20


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """A frozen view of the store; what is in memory only is not in `db_bytes`."""

    applied_index: int
    durable_index: int
    applied_bytes: int
    flushing_bytes: int
    speculative_bytes: int
    db_bytes: int
    db_in_use_bytes: int
    flush_count: int

    @property
    def memory_bytes(self) -> int:
        """What is not in the file yet: proposed, applied, on its way."""
        return self.speculative_bytes + self.applied_bytes + self.flushing_bytes

    @property
    def in_use_bytes(self) -> int:
        """What the trees take, once all of them is in the file."""
        return self.db_in_use_bytes + self.memory_bytes

    @property
    def size_bytes(self) -> int:
        """How large the file is, once what is in memory stands in it."""
        return max(self.db_bytes, self.in_use_bytes)


class Proposed:
    """A write set at the log position that it was proposed for, and what it writes."""

    __slots__ = ("index", "layer", "payload")

    def __init__(self, index: int, layer: Layer, payload: bytes) -> None:
        """It is on its way."""
        self.index = index
        self.layer = layer
        self.payload = payload


class Store:
    """One member's trees.  One owner, one thread."""

    def __init__(self, config: StoreConfig, keeper: Keeper) -> None:
        """Use `open`."""
        self._config = config
        self._keeper = keeper
        self._stall = Stall()
        self._attach(keeper)
        self._base = keeper.reader()
        self._base.on_corrupt = self._on_corrupt
        self.durable_index, self.applied_term = self._base.applied()
        self.applied_index = self.durable_index
        self._flushing_index = 0
        self._applied_since: float | None = None
        self._is_dirty = False
        # What was proposed and is not yet committed, oldest first.
        self._speculative: deque[Proposed] = deque()
        # Its list is changed in place, so `view` stays one object.
        self._stack = LayerStack()
        self.view = View(self._stack.layers, self._base)
        self.held_views = HeldViews(
            self._stack,
            self._base,
            lambda: self._written_index,
            bytes_max=config.held_bytes_max,
        )
        # Up to here something was written: what follows moved only the index.
        self._written_index = self.applied_index
        self._observers = Observers()
        # Told of a write set before it is applied, while `view` shows what was there before; for
        # whoever has to know that.  A put costs nothing as long as nobody has.
        self.witness: Observer | None = None
        self._counted: dict[int, Counted] = {}
        self._switch_observers: list[Callable[[], Callable[[], None]]] = []
        # (log position, whom to tell when it is durable), oldest first; see `make_durable`.
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._flush_count = 0
        self._flush_began_s = 0.0
        self.flushes = Histogram()
        # Called with a log position and the digest of the state there, now and then.
        self.on_digest: Callable[[int, bytes], None] = lambda _index, _digest: None
        # Committed entries that were no write sets.
        self.poison_count = 0
        # Called when a flush finds the disk full: what it frees is used.
        self.on_full: Callable[[], None] = lambda: None
        self._on_move_done: Callable[[int, int], None] | None = None
        self.on_room: Callable[[], None] = lambda: None
        self.on_failure: Callable[[StoreError], None] = _raise

    @classmethod
    def open(cls, *, config: StoreConfig, keeper: Keeper) -> "Store":
        """Open the store that `keeper` writes; `is_new` says whether `bootstrap` must follow.

        Raises:
            StoreForeign: another version wrote it.

        """
        store = cls(config, keeper)
        check_version(store.view.get(METADATA_ID, VERSION_KEY))
        return store

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever made durable here."""
        return self.view.get(METADATA_ID, VERSION_KEY) is None

    def bootstrap(self, write: Callable[[Txn], None], *, guid: uuid.UUID) -> None:
        """Write the first content durably, as if it were entry 1 of term 1 of every log.

        It is no entry: whoever joins later gets a snapshot (checklist 9).
        """
        assert self.is_new, "a store is bootstrapped once"
        txn = self.begin()
        txn.put(CATALOG_ID, METADATA_NAME.encode(), METADATA_ID.to_bytes(2, "big"))
        txn.put(CATALOG_ID, PARTS_NAME.encode(), PARTS_ID.to_bytes(2, "big"))
        txn.put(METADATA_ID, GUID_KEY, guid.bytes)
        write(txn)
        txn.put(METADATA_ID, VERSION_KEY, STORAGE_VERSION.to_bytes(4, "big"))
        self.apply(BOOTSTRAP_INDEX, txn.encode(), BOOTSTRAP_TERM)
        self.flush()
        self._keeper.wait()

    @property
    def guid(self) -> uuid.UUID:
        """What tells this database from others (D3)."""
        return uuid.UUID(bytes=self.view.get(METADATA_ID, GUID_KEY))

    def tree(self, name: str) -> Tree:
        """An existing tree.

        Raises:
            UnknownTree: there is none of that name.

        """
        held = self.view.get(CATALOG_ID, name.encode())
        if held is None:
            raise UnknownTree(name)
        return Tree(int.from_bytes(held, "big"), name)

    def trees(self) -> list[Tree]:
        """All trees but the catalogue, by name."""
        rows = self.view.scan(CATALOG_ID)
        return [Tree(int.from_bytes(value, "big"), name.decode()) for name, value in rows]

    def begin(self) -> Txn:
        """A transaction that sees everything applied and proposed."""
        return Txn(self._proposed_and_applied(), self._base)

    def renew(self, txn: Txn) -> None:
        """Have a transaction of an earlier turn look through the layers of now.

        What it sees must be the same: nothing was proposed since it began but parts of its own.
        But what was proposed may have been applied since, and what was applied have gone into the
        file: such layers are emptied, those that somebody holds or that have few keys are not, and
        an older one of these would speak in the place of a newer one that is.
        """
        txn.look_through(self._proposed_and_applied())

    def _proposed_and_applied(self) -> list[Layer]:
        """All layers, the newest first."""
        proposed = [it.layer for it in self._speculative]
        proposed.reverse()
        return [*proposed, *self._stack.layers]

    def hold(self) -> HeldView:
        """Keep what is applied now readable over many turns; whoever gets it closes it.

        Raises:
            Overloaded: as many states are held as can be.
            StoreError: LMDB refuses.

        """
        return self.held_views.hold()

    @property
    def layers(self) -> LayerStack:
        """Where the layer of a long write can be kept by whoever goes through it (`Records`)."""
        return self._stack

    def speculate(self, index: int, txn: Txn, payload: bytes) -> None:
        """`txn` was proposed as `payload` at log position `index`; later transactions see it."""
        assert not self._speculative or index > self._speculative[-1].index, "positions grow"
        self._speculative.append(Proposed(index, txn.layer, payload))

    def drop_speculative(self) -> None:
        """Leadership is lost: nobody may see what was proposed."""
        self._speculative.clear()

    def assembly(self, index: int, payload: bytes) -> Assembly | None:
        """What must be assembled before the next entry can be applied; None = nothing.

        Where it was proposed, what it comes to is there already.
        """
        if not is_effect(payload):
            return None
        assert index == self.applied_index + 1, "its parts are applied, and nothing else"
        proposed = self._speculative[0] if self._speculative else None
        if proposed is not None and proposed.index == index and proposed.payload == payload:
            return None
        return Assembly(payload, self.view.get)

    def apply(
        self,
        index: int,
        payload: bytes,
        term: int = BOOTSTRAP_TERM,
        assembled: Assembly | None = None,
    ) -> None:
        """Apply the committed entry at `index`; an empty payload only moves the index.

        `assembled` is what `assembly` gave for it, when all of it was taken over.

        Total (P13): a payload that is no write set changes nothing, on every member alike.

        Raises:
            ShortOfMemory: there was none to read it; it is not applied, and may be tried again.

        """
        assert index == self.applied_index + 1, "entries apply once, in order"
        if not payload:
            self.applied_index, self.applied_term = index, term
            return
        try:
            written = self._written(index, payload, assembled)
        except MemoryError as error:
            raise ShortOfMemory("an entry could not be read") from error
        self.applied_index, self.applied_term = index, term
        if isinstance(written, MalformedWriteSet):
            self._on_poison(index, written)
            return
        if is_effect(payload):
            changes: Changes = LongChanges(payload, written)
        else:
            changes = Changes(payload, trees=frozenset(written.trees))
        if self._counted:
            self._count(written)
        if self.witness is not None:
            self.witness(index, changes)
        self._stack.add(written)
        self._written_index = index
        self._is_dirty = True
        self._keeper.add(index, term, payload)
        self._observers.tell(index, changes)
        if self._stack.unflushed_bytes >= self._config.layer_bytes_max:
            self.flush()

    def _written(
        self, index: int, payload: bytes, assembled: Assembly | None
    ) -> Layer | MalformedWriteSet:
        """What an entry comes to, or why it is no write set; nothing is applied so far."""
        proposed = self._take_proposed(index, payload)
        if proposed is not None:
            # What was proposed is what was committed, so the layer is what the write set would
            # come to.  It says itself which trees it writes: the leader decodes nothing, and
            # observers pay for the records only when they look at them.
            return proposed
        if is_effect(payload):
            assembled = assembled or Assembly(payload, self.view.get)
            assembled.finish()
            assert assembled.payload == payload, "it was assembled for this entry"
            return assembled.fault or assembled.layer
        layer = Layer()
        try:
            layer.carry_out(payload)
        except MalformedWriteSet as error:
            return error
        return layer

    def _take_proposed(self, index: int, payload: bytes) -> Layer | None:
        """The layer that was proposed as this very entry; None where it is another's."""
        if not self._speculative or self._speculative[0].index != index:
            return None
        proposed = self._speculative.popleft()
        # The same position is not the same entry: we may have lost the lead with this one on its
        # way.  The bytes decide; where the entry never left this process it is the same object.
        if proposed.payload is payload or proposed.payload == payload:
            return proposed.layer
        # Another leader's entry took the position: whatever was proposed upon ours is gone, too.
        self._speculative.clear()
        return None

    def _on_poison(self, index: int, error: MalformedWriteSet) -> None:
        self.poison_count += 1
        logger.error("entry %d changes nothing: %s", index, error)

    def count_keys(self, tree_id: int, newness: Newness, growth: Growth) -> Counted:
        """Keep how many keys the ranges of a tree have; see `counted`."""
        counted = Counted(tree_id, self.view, newness, growth)
        self._counted[tree_id] = counted
        self.observe_switch(lambda: counted.begin_anew)
        return counted

    def _count(self, written: Layer) -> None:
        """Note the keys that come and go, before they do."""
        for tree_id, counted in self._counted.items():
            if tree_id in written.trees:
                counted.note(written)

    def observe(self, observer: Observer, trees: Iterable[int] | None = None) -> None:
        """Call `observer(index, changes)` after each applied write set that writes one of `trees`.

        None means every write set, also one that only annotates.  Calls come in log order, and
        for one entry in the order in which the observers were added.
        """
        self._observers.add(observer, trees)

    @property
    def is_backed_up(self) -> bool:
        """Whether memory is full: a flush is on its way and the next layer is over its size."""
        stack = self._stack
        return stack.is_flushing and stack.unflushed_bytes >= self._config.layer_bytes_max

    @property
    def is_stuck(self) -> bool:
        """Whether memory is full, and the flush that would make room does not get on."""
        return self._stall.is_stuck and self.is_backed_up

    def flush(self) -> None:
        """Start making what is applied durable, unless a flush is on its way already."""
        if self._stack.is_flushing or not self._is_dirty:
            return
        # What is on its way stays in the stack, and readers go on to see it, until the base is
        # read again and holds the same.  At no instant is anything in neither.
        self._stack.flush()
        self._flushing_index = self.applied_index
        self._applied_since = None
        self._is_dirty = False
        self._flush_began_s = perf_counter()
        self._keeper.flush(self.applied_index, self.applied_term)

    def make_durable(self, done: Callable[[], None]) -> None:
        """Make everything applied so far durable, as soon as the keeper can, and call `done`."""
        self._waiting.append((self.applied_index, done))
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        """Tell who waited for what is durable; flush for the others."""
        while self._waiting and self._is_durable(self._waiting[0][0]):
            self._waiting.popleft()[1]()
        if self._waiting:
            self.flush()

    def _is_durable(self, index: int) -> bool:
        """Whether nothing that was written up to `index` is in memory alone."""
        return index <= self.durable_index or not (self._stack.is_flushing or self._is_dirty)

    def flush_if_due(self, now_s: float) -> None:
        """Flush when the oldest unflushed change is old enough; `now_s` never goes back."""
        self._keeper.send_queued()
        is_flushing = self._stack.is_flushing
        size_bytes = self._stack.flushing_bytes
        self._stall.look(
            self._flush_count, is_flushing=is_flushing, now_s=now_s, size_bytes=size_bytes
        )
        self.held_views.look(now_s)
        if self._stack.wants_merge:
            self._stack.merge(_MERGE_COUNT)
        if not self._is_dirty:
            return
        if self._applied_since is None:
            self._applied_since = now_s
        elif now_s - self._applied_since >= self._config.flush_age_s:
            self.flush()

    @property
    def old_count(self) -> int:
        """How many keys nobody sees any more are to be freed; zero when idle."""
        return self._stack.old_count

    def free(self) -> None:
        """Free some of them; the owner does so once a turn of the loop, while any are left."""
        self._stack.free()

    def free_all(self) -> None:
        """Free all of them: for an owner without turns, whose writes would all stay in memory."""
        while self._stack.old_count:
            self._stack.free()

    def _on_flushed(self, index: int) -> None:
        assert index == self._flushing_index, "flushes are answered in order"
        try:
            self._base.refresh()
        except StoreError as error:
            self.on_failure(error)
            return
        # Only after the reader sees it: whoever compacts the journal goes by this number, and what
        # the journal has forgotten must be here to be read (J29).
        self.durable_index = index
        # It may have gone on to the next point at which digests are compared.
        assert self._base.applied()[0] >= index, "the keeper wrote what it was given"
        self._stack.on_flushed()
        self.held_views.shrink()
        self._flush_count += 1
        self.flushes.note(perf_counter() - self._flush_began_s)
        if self._stack.unflushed_bytes >= self._config.layer_bytes_max:
            self.flush()
        self._tell_waiting()
        self.on_room()

    def _attach(self, keeper: Keeper) -> None:
        """Hear what a keeper says."""
        keeper.on_flushed = self._on_flushed
        keeper.on_failed = self._on_failed
        keeper.on_digest = self._on_digest
        keeper.on_full = self._on_full
        keeper.on_progress = self._stall.note_progress
        keeper.on_moved = self._on_moved

    def _on_digest(self, index: int, digest: bytes) -> None:
        self.on_digest(index, digest)

    def _on_failed(self, error: StoreError) -> None:
        self.on_failure(error)

    def _on_corrupt(self, error: StoreCorrupt) -> None:
        self.on_failure(error)

    def switch(self, keeper: Keeper) -> None:
        """Go over to the trees that `keeper` writes: a snapshot, newer than all we hold.

        What was in memory is forgotten; `view` stays good and shows the new trees.
        """
        on_switched = [prepare() for prepare in self._switch_observers]
        self.held_views.lose_all("a snapshot has taken its place")
        self._keeper.close()
        self._keeper = keeper
        self._attach(keeper)
        self._base.become(keeper.reader())
        self.durable_index, self.applied_term = self._base.applied()
        assert self.durable_index > self.applied_index, "a snapshot never takes anything back"
        self.applied_index = self._written_index = self.durable_index
        self._stack.clear()
        self._speculative.clear()
        self._applied_since = None
        self._is_dirty = False
        for tell in on_switched:
            tell()
        self._tell_waiting()

    def durable_digest(self) -> bytes:
        """The digest of what is durable."""
        return self._base.digest()

    def move(self, directory: Path, done: Callable[[int, int], None]) -> None:
        """Have the base rewritten in a new directory; `done(index, term)` says what it holds.

        What is in memory stays there, and `view` goes on without a gap.
        """
        self._on_move_done = done
        self._keeper.move(directory)

    def _on_moved(self, index: int, term: int) -> None:
        self._base.become(self._keeper.moved_reader())
        done, self._on_move_done = self._on_move_done, None
        assert done is not None, "the base moves when it was told to"
        done(index, term)

    def _on_full(self) -> None:
        self.on_full()

    def observe_switch(self, prepare: Callable[[], Callable[[], None]]) -> None:
        """Call `prepare()` before a snapshot replaces everything, and what it returns after."""
        self._switch_observers.append(prepare)

    def invariants(self) -> None:
        """Assert what holds between any two calls; it looks at no key."""
        assert self.durable_index <= self.applied_index, "what is durable was applied"
        self._stack.invariants()
        if self._stack.is_flushing:
            assert self.durable_index < self._flushing_index <= self.applied_index, "on its way"
        if not self._is_dirty:
            assert self._stack.is_clean, "what was applied is to be flushed"
        assert self._written_index <= self.applied_index, "what was written was applied"
        if self._speculative:
            assert self._speculative[0].index > self.applied_index, "what is proposed lies ahead"
        assert not self._waiting or not self._is_durable(self._waiting[0][0]), (
            "nobody waits in vain"
        )

    def statistics(self) -> StoreStatistics:
        """A frozen view."""
        db_bytes, in_use = self._base.size_bytes()
        return StoreStatistics(
            self.applied_index,
            self.durable_index,
            self._stack.unflushed_bytes,
            self._stack.flushing_bytes,
            sum(it.layer.size_bytes for it in self._speculative),
            db_bytes,
            in_use,
            self._flush_count,
        )

    def close(self) -> None:
        """Make everything applied durable, as far as the disk answers in time, then close."""
        is_done = not self._stack.is_flushing or self._keeper.wait(CLOSE_S)
        if is_done:
            self.flush()
            is_done = self._keeper.wait(CLOSE_S)
        if not is_done:
            logger.warning("the store was not written in time: a start reads the journal instead")
        self._base.close()
        self._keeper.close()

    def abandon(self) -> None:
        """Close without making anything durable, as a crash would."""
        self._base.close()
        self._keeper.close()


def _raise(error: StoreError) -> None:
    raise error
