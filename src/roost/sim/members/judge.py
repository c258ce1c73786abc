"""The invariants of a simulated cluster; knows everything, unlike any member.

Checked after every delivery and tick: one leader a term; a log position has one content, for
ever, on everybody; terms, commit and applied indices never go back while a member lives; every
new leader has all that was committed, unless a newer one has been elected meanwhile.
"""

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

from roost.member import Member
from roost.raft import Core, Role
from roost.store import METADATA_ID, View


class Violation(AssertionError):
    """A promise was broken; the text says which."""


TREES_MAX = 16


class Reached(NamedTuple):
    """How far a member has come; none of it goes back while the member lives."""

    term: int
    commit_index: int
    applied_index: int


class Sight(NamedTuple):
    """What decides whether there is something to check in a member."""

    life: int
    role: Role
    term: int
    commit_index: int
    applied_index: int
    last_index: int


def sight_of(life: int, core: Core) -> Sight:
    """What is seen of a member now, in the `life`-th life of its machine."""
    log = core.log
    return Sight(life, core.role, core.term, log.commit_index, log.applied_index, log.last_index)


@dataclass(slots=True)
class Judge:
    """The invariants that are checked all the time; knows everything, unlike any member."""

    leaders: dict[int, int] = field(default_factory=dict)
    committed: dict[int, tuple[int, int]] = field(default_factory=dict)
    highest: int = 0
    progress: dict[tuple[int, int], Reached] = field(default_factory=dict)
    checked: dict[int, int] = field(default_factory=dict)
    # What was seen of each machine's member when it was found whole.
    seen: dict[int, Sight] = field(default_factory=dict)

    def has_seen(self, machine_number: int, life: int, member: Member) -> bool:
        """Whether nothing that `look` checks has moved since it found all of it right."""
        return self.seen.get(machine_number) == sight_of(life, member.core)

    def look(self, machine_number: int, life: int, member: Member) -> None:
        """Check one living member, in the `life`-th life of its machine."""
        core = member.core
        log = core.log
        if core.role is Role.LEADER and self.leaders.setdefault(core.term, core.id) != core.id:
            raise Violation(f"two leaders in term {core.term}")
        key = (machine_number, life)
        before = self.progress.get(key)
        now = Reached(core.term, log.commit_index, log.applied_index)
        if before is not None and any(a < b for a, b in zip(now, before, strict=True)):
            raise Violation(f"member {core.id:x} went back from {before} to {now}")
        self.progress[key] = now
        if log.commit_index > log.last_index:
            raise Violation(f"member {core.id:x} committed past its log")
        first = max(self.checked.get(machine_number, 0), log.first_index - 1) + 1
        stop = min(log.commit_index, log.last_index)
        for index in range(first, stop + 1):
            found = log.slice(index, 1)
            if not found:
                stop = index - 1  # it is damaged here, and looked at when it is repaired
                break
            entry = found[0]
            content = (entry.term, hash_of(entry.payload))
            if self.committed.setdefault(index, content) != content:
                raise Violation(f"position {index} has two contents")
            self.highest = max(self.highest, index)
        self.checked[machine_number] = max(stop, self.checked.get(machine_number, 0))
        if stop == log.commit_index:
            self.seen[machine_number] = sight_of(life, core)
        else:
            self.seen.pop(machine_number, None)

    def on_leader(self, member: Member) -> None:
        """A member has just won: it must hold all that was committed.

        Unless a later term has a leader already: then it can decide nothing any more.
        """
        log = member.core.log
        if member.core.term < max(self.leaders, default=0):
            return
        if log.last_index < self.highest:
            raise Violation(
                f"leader {member.core.id:x} of term {member.core.term} ends at {log.last_index}, "
                f"{self.highest} is committed"
            )


def hash_of(data: bytes) -> int:
    """A number for some bytes, the same in every process."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def dump(view: View) -> bytes:
    """A digest of everything in a store but what each member keeps for itself."""
    digest = hashlib.blake2b(digest_size=16)
    for tree_id in range(TREES_MAX):
        for key, value in view.iterate(tree_id):
            if tree_id != METADATA_ID or key not in (b"applied", b"digest"):
                digest.update(b"%d %d %d " % (tree_id, len(key), len(value)) + key + value)
    return digest.digest()
