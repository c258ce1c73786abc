"""Requests that have not come whole: what they may take, by connection, by address and in all.

A stream begins with a window of STREAM_WINDOW_BYTES, which most messages fit.  A larger message
gets the rest of its window when there is a place for all of it, and keeps the place until it was
answered: so whatever has a place can come to its end, and clients that send much at once are
slowed down, and refused nothing.  Places are given in turn, to each connection one.

    half of all          beginnings: what came of messages that have no place
    the other half       places
    of each, a connection has no more than is left (half, when it is alone)
    and an address            no more than twice as much

The window of a connection is no brake here.  It is given back as bytes come, because HTTP/2 cannot
say for whom it is: held back, it would stop those that have a place together with those that wait.

Full?  A beginning that would pass a bound is refused, with RESOURCE_EXHAUSTED; nothing of it was
done.  When others wait for places, or half of the room for beginnings is taken, a message of which
nothing has come for BODY_S is given up.
"""

from collections import OrderedDict, deque
from typing import Protocol, TypeVar

from roost.call import Code, Status

# A place is not kept for a client that sends nothing of its message.
BODY_S = 30.0
# No port has less: a few of the largest messages must fit.
MESSAGES_MIN = 16
FULL = Status(Code.RESOURCE_EXHAUSTED, "grpc: too many requests that are not whole yet")
LATE = Status(Code.RESOURCE_EXHAUSTED, "grpc: the request did not come in time")


class Sender(Protocol):
    """A connection that requests come by."""

    address: str


class Body(Protocol):
    """A message that has not come whole; `held_bytes` is what is kept for it."""

    held_bytes: int
    needed_bytes: int
    is_waiting: bool
    has_place: bool
    # When something of it came.
    moved_s: float

    @property
    def sender(self) -> Sender:
        """The connection that it comes by."""

    def on_place(self) -> None:
        """There is a place for all of it."""

    def refuse(self, code: int, text: str) -> None:
        """End its call, and tell who handles it."""


class _Room:
    """So many bytes; who has many may have fewer more (see `fair_queue` for the rule)."""

    __slots__ = ("_by_address", "_by_sender", "bytes", "bytes_max")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes = 0
        self._by_sender: dict[Sender, int] = {}
        self._by_address: dict[str, int] = {}

    def has(self, sender: Sender, more: int) -> bool:
        """Whether so much more fits."""
        left = self.bytes_max - self.bytes
        return (
            self._by_sender.get(sender, 0) + more <= left
            and self._by_address.get(sender.address, 0) + more <= 2 * left
        )

    def take(self, sender: Sender, more: int) -> None:
        """So much more is taken, or less."""
        self.bytes += more
        _add(self._by_sender, sender, more)
        _add(self._by_address, sender.address, more)


Key = TypeVar("Key")


def _add(counts: dict[Key, int], key: Key, more: int) -> None:
    left = counts.get(key, 0) + more
    if left:
        counts[key] = left
    else:
        counts.pop(key, None)


class Bodies:
    """All of a port."""

    __slots__ = ("_beginnings", "_coming", "_line", "_places", "refused_count")

    def __init__(self, bytes_max: int) -> None:
        """Nothing comes."""
        self.refused_count = 0
        self._beginnings, self._places = _Room(bytes_max // 2), _Room(bytes_max // 2)
        # Messages that have a place, or need none, and are not whole: who moved last is last.
        self._coming: OrderedDict[Body, None] = OrderedDict()
        self._line: OrderedDict[Sender, deque[Body]] = OrderedDict()

    @property
    def bytes(self) -> int:
        """What is kept, and what may come for those that have a place."""
        return self._beginnings.bytes + self._places.bytes

    @property
    def waiting_count(self) -> int:
        """Messages that wait for a place."""
        return sum(map(len, self._line.values()))

    def grow(self, body: Body, count: int, now_s: float) -> bool:
        """So much of a message has come; False when there is no room for it: refuse it."""
        body.moved_s = now_s
        more = count - body.held_bytes
        if more > 0 and not body.has_place:
            if not self._beginnings.has(body.sender, more):
                self.refused_count += 1
                return False
            self._beginnings.take(body.sender, more)
            body.held_bytes = count
        if not body.is_waiting:
            self._coming[body] = None
            self._coming.move_to_end(body)
        return True

    def ask(self, body: Body) -> None:
        """Find a place for all of a message, now or later; `on_place` says when."""
        body.is_waiting = True
        self._coming.pop(body, None)
        self._line.setdefault(body.sender, deque()).append(body)
        self._give_places()

    def on_whole(self, body: Body) -> None:
        """All of it has come: nobody waits for its client any more."""
        self._coming.pop(body, None)

    def release(self, body: Body) -> None:
        """Nothing is kept of it any more."""
        self._coming.pop(body, None)
        if body.is_waiting:
            body.is_waiting = False
            waiting = self._line[body.sender]
            waiting.remove(body)
            if not waiting:
                del self._line[body.sender]
        room = self._places if body.has_place else self._beginnings
        room.take(body.sender, -body.held_bytes)
        body.held_bytes, body.has_place = 0, False
        if self._line:
            self._give_places()

    def _give_places(self) -> None:
        line, misses = self._line, 0
        while line and misses < len(line):
            sender, waiting = next(iter(line.items()))
            body = waiting[0]
            if not self._places.has(sender, body.needed_bytes):
                line.move_to_end(sender)
                misses += 1
                continue
            misses = 0
            waiting.popleft()
            if waiting:
                line.move_to_end(sender)
            else:
                del line[sender]
            self._beginnings.take(sender, -body.held_bytes)
            self._places.take(sender, body.needed_bytes)
            body.held_bytes = body.needed_bytes
            body.is_waiting, body.has_place = False, True
            self._coming[body] = None
            body.on_place()

    def tick(self, now_s: float) -> None:
        """Give up what does not come, when others wait or much is taken."""
        beginnings = self._beginnings
        while self._coming and (self._line or beginnings.bytes > beginnings.bytes_max // 2):
            body = next(iter(self._coming))
            if now_s - body.moved_s < BODY_S:
                return
            self.refused_count += 1
            body.refuse(*LATE)
