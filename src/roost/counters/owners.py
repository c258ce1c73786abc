"""Owners of registers: their epochs, the numbers that they have here, and what became of them.

An *epoch* is 16 bytes of chance, made with a store; names that people read are the registry's, not
the store's.  A row of the tree `owners` is u32 number -> MessagePack `Owner`.

A fold is an owner as well.  It begins with those who become part of it (`into`), ends name by
name, behind a `cursor`, and has ended when it has come to the last.

Of an owner whose directory this one is a copy of there may be here what it has never counted: it
is doubted until it has replaced all that is here of it.

Full?  There are OWNERS_MAX, twice as many as a cluster lets count (`facts`); a partner that tells
of more is not believed.
"""

from collections.abc import Iterable

import msgspec

from roost.counters.errors import CounterStoreCorrupt, MalformedCounters
from roost.counters.rows import EPOCH_BYTES
from roost.errors import UNDECODABLE

OWNERS_MAX = 1 << 13
# When there are as many, other clusters tell of nobody new: the rest is for this one.
OUTSIDE_OWNERS_MAX = 1 << 12


class Owner(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One owner, as it is kept."""

    epoch: bytes
    into: int = 0
    is_fold: bool = False
    cursor: bytes = b""
    has_ended: bool = False
    is_forgotten: bool = False
    # What is here of it may be of a copy of its directory that has counted by itself.
    is_doubted: bool = False
    # Under which name it has said to count, at which member of this cluster.
    called: str = ""
    member_id: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Owner).decode


class Owners:
    """All owners that a store knows; whoever changes them writes the rows that are `changed`."""

    def __init__(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Read what is kept.

        Raises:
            CounterStoreCorrupt: it cannot be read.

        """
        self.numbers: dict[bytes, int] = {}
        self.epochs: dict[int, bytes] = {}
        self._owners: dict[int, Owner] = {}
        self._newest = 0
        self._changed: dict[bytes, bytes | None] = {}
        for key, value in rows:
            try:
                self._keep(int.from_bytes(key, "big"), _decode(value))
            except UNDECODABLE as error:
                raise CounterStoreCorrupt(f"an owner that cannot be read: {error}") from error

    def _keep(self, number: int, owner: Owner) -> None:
        self._owners[number] = owner
        self._newest = max(self._newest, number)
        self.numbers[owner.epoch] = number
        self.epochs[number] = owner.epoch

    def _write(self, number: int, owner: Owner) -> None:
        self._keep(number, owner)
        self._changed[number.to_bytes(4, "big")] = _encode(owner)

    def take_changed(self) -> dict[bytes, bytes | None]:
        """Rows to be written."""
        found, self._changed = self._changed, {}
        return found

    @property
    def is_changed(self) -> bool:
        """Whether rows wait to be written."""
        return bool(self._changed)

    def number_of(self, epoch: bytes) -> int:
        """An owner's number; a new one gets the next.

        Raises:
            MalformedCounters: there are as many as there can be.

        """
        assert len(epoch) == EPOCH_BYTES, "epochs are checked where they come in"
        found = self.numbers.get(epoch)
        if found is None:
            if len(self._owners) >= OWNERS_MAX:
                raise MalformedCounters(f"more than {OWNERS_MAX} owners are told of")
            found = self._newest + 1
            self._write(found, Owner(epoch=epoch))
        return found

    def behind(self, number: int) -> range:
        """The numbers of those who came later than one: numbers are given one after another."""
        return range(number + 1, self._newest + 1)

    def is_fold(self, number: int) -> bool:
        """Whether it is a fold."""
        return self._owners[number].is_fold

    def folds_begun(self) -> dict[int, int]:
        """The fold that an owner becomes part of, or has, by their numbers."""
        return {number: it.into for number, it in self._owners.items() if it.into}

    def folds_named(self) -> dict[int, int]:
        """The same, of folds that deletes have to name."""
        begun = self.folds_begun().items()
        return {it: fold for it, fold in begun if not self._owners[fold].is_forgotten}

    def forgotten(self) -> frozenset[int]:
        """Owners that are in folds which have ended everywhere."""
        return frozenset(self.folds_begun().keys() - self.folds_named().keys())

    def is_forgotten(self, fold: int) -> bool:
        """Whether a fold has ended everywhere."""
        return self._owners[fold].is_forgotten

    def forget_fold(self, epoch: bytes) -> None:
        """Note that a fold has ended everywhere."""
        number = self.numbers[epoch]
        assert self._owners[number].has_ended, "everywhere is here as well"
        self._write(number, msgspec.structs.replace(self._owners[number], is_forgotten=True))

    def introduce(self, number: int, name: str, member_id: int) -> bool:
        """Note under which name an owner says to count, and where; whether that is new."""
        held = self._owners[number]
        is_new = (held.called, held.member_id) != (name, member_id)
        if is_new:
            said = msgspec.structs.replace(held, called=name, member_id=member_id)
            self._write(number, said)
        return is_new

    def introduced(self) -> list[Owner]:
        """Those who have said under which name they count."""
        return [it for it in self._owners.values() if it.called]

    def doubt(self, number: int) -> None:
        """Note that its registers here may be none of its own."""
        self._write(number, msgspec.structs.replace(self._owners[number], is_doubted=True))

    def believe(self, number: int) -> None:
        """Note that they are, again."""
        if self._owners[number].is_doubted:
            self._write(number, msgspec.structs.replace(self._owners[number], is_doubted=False))

    def is_doubted(self, epoch: bytes) -> bool:
        """Whether it has to replace all that is here of it."""
        number = self.numbers.get(epoch, 0)
        return bool(number) and self._owners[number].is_doubted

    def folds_ended(self) -> frozenset[int]:
        """Folds that are in force for all names."""
        return frozenset(number for number, it in self._owners.items() if it.has_ended)

    def is_folded(self, number: int, key: bytes) -> bool:
        """Whether an owner's part of that name is in a fold's now."""
        into = self._owners[number].into
        if not into:
            return False
        fold = self._owners[into]
        return fold.has_ended or key <= fold.cursor

    def begin_fold(self, epoch: bytes, members: Iterable[bytes]) -> int:
        """Note that those owners are to become one; its number."""
        fold = self.number_of(epoch)
        self._write(fold, msgspec.structs.replace(self._owners[fold], is_fold=True))
        for it in members:
            number = self.number_of(it)
            assert self._owners[number].into in (0, fold), "an owner is folded once"
            self._write(number, msgspec.structs.replace(self._owners[number], into=fold))
        return fold

    def cursor_of(self, fold: int) -> bytes | None:
        """Up to which name a fold has ended; None = all."""
        return None if self._owners[fold].has_ended else self._owners[fold].cursor

    def move_cursor(self, fold: int, key: bytes | None) -> None:
        """Note up to which name it has; None = all."""
        owner = self._owners[fold]
        if key is None:
            self._write(fold, msgspec.structs.replace(owner, has_ended=True, cursor=b""))
        else:
            self._write(fold, msgspec.structs.replace(owner, cursor=key))
