"""What clients have counted in a simulated cluster, and what each member's part may therefore read.

A counter belongs to one client, which asks one member for one thing at a time.  So of each counter
and each name under which a member counts there is a sequence of increments, and at most its last
one is in doubt.  A delete takes away a beginning of each: all of it at the member that was asked,
and as much as that one had heard of the others.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Increments of one counter at one member, in order; `deleted_min` and `_max` bound deletes."""

    increments: list[int] = field(default_factory=list)
    deleted_min: int = 0
    deleted_max: int = 0

    def readings(self, *, is_whole: bool) -> set[int]:
        """What its part may count for; `is_whole` = everything that was counted is there."""
        count = len(self.increments)
        ends = [count] if is_whole else range(count + 1)
        # Where the end may be missing, what was deleted there may be there still.
        firsts = range(self.deleted_min if is_whole else 0, self.deleted_max + 1)
        return {sum(self.increments[first:end]) for first in firsts for end in ends}


@dataclass(frozen=True, slots=True)
class Place:
    """A counter, and the name under which a member counts."""

    counter: str
    owner: str


class Tallies:
    """All of one run."""

    def __init__(self) -> None:
        """Nobody has counted."""
        self._held: dict[Place, Tally] = {}
        # Whose directory was lost, or that were removed: the last that they counted may be, too.
        self.gone: set[str] = set()
        # Whose directory was rolled back: nobody knows what they have counted since.
        self.doubtful: set[str] = set()

    def of(self, counter: str, owner: str) -> Tally:
        """One sequence."""
        return self._held.setdefault(Place(counter, owner), Tally())

    def places(self) -> list[Place]:
        """Where anything was counted."""
        return list(self._held)

    def note_delete(self, counter: str, owner: str, *, is_done: bool) -> None:
        """A counter is to be deleted at a member, or was."""
        for place, tally in self._held.items():
            if place.counter == counter:
                tally.deleted_max = len(tally.increments)
        if is_done:
            own = self.of(counter, owner)
            own.deleted_min = len(own.increments)

    def faults(self, counter: str, parts: dict[str, int]) -> list[str]:
        """What is wrong with what members say that each has counted; empty = nothing."""
        found = []
        tallies = {it.owner: tally for it, tally in self._held.items() if it.counter == counter}
        for owner in sorted(tallies.keys() | parts.keys()):
            if owner in self.doubtful:
                continue
            tally = tallies.get(owner, Tally())
            read = parts.get(owner, 0)
            wanted = tally.readings(is_whole=owner not in self.gone)
            if read not in wanted:
                few = sorted(wanted)[-5:]
                found.append(f"{counter} of {owner} reads {read}, which is none of {few}")
        return found
