"""What a member's links tell of other owners than itself: many conversations, few with news.

A link that relays has one for each other owner (`outgoing`).  A turn looks at those that have heard
something, at those of whose owner more is durable here, and at some others in turn, for which no
more than time has passed: so it costs by what has happened, however many there are.

Full?  There are as many as links times owners, which both have bounds; each waits for one answer.
"""

from collections import defaultdict
from collections.abc import Iterator

from roost.counters.messages import Changes, Message, Page
from roost.counters.outgoing import Outgoing
from roost.counters.store import Store

# A partner, and the epoch of an owner.
Place = tuple[int, bytes]
# In one turn of the loop (D14): those that have news, and those in turn.
TOLD_A_TURN, LOOKED_AT_A_TURN = 256, 64


class Relays:
    """All of one member's."""

    def __init__(self, store: Store) -> None:
        """There are none."""
        self._store = store
        self._of: dict[Place, Outgoing] = {}
        self._places: dict[int, list[Place]] = defaultdict(list)
        # What to look at next, from the first on, and all in the order of their turns.
        self._due: dict[Place, None] = {}
        self._in_turn: list[Place] = []
        self._next = 0

    def __iter__(self) -> Iterator[Place]:
        """Whom is told of whom."""
        return iter(self._of)

    def add(self, partner: int, owner: int, link: Outgoing) -> None:
        """Tell a partner of an owner from now on."""
        place = (partner, self._store.owners.epochs[owner])
        assert place not in self._of, "there is one for each"
        self._of[place] = link
        self._places[owner].append(place)
        self._in_turn.append(place)
        self._due[place] = None

    def get(self, partner: int, epoch: bytes) -> Outgoing | None:
        """How a partner is told of an owner."""
        return self._of.get((partner, epoch))

    def items(self) -> list[tuple[Place, Outgoing]]:
        """All."""
        return list(self._of.items())

    def remove(self, partner: int) -> None:
        """Tell a partner nothing any more."""
        for place in [it for it in self._of if it[0] == partner]:
            del self._of[place]
            self._due.pop(place, None)
        self._in_turn = list(self._of)
        self._places = defaultdict(list)
        for place in self._of:
            self._places[self._store.owners.numbers[place[1]]].append(place)

    def wake(self, partner: int, epoch: bytes) -> None:
        """Look at one in the next turn: it has heard something."""
        if (partner, epoch) in self._of:
            self._due[partner, epoch] = None

    @property
    def has_more(self) -> bool:
        """Whether some wait to be looked at that no time has to pass for."""
        return bool(self._due)

    def take_messages(self, now_s: float) -> Iterator[tuple[int, Message]]:
        """What is to be told in this turn: to whom, and what; one with rows is the last.

        Raises:
            CounterStoreError: what is to be told cannot be read.

        """
        for owner in sorted(self._store.take_news()):
            self._due.update(dict.fromkeys(self._places.get(owner, ())))
        for _ in range(min(LOOKED_AT_A_TURN, len(self._in_turn))):
            self._next = (self._next + 1) % len(self._in_turn)
            self._due[self._in_turn[self._next]] = None
        for _ in range(min(TOLD_A_TURN, len(self._due))):
            place = next(iter(self._due))
            del self._due[place]
            message = self._of[place].next_message(now_s)
            if message is not None:
                yield place[0], message
                if isinstance(message, Changes | Page):
                    return
