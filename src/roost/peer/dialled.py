"""Whom we dial: two links to each member that is known, for as long as it is.

Members are known by the roster, and by what those say who are known already; where such a one has
said that it is, it is dialled until the roster says so as well.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence

from roost.peer.config import Dice, PeerConfig, TransportStatistics
from roost.peer.errors import RefusedThere
from roost.peer.greeter import Greeter
from roost.peer.link import Link
from roost.peer.local import BULK, CONTROL, Address
from roost.peer.stream import Stream
from roost.peer.troubles import Troubles
from roost.tasks import Tasks

logger = logging.getLogger(__name__)


class Dialled:
    """The links that one member dials; it is told what becomes of them."""

    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        greeter: Greeter,
        *,
        config: PeerConfig,
        dice: Dice,
        tasks: Tasks,
        statistics: TransportStatistics,
        on_connected: Callable[[int], None],
        on_unreachable: Callable[[int], None],
        on_refused: Callable[[int, RefusedThere], None],
    ) -> None:
        """Nobody is dialled; `loop` is set before anybody is."""
        self.config = config
        self.dice = dice
        self.troubles = Troubles()
        # Frames dropped, by the member they were for.
        self.dropped_counts: dict[int, int] = {}
        self._greeter = greeter
        self._tasks = tasks
        self._statistics = statistics
        self._tell_connected = on_connected
        self._tell_unreachable = on_unreachable
        self._tell_refused = on_refused
        self._links: dict[int, tuple[Link, Link]] = {}
        self._running: dict[int, list[asyncio.Task[None]]] = {}
        # Where members said that they are, until the roster says so too.
        self._told: dict[int, tuple[Address, ...]] = {}
        self._is_closed = False

    def __len__(self) -> int:
        """How many are known."""
        return len(self._links)

    def __contains__(self, member_id: int) -> bool:
        """Whether a member is known."""
        return member_id in self._links

    def __iter__(self) -> Iterator[int]:
        """Everybody."""
        return iter(self._links)

    def add(self, member_id: int, addresses: Sequence[Address]) -> None:
        """Dial a member, and let it dial us; again with other addresses to change them."""
        assert member_id != self._greeter.local.member_id, "nobody dials itself"
        told = self._told.pop(member_id, ())
        if not set(told) <= set(addresses):
            self._told[member_id] = told
            addresses = list(dict.fromkeys((*addresses, *told)))
        if member_id not in self._links:
            links = (Link(self, member_id, CONTROL), Link(self, member_id, BULK))
            self._links[member_id] = links
            self._running[member_id] = [self._tasks.start(link.run()) for link in links]
        for link in self._links[member_id]:
            link.addresses = list(addresses)

    def hear_of(self, member_id: int, told: tuple[Address, ...]) -> None:
        """A member has proven that it is there, too: dial it there until the roster says where."""
        before = self._told.get(member_id, ())
        held = [it for it in self.addresses_of(member_id) if it not in before]
        self._told[member_id] = told
        self.add(member_id, held)

    def remove(self, member_id: int) -> None:
        """Close the links to a member, and dial it no more."""
        for task in self._running.pop(member_id, ()):
            task.cancel()
        for link in self._links.pop(member_id, ()):
            link.close()
        self.troubles.forget(member_id)
        self._told.pop(member_id, None)

    def close(self) -> None:
        """Dial nobody any more; nobody is told that links break."""
        self._is_closed = True

    def addresses_of(self, member_id: int) -> list[Address]:
        """Where a member is dialled; empty when it is not known."""
        links = self._links.get(member_id)
        return list(links[0].addresses) if links else []

    def is_open_to(self, member_id: int) -> bool:
        """Whether the link for heartbeats and votes to a member is open."""
        links = self._links.get(member_id)
        return links is not None and links[CONTROL].is_open

    def known_hosts(self) -> frozenset[str]:
        """The addresses that members come from, as far as they are known."""
        known = (it for links in self._links.values() for it in links[0].addresses)
        return self._greeter.seen_from(known)

    def send(self, member_id: int, encoded: list[bytes], *, bulk: bool) -> bool:
        """Send one frame, as `framing.encode` made it, perhaps for several peers.

        False when it was dropped: not connected, or the queue is full.
        """
        links = self._links.get(member_id)
        if links is not None and links[BULK if bulk else CONTROL].send(encoded):
            self._statistics.sent_count += 1
            self._statistics.sent_bytes += sum(map(len, encoded))
            return True
        self._statistics.dropped_count += 1
        self.dropped_counts[member_id] = self.dropped_counts.get(member_id, 0) + 1
        return False

    def queued_bytes(self) -> int:
        """What waits for sockets, over all links."""
        return sum(link.queued_bytes for links in self._links.values() for link in links)

    def wake(self, member_id: int) -> None:
        """A peer has dialled us, so it is there."""
        for link in self._links.get(member_id, ()):
            link.wake()

    async def greet(
        self, member_id: int, channel: int, address: Address, on_reached: Callable[[], None]
    ) -> Stream:
        """Dial a member and greet it, for a link; see `Greeter`."""
        return await self._greeter.greet(member_id, channel, address, on_reached)

    def on_connected(self, member_id: int) -> None:
        """A dialled link is open."""
        self.troubles.forget(member_id)
        if all(link.is_open for link in self._links.get(member_id, ())):
            logger.info("links to member %x are open", member_id)
        self._tell_connected(member_id)

    def on_refused(self, member_id: int, said: RefusedThere) -> None:
        """A member that we dialled will not talk to us."""
        self._tell_refused(member_id, said)

    def on_unreachable(self, member_id: int) -> None:
        """A link to or from a peer broke."""
        if not self._is_closed and member_id in self._links:
            self._tell_unreachable(member_id)
