"""How a member comes to have what the others have, before it serves anybody.

    FEEDING    it has pages sent by a seed, a member of the operator's choice; links of all others
               deliver meanwhile, and what they bring is taken at once
    LEVELLING  it has all pages; each link has to be empty once
    SILENT     it could serve, and is kept from it, until somebody says so
    READY      it serves

Where it is, and behind which name to go on, is in the row `joining` of the tree `meta`, in the
same step as the page: after a crash it goes on, from the same seed or another one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from roost.counters import receiving
from roost.counters.errors import CounterStoreCorrupt, NotReady
from roost.counters.messages import Head, Page, Purpose, WantPage
from roost.counters.store import Store
from roost.errors import UNDECODABLE

ANSWER_S = 2.0
_ROW = b"joining"


class Phase(Enum):
    """How far a member has come."""

    FEEDING = "feeding"
    LEVELLING = "levelling"
    SILENT = "silent"
    READY = "ready"


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    phase: Phase
    is_silent: bool
    after: bytes
    heads: list[Head]
    names_count: int
    rows_count: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a member has come; `share` of the seed's names, from 0 to 1."""

    phase: Phase
    names_count: int
    rows_count: int
    share: float


@dataclass(slots=True)
class Pull:
    """Pages wanted of one partner, one at a time, each when the one before is there."""

    purpose: Purpose
    epoch: bytes = b""
    after: bytes = b""
    heads: dict[bytes, int] | None = None
    is_done: bool = False
    _ask_at_s: float = field(default=0.0)

    def next_message(self, now_s: float) -> WantPage | None:
        """The page to ask for; None = not now."""
        if self.is_done or now_s < self._ask_at_s:
            return None
        self._ask_at_s = now_s + ANSWER_S
        return WantPage(purpose=self.purpose, epoch=self.epoch, after=self.after)

    def take(self, store: Store, page: Page) -> bool:
        """Take a page into the store, if it is the one that is wanted.

        Raises:
            MalformedCounters, OwnerForked, Overloaded, CounterStoreError: as `receive_page`.

        """
        is_wanted = (page.purpose, page.epoch, page.after) == (self.purpose, self.epoch, self.after)
        if self.is_done or not is_wanted:
            return False
        receiving.receive_page(store, page)
        told = {it.epoch: it.version for it in page.heads}
        # Of pages that were read at different times holds what the earliest of them had heard.
        held = told if self.heads is None else self.heads
        self.heads = {it: min(held[it], told[it]) for it in sorted(held.keys() & told.keys())}
        self.after, self._ask_at_s = page.until, 0.0
        if not page.until:
            self.is_done = True
            wanted = {self.epoch} if self.epoch else self.heads.keys()
            heads = [Head(it, self.heads[it]) for it in sorted(wanted & self.heads.keys())]
            receiving.adopt(store, heads)
        return True


class Joining:
    """One member's way in.  A member that has never been told to join is ready."""

    def __init__(self, store: Store) -> None:
        """Go on from where the store says.

        Raises:
            CounterStoreError: that cannot be read.

        """
        self._store = store
        self._levels: dict[bytes, int] = {}
        self._is_level: set[bytes] = set()
        self._names_count = self._rows_count = 0
        self._is_silent = False
        self.phase = Phase.READY
        self.pull = Pull(Purpose.SEED)
        row = store.layers.get("meta", _ROW)
        if row is not None:
            try:
                kept = _decode(row)
            except UNDECODABLE as error:
                raise CounterStoreCorrupt(f"a row that cannot be read: {error}") from error
            self.phase, self._is_silent = kept.phase, kept.is_silent
            self._names_count, self._rows_count = kept.names_count, kept.rows_count
            heads = {it.epoch: it.version for it in kept.heads}
            self.pull.after, self.pull.heads = kept.after, heads if kept.after else None
            self.pull.is_done = self.phase is not Phase.FEEDING

    def begin(self, *, is_silent: bool = False) -> None:
        """Be fed, as a new member; and be kept silent, if somebody wants that."""
        self.phase, self._is_silent = Phase.FEEDING, is_silent
        self.pull = Pull(Purpose.SEED)
        self._keep()

    def _keep(self) -> None:
        heads = [Head(epoch, version) for epoch, version in (self.pull.heads or {}).items()]
        kept = _Kept(
            self.phase, self._is_silent, self.pull.after, heads,
            self._names_count, self._rows_count,
        )  # fmt: skip
        self._store.layers.assembling.rows["meta"][_ROW] = _encode(kept)

    def go_without(self) -> None:
        """There is nobody who could feed it."""
        if self.phase is Phase.FEEDING:
            self.pull.is_done, self.phase = True, Phase.LEVELLING
            self._keep()

    def on_page(self, page: Page) -> None:
        """A page of the seed's has come."""
        if self.phase is not Phase.FEEDING or not self.pull.take(self._store, page):
            return
        self._names_count = page.names_count
        self._rows_count += len(page.parts) + len(page.tombstones)
        if self.pull.is_done:
            self.phase = Phase.LEVELLING
        self._keep()

    def on_told(self, epoch: bytes, version: int) -> None:
        """A source says how far it is: when that is here, its link has been empty."""
        self._levels.setdefault(epoch, version)

    def look(self, sources: Iterable[bytes]) -> None:
        """See whether every link has been empty; `sources` has all that there are."""
        for epoch in sources:
            number = self._store.owners.numbers.get(epoch, 0)
            heard = self._store.durable_heard.get(number, 0)
            is_doubted = self._store.owners.is_doubted(epoch)
            if epoch in self._levels and heard >= self._levels[epoch] and not is_doubted:
                self._is_level.add(epoch)
        if self.phase is Phase.LEVELLING and self._is_level.issuperset(sources):
            self.phase = Phase.SILENT if self._is_silent else Phase.READY
            self._keep()

    def serve(self) -> None:
        """Somebody says that it may serve, as soon as it can."""
        self._is_silent = False
        if self.phase is Phase.SILENT:
            self.phase = Phase.READY
        self._keep()

    def refusal(self) -> NotReady | None:
        """Why clients are not served; None = they are."""
        if self.phase is Phase.READY:
            return None
        return NotReady(self.phase.value, self.progress().share)

    def progress(self) -> Progress:
        """How far it has come."""
        held = self._store.trees.count("parts")
        is_fed = self.phase is not Phase.FEEDING
        share = 1.0 if is_fed else min(1.0, held / max(1, self._names_count))
        return Progress(
            phase=self.phase,
            names_count=self._names_count,
            rows_count=self._rows_count,
            share=share,
        )
