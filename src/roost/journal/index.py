"""Where every entry of the journal is, in memory: some 37 bytes an entry.

Entry `base + 1 + i` is at position i of each column.  An entry in `damaged` is so on the
disk: its identity (term, length, checksum) is known from its slot, its payload is not, until a
peer that holds the same entry brings it back (J19, J20).
"""

from array import array
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Damage:
    """What a damaged frame must look like when it is written anew.

    `is_certain` says that the entry was durable once.  Where it is not certain, the frame may
    be what a power cut left of a write that nobody was ever promised anything for.
    """

    position: int
    chain: int
    batch_delta: int
    is_certain: bool


class Place(NamedTuple):
    """Where an entry is and what it must be."""

    sequence: int
    offset: int
    length: int
    payload_crc: int
    term: int
    kind: int


class Index:
    """The columns; every method keeps them in step."""

    __slots__ = (
        "_crcs",
        "_kinds",
        "_lengths",
        "_offsets",
        "_sequences",
        "base",
        "base_term",
        "damaged",
        "terms",
    )

    def __init__(self, base: int = 0, base_term: int = 0) -> None:
        """Begin behind entry `base`."""
        # The entry just below the first; of it only the term is known, which is all that a
        # leader's next entry is checked against.
        self.base = base
        self.base_term = base_term
        # Columns of machine numbers, not rows of objects: a log of ten million entries takes
        # 370 MB so, and several times that as tuples, which a collector would walk besides.
        self.terms = array("Q")
        self._sequences = array("Q")
        self._offsets = array("Q")
        self._lengths = array("I")
        self._crcs = array("I")
        self._kinds = bytearray()
        # base < each <= last: what is not kept is not damaged.
        self.damaged: dict[int, Damage] = {}

    @property
    def last(self) -> int:
        """The newest entry; `base` when there is none."""
        return self.base + len(self.terms)

    def invariants(self) -> None:
        """Assert that the columns are in step, and that what is damaged is kept."""
        columns = (self._sequences, self._offsets, self._lengths, self._crcs, self._kinds)
        assert all(len(it) == len(self.terms) for it in columns), "a row has all its columns"
        if self.damaged:
            assert self.base < min(self.damaged), "what is not kept is not damaged"
            assert max(self.damaged) <= self.last, "nor what is not there"

    @property
    def is_certain(self) -> bool:
        """Whether no entry is in doubt: each was durable once, or is whole."""
        return all(damage.is_certain for damage in self.damaged.values())

    def append(self, place: tuple[int, int, int, int, int, int]) -> None:
        """One entry more, as the fields of `Place`."""
        sequence, offset, length, payload_crc, term, kind = place
        self.terms.append(term)
        self._sequences.append(sequence)
        self._offsets.append(offset)
        self._lengths.append(length)
        self._crcs.append(payload_crc)
        self._kinds.append(kind)

    def place(self, index: int) -> Place:
        """Where an entry is."""
        position = index - self.base - 1
        assert 0 <= position < len(self.terms), "an entry that is kept"
        return Place(
            self._sequences[position],
            self._offsets[position],
            self._lengths[position],
            self._crcs[position],
            self.terms[position],
            self._kinds[position],
        )

    def term_at(self, index: int) -> int | None:
        """The term of an entry or of the one just below the first; None when not known."""
        # Asked for each append that is taken or sent: one subtraction and one look.
        position = index - self.base - 1
        if 0 <= position < len(self.terms):
            return self.terms[position]
        return self.base_term if position == -1 else None

    def kinds_from(self, first: int) -> bytes:
        """The kinds of all entries from `first` on."""
        return bytes(self._kinds[first - self.base - 1 :])

    def first_of(self, sequence: int) -> int:
        """The first entry kept that lies in a segment."""
        # A walk, and rare: once a compaction.
        return self.base + 1 + self._sequences.index(sequence)

    def truncate(self, index: int) -> None:
        """Forget entries from `index` on."""
        keep = index - self.base - 1
        if keep < 0:
            # Only while recovering: the entries below lie in segments already compacted away, and
            # with them went the term of the last; what follows was checked when it was written.
            keep = 0
            self.base, self.base_term = index - 1, 0
        for column in (self.terms, self._sequences, self._offsets, self._lengths, self._crcs):
            del column[keep:]
        del self._kinds[keep:]
        # What replaces them is whole: they must not be asked for any more, nor hold back what
        # comes.
        for it in [it for it in self.damaged if it >= index]:
            del self.damaged[it]

    def drop_to(self, index: int) -> None:
        """Forget entries up to `index`, which is kept as the base."""
        count = index - self.base
        if count <= 0:
            return
        # Taken before the row goes; a snapshot's owner knows better and sets it (see `opening`).
        self.base_term = self.terms[count - 1]
        self.base = index
        for column in (self.terms, self._sequences, self._offsets, self._lengths, self._crcs):
            del column[:count]
        del self._kinds[:count]
        for it in [it for it in self.damaged if it <= index]:
            del self.damaged[it]
