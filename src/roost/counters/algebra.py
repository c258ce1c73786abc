r"""What a counter is, how two states of it are merged, and what it reads.

A counter is a set of registers.  Each has one *owner*, a member's counter store, and only the
owner changes it.  Every change takes the next number of the owner's own sequence, its *version*,
whatever it changes; so of two states of one register the one of the higher version is the newer
one, and two of the same version are the same.

    part       (counter, owner) -> value, version, born: what the owner has counted
    tombstone  (counter, deleter) -> version, {owner: value and version that the delete has seen}

A member that merges what others say keeps the newer state of each register.  So merging is
commutative, associative and idempotent, and every order and repetition of arrival comes to the
same (`merged`).

**Reading.**  Of each owner's part what the deletes have seen of it is taken away: value minus the
seen value of the highest version that any tombstone has for that owner.  The part counts if its
version is above that; the counter exists if there is a part that counts (`amounts`).  A delete
therefore takes exactly what it saw, an increment that it did not see survives, and two deletes
are one:

    A   +5 ------- delete, has seen 5 of A ------------ 0 + 3 = 3
          \                       \         /
    B      5 --------- +3 -- 8 -----\-------------- 8 - 5 = 3

**Lives.**  A part that is dead everywhere can be removed, to make room (`buried`, `swept`).  Its
owner makes it *gone* first: version and `born` are then the same.  If it counts again the part
begins at zero, and `born` says behind which version: tombstones of the life before have nothing
to take of it.

**Folding.**  The parts of owners that are away for good become one part, so that counters do not
grow with every member that there ever was.  A fold is an owner itself, whose part has the version
FOLD_VERSION and never changes.  It *begins* when all have the same parts of those owners: from
then on every delete names all of them, and the fold.  It *ends*, at each member by itself, when
all have heard of all deletes from before it began at their deleter: then what those have left of
the parts is the same everywhere, and becomes the fold's part (`folded`).  A later delete means the
same to whom it finds before the end and to whom behind it: it took all of those parts, or all of
the fold.  When it has ended everywhere, what tombstones say of those owners can go (`swept`); not
earlier: a tombstone without it would replace one with it where the fold has not ended.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Final

from roost.counters.errors import BadChange, CounterOverflow

VALUE_MIN, VALUE_MAX = -(1 << 63), (1 << 63) - 1
VERSION_MAX: Final = (1 << 64) - 1
FOLD_VERSION: Final = 1
NO_FOLDS: Mapping[int, int] = {}


@dataclass(frozen=True, slots=True)
class Part:
    """What one owner has counted, and when it last did."""

    value: int
    version: int
    # Tombstones that saw this version of it, or an earlier one, are of a life before.
    born: int = 0

    @property
    def is_gone(self) -> bool:
        """Whether it counts nothing, and is there to say so."""
        return self.version == self.born


@dataclass(frozen=True, slots=True)
class Seen:
    """What a delete has seen of one owner's part."""

    value: int
    version: int


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What one member's deletes have seen of a counter."""

    version: int
    seen: Mapping[int, Seen]


@dataclass(slots=True)
class Counter:
    """One counter as one member knows it; owners by the numbers that they have there."""

    parts: dict[int, Part] = field(default_factory=dict)
    tombstones: dict[int, Tombstone] = field(default_factory=dict)

    @property
    def register_count(self) -> int:
        """How many registers it has: whoever reads it looks at each."""
        return len(self.parts) + len(self.tombstones)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of it."""
        return not self.parts and not self.tombstones

    def copy(self) -> "Counter":
        """The same, to be changed."""
        return Counter(dict(self.parts), dict(self.tombstones))


def merged(ours: Counter, theirs: Counter) -> Counter:
    """The newer state of each register."""
    found = ours.copy()
    for owner, part in theirs.parts.items():
        held = found.parts.get(owner)
        if held is None or held.version < part.version:
            found.parts[owner] = part
    for deleter, tombstone in theirs.tombstones.items():
        before = found.tombstones.get(deleter)
        if before is None or before.version < tombstone.version:
            found.tombstones[deleter] = tombstone
    return found


def agreed(ours: Part, theirs: Part) -> Part:
    """One of two states of one version, the same one everywhere.

    An owner has one at most.  Where its directory was copied or rolled back there may be two, and
    when it is away for good nobody can say which was first: the one that has counted more stays.
    """
    return max(ours, theirs, key=lambda it: (it.version, it.value, it.born))


def agreed_tombstone(ours: Tombstone, theirs: Tombstone) -> Tombstone:
    """Likewise: what either has seen; a purge may have taken some from one of them already."""
    seen = dict(ours.seen)
    for owner, it in theirs.seen.items():
        held = seen.get(owner)
        if held is None or (held.version, held.value) < (it.version, it.value):
            seen[owner] = it
    return Tombstone(ours.version, seen)


def seen_of(counter: Counter, owner: int) -> Seen | None:
    """The most that any delete has seen of an owner's part."""
    found: Seen | None = None
    for tombstone in counter.tombstones.values():
        seen = tombstone.seen.get(owner)
        if seen is not None and (found is None or found.version < seen.version):
            found = seen
    return found


def amounts(counter: Counter) -> dict[int, int]:
    """What each owner's part counts for, of those that count; none = the counter is not there."""
    if not counter.tombstones:
        return {owner: it.value for owner, it in counter.parts.items() if it.version > it.born}
    found = {}
    for owner, part in counter.parts.items():
        seen = seen_of(counter, owner)
        if seen is None or seen.version <= part.born:
            if not part.is_gone:
                found[owner] = part.value
        elif seen.version < part.version:
            found[owner] = part.value - seen.value
    return found


def reading(counter: Counter) -> int | None:
    """The counter's value, exact whatever its size; None = it does not exist."""
    found = amounts(counter)
    return sum(found.values()) if found else None


def incremented(part: Part | None, change: int, version: int, *, buried_at: int = 0) -> Part:
    """The part after its owner has changed it, at its next version.

    `buried_at` is the last version at which the owner has made a part gone: what was known of an
    earlier life of this one, which nobody here remembers, had a lower one.

    Raises:
        BadChange: the change is no number of 64 bits.
        CounterOverflow: the part would be none.

    """
    if not VALUE_MIN <= change <= VALUE_MAX:
        raise BadChange(f"{change} is no signed number of 64 bits")
    if part is None:
        assert buried_at < version <= VERSION_MAX, "versions never go back"
        return Part(change, version, buried_at)
    assert part.version < version <= VERSION_MAX, "versions never go back"
    value = part.value + change
    if not VALUE_MIN <= value <= VALUE_MAX:
        raise CounterOverflow(f"{part.value} and {change} leave the range of 64 bits")
    return Part(value, version, part.born)


def deleted(
    counter: Counter, deleter: int, version: int, folds: Mapping[int, int] = NO_FOLDS
) -> Tombstone | None:
    """The deleter's tombstone after it has deleted the counter; None = nothing is there.

    It names all parts that are there, those that are dead as well: whoever hears of it knows of the
    deletes that its deleter knew of.  `folds` has the owners that are being folded, and their fold.
    """
    if not amounts(counter):
        return None
    before = counter.tombstones.get(deleter)
    seen = dict(before.seen) if before else {}
    for owner, part in counter.parts.items():
        if not part.is_gone:
            seen[owner] = Seen(part.value, part.version)
    for owner, fold in folds.items():
        seen[owner], seen[fold] = Seen(0, VERSION_MAX), Seen(0, FOLD_VERSION)
    return Tombstone(version, seen)


def folded(counter: Counter, fold: int, folds: Mapping[int, int]) -> Counter:
    """The counter when a fold ends: one part instead of those that it is of.

    The same everywhere: everybody has the same parts of those owners, and all tombstones that
    name them.
    """
    members = {owner for owner, it in folds.items() if it == fold}
    left = [it for owner, it in amounts(counter).items() if owner in members]
    parts = {owner: it for owner, it in counter.parts.items() if owner not in members}
    if left:
        parts[fold] = Part(sum(left), FOLD_VERSION)
    return Counter(parts, counter.tombstones)


def buried(counter: Counter, owner: int, version: int, known: Mapping[int, int]) -> Part | None:
    """The owner's part made gone, at its next version; None = it counts, or not all know why not.

    `known` has, for each owner, the version up to which all members have heard of what it did.
    """
    part = counter.parts.get(owner)
    if part is not None and (part.is_gone or part.version > known.get(owner, 0)):
        return None
    for deleter, tombstone in counter.tombstones.items():
        seen = tombstone.seen.get(owner)
        # A part that is not there has been removed; a tombstone that names it was on its way.
        is_dead = seen is not None and (part is None or part.born < part.version <= seen.version)
        if is_dead and tombstone.version <= known.get(deleter, 0):
            return Part(0, version, version)
    return None


def swept(counter: Counter, known: Mapping[int, int], forgotten: Set[int] = frozenset()) -> Counter:
    """The counter without what nobody needs any more, by what all have heard (`known`).

    That is parts that are gone, and what tombstones have seen of lives that are over, or of owners
    that are `forgotten`: in folds that have ended everywhere.  Whoever removes it first reads the
    same as whoever removes it last.

    What a tombstone says of a fold stays: were it removed here, the deleter's next tombstone would
    be without it, and replace one that somebody needs who has the fold's part still.
    """
    # The version up to which what was seen of an owner is of no use.
    over = dict.fromkeys(forgotten, VERSION_MAX)
    parts = {}
    for owner, part in counter.parts.items():
        is_known = part.version <= known.get(owner, 0)
        if is_known:
            over[owner] = part.born
        if not (part.is_gone and is_known):
            parts[owner] = part
    tombstones = {}
    for deleter, tombstone in counter.tombstones.items():
        seen = dict(tombstone.seen)
        if tombstone.version <= known.get(deleter, 0):
            seen = {it: what for it, what in seen.items() if what.version > over.get(it, -1)}
        if seen:
            tombstones[deleter] = Tombstone(tombstone.version, seen)
    return Counter(parts, tombstones)
