"""What others have counted, by version, so that a link can pass it on (relay it).

    passed   u32 owner, u64 version -> PART or TOMBSTONE, name: one row for each register of others
    meta     `passing` -> MessagePack {u32 owner: u64 version}; there while rows are kept

Rows are kept only while this member has a link that relays.  They are whole for each owner from a
version on (`since`): registers that came before rows were kept have none, and what was removed
leaves none.  Whoever has heard less than that gets all of the owner's registers instead, as pages.
"""

from collections.abc import Mapping

import msgspec

from roost.counters.algebra import FOLD_VERSION
from roost.counters.errors import CounterStoreCorrupt
from roost.counters.layers import Layers
from roost.errors import UNDECODABLE

_ROW = b"passing"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[int, int]).decode


def place_of(owner: int, version: int) -> bytes:
    """Where a register of that version lies."""
    return owner.to_bytes(4, "big") + version.to_bytes(8, "big")


class Passing:
    """One store's."""

    def __init__(self, layers: Layers) -> None:
        """Go on as the store says.

        Raises:
            CounterStoreCorrupt: it cannot be read.

        """
        self._layers = layers
        self._since: dict[int, int] = {}
        row = layers.trees.get("meta", _ROW)
        self.is_on = row is not None
        if row is not None:
            try:
                self._since = _decode(row)
            except UNDECODABLE as error:
                raise CounterStoreCorrupt(f"a row that cannot be read: {error}") from error

    def begin(self, heard: Mapping[int, int]) -> None:
        """Keep rows from now on; up to where others are heard, there are none."""
        if not self.is_on:
            self.is_on, self._since = True, dict(heard)
            self._keep()

    def end(self) -> None:
        """Keep none any more.  Those that are there are overwritten, or of no use: see `begin`."""
        if self.is_on:
            self.is_on, self._since = False, {}
            self._layers.assembling.rows["meta"][_ROW] = None

    def _keep(self) -> None:
        self._layers.assembling.rows["meta"][_ROW] = _encode(self._since)

    def since(self, owner: int) -> int:
        """Behind which of an owner's versions all rows are there."""
        return self._since.get(owner, 0)

    def move(self, owner: int, old: int, new: int, row: bytes) -> None:
        """A register of another owner's has another version now; 0 = none."""
        if not self.is_on or old == new:
            return
        rows = self._layers.assembling.rows["passed"]
        if old:
            rows[place_of(owner, old)] = None
        if new:
            rows[place_of(owner, new)] = row
        # Of a version that several registers have (`algebra`: folds) there is one row.
        lost = new if new == FOLD_VERSION else 0 if new else old
        if lost > self.since(owner):
            self._since[owner] = lost
            self._keep()
