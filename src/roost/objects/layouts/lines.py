"""Lines of those who wait for something that a few may have: locks, semaphores, leaders.

    tree objects.lines      line             ->  `Line`; gone when nobody is in it
    tree objects.places     (line, ticket)   ->  `Place`, one for each in line
    tree objects.tickets    "next"           ->  the next ticket of all lines

A line is called by its kind and its name: "lock/report".

Tickets only ever grow, and a line is in their order: the first `permits` places hold it, and one
that holds it was never before one with a lower ticket.  So the ticket is the fencing token.

A place is a lease: whoever has it looks after it (`look`), else it ends.  When it ends is written
as a moment of the clock where it was last looked after (`Transaction.moment`); a member that comes
to lead finds another clock's, and begins to count anew, the whole time.  So a lease may last longer
than was asked for, by as much again for each leader that comes, and never shorter; no clock is
compared with another one, and none that is set by people is looked at.  Only the places at the
front are ever ended: who waits behind for nothing is found when it comes there.

What goes through places is steps, each of which says how many rows it took: all who wait may have
gone, or be looked through for one.
"""

from collections.abc import Generator, Iterator

import msgspec

from roost.database import Moment, Refused, Transaction
from roost.database.model import Slice

LINES, PLACES, TICKETS = "objects.lines", "objects.places", "objects.tickets"
# How many may be in one line.
LINE_MAX = 10_000
TICKET_MAX = 1 << 62
PlaceKey = tuple[str, int]
# What it takes to end a place, or to give one a new lease, in rows.
_ROWS_A_CHANGE = 3


class Line(msgspec.Struct, frozen=True, array_like=True):
    """How many are in line, how many may have it; no place is below `low`."""

    count: int
    permits: int
    low: int


class Place(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Who stands there, what it says of itself, and until when by which clock."""

    who: bytes
    value: bytes
    ttl_s: float
    clock: int
    until_s: float


class Asked(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Who wants to be in which line."""

    line: str
    permits: int
    who: bytes
    value: bytes
    ttl_s: float


class Standing(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Where somebody is: no ticket = not in line.

    `ahead_s` is when the first of those at the front ends, unless it is looked after; inf = nobody
    else is there.
    """

    ticket: int = 0
    is_held: bool = False
    ahead_s: float = float("inf")


NOWHERE = Standing()


class Held(msgspec.Struct, frozen=True, array_like=True):
    """Who is first in line."""

    ticket: int
    value: bytes


class OneLine:
    """One line in a transaction."""

    def __init__(self, txn: Transaction, name: str, permits: int) -> None:
        """Open it.

        Raises:
            Refused: others have opened it with another number of permits.

        """
        self._name = name
        self._lines = txn.tree(LINES, key=str, value=Line)
        self._places = txn.tree(PLACES, key=tuple[str, int], value=Place)
        self._tickets = txn.tree(TICKETS, key=str, value=int)
        self._moment: Moment = txn.moment()
        self._permits = permits
        self._line = self._lines.get(name) or Line(0, permits, TICKET_MAX)
        if self._line.permits != permits:
            raise Refused(
                f"{name!r} has {self._line.permits} permits, and was opened with {permits}: all "
                "have to say the same",
                code="permits",
            )

    def places(self) -> Iterator[tuple[PlaceKey, Place]]:
        """All places, in order."""
        return self._places.items(first=(self._name, self._line.low), stop=(self._name, TICKET_MAX))

    def front(self) -> Generator[int, None, dict[int, Place]]:
        """Those who have it, by their tickets; whose lease is over goes."""
        found: dict[int, Place] = {}
        for key, place in self.places():
            if len(found) == self._permits:
                break
            ticket = key[1]
            if place.clock != self._moment.clock:
                place = self.put(ticket, place)
                yield _ROWS_A_CHANGE
            elif place.until_s <= self._moment.at_s:
                self.remove(ticket)
                yield _ROWS_A_CHANGE
                continue
            else:
                yield 1
            found[ticket] = place
        if found and next(iter(found)) != self._line.low:
            self._write(self._line.count, next(iter(found)))
        return found

    def find(self, who: bytes) -> Generator[int, None, int]:
        """The ticket that somebody has, which looks through all; 0 = none."""
        for key, place in self.places():
            if place.who == who:
                return key[1]
            yield 1
        return 0

    def get(self, ticket: int) -> Place | None:
        """One place."""
        return self._places.get((self._name, ticket))

    def put(self, ticket: int, place: Place) -> Place:
        """Have a place last for its whole time from now on."""
        until_s = self._moment.at_s + place.ttl_s
        made = msgspec.structs.replace(place, clock=self._moment.clock, until_s=until_s)
        self._places[self._name, ticket] = made
        return made

    def renew(self, ticket: int) -> None:
        """Have a place that is there last for its whole time from now on."""
        place = self.get(ticket)
        assert place is not None, "it was found"
        self.put(ticket, place)

    def enter(self, asked: Asked) -> int:
        """Stand at the end; the ticket.

        Raises:
            Refused: the line is too long.

        """
        if self._line.count >= LINE_MAX:
            raise Refused(f"{LINE_MAX} wait for {self._name!r} already", code="crowded")
        ticket = self._tickets.get("next", 1)
        self._tickets["next"] = ticket + 1
        place = Place(who=asked.who, value=asked.value, ttl_s=asked.ttl_s, clock=0, until_s=0)
        self.put(ticket, place)
        self._write(self._line.count + 1, min(self._line.low, ticket))
        return ticket

    def remove(self, ticket: int) -> None:
        """Take a place away, which is there."""
        self._places.discard((self._name, ticket))
        # Traces of what goes at the front are not walked over again.
        low = ticket + 1 if ticket == self._line.low else self._line.low
        self._write(self._line.count - 1, low)

    def _write(self, count: int, low: int) -> None:
        self._line = Line(count, self._permits, low)
        if count:
            self._lines[self._name] = self._line
        else:
            self._lines.discard(self._name)

    def standing(self, ticket: int) -> Generator[int, None, Standing]:
        """Where a ticket is; whoever is at the front for too long goes."""
        front = yield from self.front()
        others = [it.until_s for other, it in front.items() if other != ticket]
        ahead_s = min(others, default=float("inf")) - self._moment.at_s
        return Standing(ticket=ticket, is_held=ticket in front, ahead_s=ahead_s)


def enter(
    txn: Transaction,
    asked: Asked,
    waits: bool,  # noqa: FBT001 - arguments of operations have positions
    again: bool,  # noqa: FBT001 - as above
) -> Generator[None, None, Standing]:
    """Stand in line; not at all if it `waits` not and would have to.

    With `again` it may be there already, because nobody knows what became of the first time.
    """
    line, part = OneLine(txn, asked.line, asked.permits), Slice()
    if again:
        ticket = yield from part.paced(line.find(asked.who))
        if ticket:
            line.renew(ticket)
            return (yield from part.paced(line.standing(ticket)))
    if not waits and len((yield from part.paced(line.front()))) >= asked.permits:
        return NOWHERE
    return (yield from part.paced(line.standing(line.enter(asked))))


def look(txn: Transaction, asked: Asked, ticket: int) -> Generator[None, None, Standing]:
    """Look after a place, so that it lasts for its whole time again."""
    line = OneLine(txn, asked.line, asked.permits)
    place = line.get(ticket)
    if place is None or place.who != asked.who:
        return NOWHERE
    line.put(ticket, place)
    return (yield from Slice().paced(line.standing(ticket)))


def leave(txn: Transaction, asked: Asked, ticket: int) -> Generator[None, None, bool]:
    """Give a place back; whether it was there.  No ticket: whichever it has, if it has one."""
    line = OneLine(txn, asked.line, asked.permits)
    if not ticket:
        ticket = yield from Slice().paced(line.find(asked.who))
    place = line.get(ticket)
    if place is None or place.who != asked.who:
        return False
    line.remove(ticket)
    return True


def first(txn: Transaction, name: str) -> Generator[None, None, Held | None]:
    """Who is first in line, as far as anybody has looked."""
    line = txn.tree(LINES, key=str, value=Line).get(name)
    if line is None:
        return None
    found = yield from Slice().paced(OneLine(txn, name, line.permits).front())
    return next((Held(ticket, place.value) for ticket, place in found.items()), None)
