"""What a store is, and how much is here of each owner: the rows of `meta` and `heard`.

meta    `state` -> MessagePack `State`
heard   u32 owner -> MessagePack: up to which versions, how many parts, the sums of their values
        and versions modulo 2^64, which opening of its directory was met last
"""

from dataclasses import dataclass

import msgspec

from roost.counters.algebra import Part
from roost.counters.errors import CounterStoreCorrupt
from roost.errors import UNDECODABLE

_MASK = (1 << 64) - 1
_encode = msgspec.msgpack.Encoder().encode


class State(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What a store is, besides its registers."""

    epoch: bytes
    own: int
    # The newest version at which a part of its own was made gone, and the newest that was swept.
    buried_at: int
    swept_at: int
    opening: int
    nonce: int
    # Its own version when it was opened, of the last openings up to this one; and their nonces,
    # where 0 = it was opened by a version that did not keep them.
    began: tuple[int, ...] = ()
    nonces: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """As it is kept."""
        return _encode(self)


class _HeardRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    version: int
    level: int
    count: int
    values: int
    versions: int
    opening: int
    nonce: int
    told: int = 0


@dataclass(frozen=True, slots=True)
class Digest:
    """What two members compare of one owner's parts: how many, and sums modulo 2^64."""

    count: int
    values: int
    versions: int


@dataclass(frozen=True, slots=True)
class Opening:
    """Which opening of a directory a store is of.

    `began` has its owner's version at the last openings, up to this one, and `nonces` theirs.
    """

    number: int
    nonce: int
    began: tuple[int, ...] = ()
    nonces: tuple[int, ...] = ()

    def began_behind(self, known: int) -> int | None:
        """The version at the first opening behind one that is known; None = that is not kept."""
        count = self.number - known
        return self.began[-count] if 0 < count <= len(self.began) else None

    def is_behind(self, known: int, nonce: int) -> bool:
        """Whether it may have come behind an opening that is known: False = that was another's."""
        back = self.number - known
        held = self.nonces[-back - 1] if 0 <= back < len(self.nonces) else 0
        return held in (0, nonce)


@dataclass(slots=True)
class Heard:
    """What is here of one owner, durable or not.

    `level` is the newest version at which all that the owner had was here.  What was heard up to a
    later one may lack a register that has changed again since, and comes later.  `told` is up to
    where the owner has told its changes itself, at the openings that were met; a relay may have
    told more, of openings that were not.
    """

    version: int = 0
    level: int = 0
    count: int = 0
    values: int = 0
    versions: int = 0
    opening: int = 0
    nonce: int = 0
    told: int = 0

    def forget(self) -> None:
        """Up to nowhere was anything heard; what is here is here, still."""
        self.version = self.level = self.opening = self.nonce = self.told = 0

    def weigh(self, part: Part | None, sign: int) -> None:
        """Add a part, or take it away."""
        if part is not None and not part.is_gone:
            self.count += sign
            self.values = (self.values + sign * part.value) & _MASK
            self.versions = (self.versions + sign * part.version) & _MASK

    def encode(self) -> bytes:
        """As it is kept."""
        return _encode(
            _HeardRow(
                self.version,
                self.level,
                self.count,
                self.values,
                self.versions,
                self.opening,
                self.nonce,
                self.told,
            )
        )


_decode_state = msgspec.msgpack.Decoder(State).decode
_decode_heard = msgspec.msgpack.Decoder(_HeardRow).decode


def read_state(value: bytes) -> State:
    """What a store is, as it was kept.

    Raises:
        CounterStoreCorrupt: it cannot be read.

    """
    try:
        return _decode_state(value)
    except UNDECODABLE as error:
        raise CounterStoreCorrupt(f"a state that cannot be read: {error}") from error


def read_heard(value: bytes) -> Heard:
    """What is here of one owner, as it was kept.

    Raises:
        CounterStoreCorrupt: it cannot be read.

    """
    try:
        return Heard(*msgspec.structs.astuple(_decode_heard(value)))
    except UNDECODABLE as error:
        raise CounterStoreCorrupt(f"an owner that cannot be read: {error}") from error
