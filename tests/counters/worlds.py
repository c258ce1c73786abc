"""A few members, one counter, and what it must read: each increment, and which deletes saw it.

What is under test is the algebra alone: members hand each other their own registers, and here it
is decided by a set of single increments what each of them, and all, must read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from roost.counters import algebra
from roost.counters.algebra import FOLD_VERSION, Counter, Part

FOLD = 100


@dataclass(slots=True)
class Truth:
    """Every increment by owner and version; what a member knows of deletes is told by versions."""

    increments: dict[tuple[int, int], int] = field(default_factory=dict)

    def reading(self, upto: dict[int, int], killed: dict[int, int]) -> int | None:
        """The sum of those that are known, and that no delete has seen."""
        alive = [
            change
            for (owner, version), change in self.increments.items()
            if killed.get(owner, 0) < version <= upto.get(owner, 0)
        ]
        return sum(alive) if alive else None


@dataclass(slots=True)
class Member:
    """One member: its registers, and the truth about what it has heard."""

    number: int
    version: int = 0
    buried_at: int = 0
    counter: Counter = field(default_factory=Counter)
    heard: dict[int, int] = field(default_factory=dict)
    # What it knows of parts and deletes, whatever has been removed since.
    upto: dict[int, int] = field(default_factory=dict)
    killed: dict[int, int] = field(default_factory=dict)
    # What had been deleted when it last deleted: its tombstone says that.
    killed_by_it: dict[int, int] = field(default_factory=dict)
    folds: dict[int, int] = field(default_factory=dict)
    dead: list[int] = field(default_factory=list)
    has_folded: bool = False
    is_forgetting: bool = False

    def next_version(self) -> int:
        self.version += 1
        self.heard[self.number] = self.version
        return self.version

    def own(self) -> Counter:
        """Its own registers: all that it sends."""
        parts, tombstones = self.counter.parts, self.counter.tombstones
        return Counter(
            {self.number: parts[self.number]} if self.number in parts else {},
            {self.number: tombstones[self.number]} if self.number in tombstones else {},
        )


@dataclass(slots=True)
class Message:
    """One member's own registers, as they were."""

    source: int
    counter: Counter
    version: int
    upto: dict[int, int]
    killed: dict[int, int]


@dataclass(slots=True)
class World:
    """Members, what they have sent, and the truth."""

    count: int
    members: list[Member] = field(init=False)
    truth: Truth = field(default_factory=Truth)
    sent: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.members = [Member(it) for it in range(self.count)]

    def increment(self, number: int, change: int) -> None:
        member = self.members[number]
        version = member.next_version()
        before = member.counter.parts.get(number)
        part = algebra.incremented(before, change, version, buried_at=member.buried_at)
        member.counter.parts[number] = part
        member.upto[number] = version
        self.truth.increments[number, version] = change

    def delete(self, number: int) -> None:
        member = self.members[number]
        found = algebra.deleted(member.counter, number, member.version + 1, member.folds)
        assert (found is None) == (self.expected(member) is None)
        if found is not None:
            member.counter.tombstones[number] = found
            member.next_version()
            for owner, version in member.upto.items():
                member.killed[owner] = max(member.killed.get(owner, 0), version)
            member.killed_by_it = dict(member.killed)

    def send(self, number: int) -> Message:
        member = self.members[number]
        message = Message(
            number, member.own(), member.version,
            {number: member.upto.get(number, 0)},
            member.killed_by_it,
        )  # fmt: skip
        self.sent.append(message)
        return message

    def deliver(self, message: Message, number: int) -> None:
        member = self.members[number]
        theirs = message.counter
        if member.has_folded:
            parts = {it: part for it, part in theirs.parts.items() if it not in member.dead}
            theirs = Counter(parts, theirs.tombstones)
        held = member.counter.tombstones.get(message.source)
        is_newer = held is None or any(
            held.version < it.version for it in theirs.tombstones.values()
        )
        member.counter = algebra.merged(member.counter, theirs)
        member.heard[message.source] = max(member.heard.get(message.source, 0), message.version)
        for owner, version in message.upto.items():
            member.upto[owner] = max(member.upto.get(owner, 0), version)
        for owner, version in message.killed.items() if is_newer else ():
            member.killed[owner] = max(member.killed.get(owner, 0), version)

    def exchange(self, numbers: list[int] | None = None) -> None:
        """Everybody hears of everybody's last state."""
        among = range(self.count) if numbers is None else numbers
        for message in [self.send(it) for it in among]:
            for number in among:
                self.deliver(message, number)

    def known(self) -> dict[int, int]:
        """What all have heard, by owner."""
        owners = range(self.count)
        return {it: min(who.heard.get(it, 0) for who in self.members) for it in owners}

    def expected(self, member: Member) -> int | None:
        return self.truth.reading(member.upto, member.killed)

    def check(self) -> None:
        for member in self.members:
            found = algebra.reading(member.counter)
            assert found == self.expected(member), member

    def check_all(self) -> None:
        """Everybody has heard of everything: everybody reads the one truth."""
        upto, killed = dict[int, int](), dict[int, int]()
        for member in self.members:
            for owner in range(self.count):
                upto[owner] = max(upto.get(owner, 0), member.upto.get(owner, 0))
                killed[owner] = max(killed.get(owner, 0), member.killed.get(owner, 0))
        for member in self.members:
            found = algebra.reading(member.counter)
            assert found == self.truth.reading(upto, killed)

    def bury(self, number: int, known: dict[int, int]) -> None:
        member = self.members[number]
        gone = algebra.buried(member.counter, number, member.version + 1, known)
        if gone is not None:
            member.counter.parts[number] = gone
            member.buried_at = member.next_version()

    def sweep(self, number: int, known: dict[int, int]) -> None:
        member = self.members[number]
        forgotten = frozenset(member.dead) if member.is_forgetting else frozenset[int]()
        member.counter = algebra.swept(member.counter, known, forgotten)

    def begin_fold(self, number: int, dead: list[int]) -> None:
        self.members[number].folds = dict.fromkeys(dead, FOLD)
        self.members[number].dead = dead

    def end_fold(self, number: int) -> None:
        member = self.members[number]
        if not member.has_folded:
            member.counter = algebra.folded(member.counter, FOLD, member.folds)
            member.has_folded = True

    def forget_fold(self, number: int) -> None:
        self.members[number].folds = {}
        self.members[number].is_forgetting = True


def fold_parts(world: World) -> Iterator[Part | None]:
    """What the fold's part is at each member."""
    for member in world.members:
        part = member.counter.parts.get(FOLD)
        assert part is None or part.version == FOLD_VERSION
        yield part
