"""Committed entries become the state of the store, and whoever waited for that is told.

Entries are applied in index order, each once.  While the store's memory is full they wait here;
that is bounded, because the core hands out no more than its apply quota before it is told how far
they are applied.  They wait as well behind the end of a long write, of which a turn takes over a
part (`store/long_write.py`), and when many come at once: a turn applies BYTES_A_TURN, or one entry
that is larger.  One that there is no memory to read is tried again with the next tick.  Whoever
reads what is applied goes on to see the state before.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from roost.errors import ShortOfMemory
from roost.member.cluster.roster import change_payload
from roost.member.pipeline.executor import Executor
from roost.member.pipeline.forwarding import Forwarder
from roost.member.pipeline.reads import ReadRounds
from roost.raft import Core, Entry, EntryKind, Role
from roost.store import Assembly, Store, is_effect

# Small writes of so much take a follower two milliseconds (2026-11), large ones less.
BYTES_A_TURN: Final = 16 << 10


class Applier:
    """Applies for one member; `on_change()` is called when the configuration has changed."""

    def __init__(
        self,
        core: Core,
        store: Store,
        executor: Executor,
        reads: ReadRounds,
        forwarder: Forwarder,
        *,
        on_change: Callable[[], None],
        schedule: Callable[[], None],
        on_starved: Callable[[], object],
    ) -> None:
        """Nothing waits; `schedule()` has `go_on` called in the next turn.

        `on_starved()` hears of it when an allocation has failed.
        """
        self._core = core
        self._store = store
        self._executor = executor
        self._reads = reads
        self._forwarder = forwarder
        self._on_change = on_change
        self._schedule = schedule
        self._on_starved = on_starved
        # There was no memory to read the first that waits.
        self._is_starved = False
        self._waiting: deque[Entry] = deque()
        # What the first that waits comes to, while it is being assembled.
        self._assembly: Assembly | None = None
        self.is_learner = False
        self._note_vote()

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply committed entries in order, or keep them until they can be."""
        if self._waiting or self._store.is_backed_up:
            self._waiting.extend(entries)
        elif len(entries) == 1 or sum(len(it.payload) for it in entries) <= BYTES_A_TURN:
            self._apply_now(entries)
        else:
            self._waiting.extend(entries)
            self.apply_rest()

    def apply_rest(self) -> None:
        """The store may have room again: apply what had to wait, as far as a turn goes."""
        waiting, size = self._waiting, 0
        while waiting and not (self._assembly or self._is_starved or self._store.is_backed_up):
            if size and size + len(waiting[0].payload) > BYTES_A_TURN:
                self._schedule()
                return
            entry = waiting.popleft()
            size += len(entry.payload)
            self._apply_now((entry,))

    def go_on(self) -> None:
        """Take over another part of a long write, or apply more of what waits; once a turn.

        What the store has dropped is freed here as well, a part a turn.
        """
        if self._store.old_count:
            self._store.free()
            self._schedule()
        assembly = self._assembly
        if assembly is None:
            if self._waiting:
                self.apply_rest()
            return
        try:
            is_whole = assembly.go_on()
        except MemoryError:
            self._assembly = None  # it is begun anew
            self._starve()
            return
        if not is_whole:
            self._schedule()
            return
        self._assembly = None
        self._apply_now((self._waiting.popleft(),), assembly)
        self.apply_rest()

    def _starve(self) -> None:
        self._is_starved = True
        self._on_starved()

    def tick(self) -> None:
        """There may be memory again, or something to free."""
        if self._is_starved or self._store.old_count:
            self._is_starved = False
            self._schedule()

    def _apply_now(self, entries: Sequence[Entry], assembled: Assembly | None = None) -> None:
        store, core, executor = self._store, self._core, self._executor
        assert entries[0].index == store.applied_index + 1, "each once, in the order of the log"
        index = 0
        for position, entry in enumerate(entries):
            kind = entry.kind
            if kind is EntryKind.NORMAL:
                payload = entry.payload
                if assembled is None and is_effect(payload) and self._must_wait(entry):
                    self._waiting.extendleft(reversed(entries[position:]))
                    break
            elif kind is EntryKind.CONFIGURATION:
                # Record and configuration are one write set, so no crash leaves one of them.
                configuration, context = core.apply_change(entry)
                payload = change_payload(context, configuration)
                self._note_vote()
                self._on_change()
            else:
                payload = b""
            try:
                store.apply(entry.index, payload, entry.term, assembled)
            except ShortOfMemory as error:
                if kind is EntryKind.CONFIGURATION:
                    raise MemoryError from error  # the core has taken it over already
                self._waiting.extendleft(reversed(entries[position:]))
                self._starve()
                break
            index = entry.index
            executor.on_applied(index, entry.term)
            if kind is EntryKind.EMPTY and entry.term == core.term and core.role is Role.LEADER:
                executor.open()
        if index:
            core.applied(index)
            self._tell(index)

    def _must_wait(self, entry: Entry) -> bool:
        """Begin to assemble the long write that ends with an entry, if that is not done."""
        self._assembly = self._store.assembly(entry.index, entry.payload)
        if self._assembly is None:
            return False
        self._schedule()
        return True

    def _tell(self, index: int) -> None:
        """Everything up to `index` can be seen here: answer those who waited for that."""
        self._reads.on_applied(index)
        self._forwarder.on_applied(index)

    def forget_waiting(self) -> None:
        """A snapshot comes in the place of what waits."""
        self._waiting.clear()
        self._assembly = None
        self._is_starved = False

    def on_installed(self, index: int) -> None:
        """A snapshot was put in place: it holds everything up to `index`."""
        self._tell(index)
        self._note_vote()

    def _note_vote(self) -> None:
        self.is_learner = not self._core.configuration.is_voter(self._core.id)
