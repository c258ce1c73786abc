"""A member's links to members of other clusters: one message after another, each answered.

What is said is what members say to each other (`messages`), with the answer to each in the answer
to its request.  Who does not answer in time, or says what is none, is asked again later and later
(`outgoing`); what is counted meanwhile waits in the store, one row for each counter.

Full?  Each link has one message on its way, and one waiting for each owner that it tells of.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from roost.counters import messages
from roost.counters.errors import LinkFailed, MalformedCounters
from roost.counters.exchange import Exchange, Letter
from roost.counters.facts import Facts, Link
from roost.counters.joining import Phase
from roost.counters.linking import foreign_name
from roost.counters.messages import Differs, Heard, Message, PageTaken, Refused
from roost.counters.outgoing import FAR_ANSWER_S
from roost.tasks import Tasks


class Way(Protocol):
    """A way to one member of another cluster."""

    async def ask(self, data: bytes) -> bytes:
        """Say something there; the answer, empty = none.

        Raises:
            LinkFailed: there is none, or it is nothing that is answered.

        """

    async def aclose(self) -> None:
        """Give back what is held."""


# Owners for whose names is looked at a time, where they had none when a link began to relay them.
NAMED_A_LOOK = 16
OpenWay = Callable[[str], Way]


@dataclass(slots=True)
class _Told:
    """One link, and what waits to be told by it."""

    link: Link
    way: Way
    letters: deque[Letter] = field(default_factory=deque)
    # Up to which of the owners it relays all that there are, and which of them nobody could name.
    relayed_owner: int = 0
    unnamed: deque[int] = field(default_factory=deque)
    is_due: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False


class Outside:
    """All of one member's."""

    def __init__(
        self,
        open_way: OpenWay,
        cluster: str,
        heard: Callable[[int, Message, int], None],
        lost: Callable[[int, str], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """`heard` gets a link's number and an answer, `lost` why there is none."""
        self._open_way = open_way
        self._cluster = cluster
        self._heard = heard
        self._lost = lost
        self._told: dict[int, _Told] = {}
        self._tasks = Tasks(failed)

    def look(self, exchange: Exchange, facts: Facts, name: str, now_s: float) -> None:
        """Have the links that are decided, and relay where they do."""
        wanted = {-it.number: it for it in facts.links if it.is_of(name)}
        for gone in self._told.keys() - wanted.keys():
            self._end(gone)
            exchange.unlink(gone)
        for partner, link in wanted.items():
            if partner not in self._told:
                told = self._told[partner] = _Told(link, self._open_way(link.url))
                self._tasks.start(self._run(partner, told))
            exchange.link(partner, now_s, name=foreign_name(name, self._cluster))
        relaying = [it for it in wanted if wanted[it].is_relay]
        if self._is_relaying(exchange, is_wanted=bool(relaying)):
            for partner in relaying:
                self._relay(partner, exchange, facts, now_s)

    def _is_relaying(self, exchange: Exchange, *, is_wanted: bool) -> bool:
        """Whether rows are kept of what others have counted; begun or ended as it is wanted."""
        passing = exchange.store.passing
        if not is_wanted:
            passing.end()
        elif not passing.is_on:
            # What came in pages that are not all here yet has no rows, and is not heard either.
            if exchange.joining.phase is not Phase.READY or exchange.is_taking_pages:
                return False
            heard = exchange.store.heard
            passing.begin({number: it.version for number, it in heard.items()})
        return is_wanted

    def _relay(self, partner: int, exchange: Exchange, facts: Facts, now_s: float) -> None:
        """Have a partner told of owners who are new here, and of names that are."""
        store, told = exchange.store, self._told[partner]
        for owner in store.owners.behind(told.relayed_owner):
            if owner != store.own:
                name = self._name_of(facts, store.owners.epochs[owner])
                exchange.relay(partner, owner, now_s, name=name)
                if not name:
                    told.unnamed.append(owner)
            told.relayed_owner = owner
        for _ in range(min(NAMED_A_LOOK, len(told.unnamed))):
            owner = told.unnamed.popleft()
            epoch = store.owners.epochs[owner]
            relayed = exchange.relays.get(partner, epoch)
            if relayed is not None and (name := self._name_of(facts, epoch)):
                relayed.call(name, now_s)
            else:
                told.unnamed.append(owner)

    def _name_of(self, facts: Facts, epoch: bytes) -> str:
        """What an owner is called elsewhere: a foreigner as it is called already."""
        foreigner = facts.foreigner(epoch)
        if foreigner is not None:
            return foreigner.name
        name = facts.name_of(epoch)
        return "" if name == epoch.hex() else foreign_name(name, self._cluster)

    def post(self, letter: Letter) -> None:
        """Tell something by a link, when what was said before is answered."""
        told = self._told.get(letter.partner)
        if told is not None:
            told.letters.append(letter)
            told.is_due.set()

    def url_of(self, partner: int) -> str:
        """Where a link leads."""
        told = self._told.get(partner)
        return "" if told is None else told.link.url

    async def _run(self, partner: int, told: _Told) -> None:
        """Say what is to be said, one after another, until the link is removed."""
        async with aclosing(told.way):
            while not told.is_over:
                if not told.letters:
                    told.is_due.clear()
                    await told.is_due.wait()
                    continue
                letter = told.letters.popleft()
                try:
                    async with asyncio.timeout(FAR_ANSWER_S):
                        data = await told.way.ask(letter.data)
                    answer = _answer_of(data)
                except (LinkFailed, MalformedCounters) as error:
                    self._fail(partner, told, str(error))
                except TimeoutError:
                    self._fail(partner, told, f"no answer in {FAR_ANSWER_S:g} s")
                else:
                    if answer is not None and not told.is_over:
                        self._heard(partner, answer, len(data))

    def _fail(self, partner: int, told: _Told, reason: str) -> None:
        told.letters.clear()  # all is said anew
        if not told.is_over:
            self._lost(partner, reason)

    def _end(self, partner: int) -> None:
        told = self._told.pop(partner)
        told.is_over = True
        told.letters.clear()
        told.is_due.set()

    def end_all(self) -> None:
        """The store is closed: whatever is answered is of no use."""
        for partner in list(self._told):
            self._end(partner)

    async def close(self) -> None:
        """End all links."""
        self.end_all()
        await self._tasks.close()

    def abandon(self) -> None:
        """End as a crash would."""
        self._tasks.cancel()


def _answer_of(data: bytes) -> Message | None:
    """What is said to what a link tells; None = nothing.

    Raises:
        MalformedCounters: it is something else: whoever is told has nothing to tell by this way.

    """
    if not data:
        return None
    message = messages.decode(data)
    if not isinstance(message, Heard | PageTaken | Differs | Refused):
        raise MalformedCounters("what is no answer to a link")
    return message


class NoWay:
    """Where nobody has said how other clusters are reached: in a program of one's own making."""

    def __init__(self, url: str) -> None:
        """It would lead there."""
        self._url = url

    async def ask(self, data: bytes) -> bytes:
        """Fail.

        Raises:
            LinkFailed: always.

        """
        raise LinkFailed(f"this member has no way to {self._url}: {len(data)} bytes are not sent")

    async def aclose(self) -> None:
        """Nothing is held."""


def refuse_ways(url: str) -> Way:
    """No way to anybody."""
    return NoWay(url)
