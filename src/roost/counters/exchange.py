"""All that one member says to its partners, and hears of them: links, answers, pages.  Sans I/O.

Whoever drives it hands over what comes (`on_message`), says when a partner is up or down, performs
the store's steps, and sends what `take_messages` gives: answers whose step is durable, and what the
links have to tell.  It may be asked at any time; nothing depends on how often.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from roost.counters import messages, receiving, sending, upkeep
from roost.counters.errors import MalformedCounters, OwnerForked
from roost.counters.joining import Joining, Pull
from roost.counters.messages import (
    Changes,
    Compare,
    Differs,
    Head,
    Heard,
    Hello,
    Message,
    Page,
    PageTaken,
    Purpose,
    Refused,
    Reported,
    WantPage,
    WantReport,
)
from roost.counters.outgoing import Outgoing
from roost.counters.owners import OUTSIDE_OWNERS_MAX
from roost.counters.registry import Report
from roost.counters.relaying import Relays
from roost.counters.standing import Digest, Opening
from roost.counters.store import Store
from roost.errors import Overloaded

# Answers that wait for the disk; beyond that a partner asks again.
ANSWERS_MAX = 10_000
# Answers of one partner's that no link took; of more, the oldest are not given.
KEPT_MAX = 8
# Who is heard by no link of this cluster: a member of another one is this less its owner's number.
# Links to such members have the numbers -1, -2 and so on.
OUTSIDE = -(1 << 32)


@dataclass(frozen=True, slots=True)
class Letter:
    """Bytes for one partner, and how many rows they are."""

    partner: int
    data: bytes
    rows_count: int = 0
    is_answer: bool = False


def letter_of(partner: int, message: Message, *, is_answer: bool = False) -> Letter:
    """A message as it is sent."""
    data, rows_count = messages.encode(message), messages.rows_in(message)
    return Letter(partner, data, rows_count, is_answer)


@dataclass(frozen=True, slots=True)
class Visited:
    """What is to be answered, as soon as that step is durable, None = nothing; what is left."""

    step: int
    answer: Message | None
    rest: Page | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    step: int
    partner: int
    message: Message


@dataclass(slots=True)
class _Replacing:
    """Pages of an owner's that are on their way here."""

    base: int
    # How far they are here; and behind which name the one began that is being taken, in steps.
    until: bytes = b""
    begun: bytes = b""


class Exchange:
    """One member's."""

    def __init__(self, store: Store, dice: Callable[[], float]) -> None:
        """Nobody is known."""
        self.store = store
        self._dice = dice
        self.links: dict[int, Outgoing] = {}
        # What links that relay tell of others.
        self.relays = Relays(store)
        # What members of other clusters are called, by their epochs.
        self.met: dict[bytes, str] = {}
        self.joining = Joining(store)
        # Whom to ask for pages: the seed, and who may know more of an owner that is away for good.
        self.seed = 0
        self.pulls: dict[int, Pull] = {}
        # Whose that is, and in which step the last of it is.
        self._united, self._united_step = b"", 0
        # Owners that are away for good: what still comes of them is not taken.
        self.retired: set[bytes] = set()
        # Where owners count, as the cluster has decided: nobody else speaks for them.
        self.member_of: Mapping[bytes, int] = {}
        self.differed_count = 0
        # Partners of whose own registers something else is here, and what.
        self.differing: dict[int, str] = {}
        # What members have said of themselves since `ask_reports`, by their epochs.
        self.reports: dict[bytes, Report] = {}
        # Whether a link may have something to send that has not been asked yet.
        self.has_more = False
        self._answers: list[_Answer] = []
        self._replacing: dict[bytes, _Replacing] = {}
        # Answers that no link took, until one opens.
        self._kept: dict[int, deque[Letter]] = {}
        self._due: list[Letter] = []

    def link(self, partner: int, now_s: float, *, name: str = "") -> None:
        """Have a link to a partner; of another cluster, where this member has that `name`."""
        if partner not in self.links:
            self.links[partner] = self._outgoing(partner, now_s, name=name)

    def relay(self, partner: int, owner: int, now_s: float, *, name: str = "") -> None:
        """Have a partner told of another owner, too, who is called so there."""
        self.relays.add(partner, owner, self._outgoing(partner, now_s, owner=owner, name=name))

    def _outgoing(
        self, partner: int, now_s: float, *, owner: int | None = None, name: str = ""
    ) -> Outgoing:
        is_far = partner < 0
        return Outgoing(self.store, self._dice, now_s, owner=owner, is_far=is_far, name=name)

    @property
    def is_taking_pages(self) -> bool:
        """Whether pages are on their way of which not all are here."""
        return bool(self._replacing) or any(not it.is_done for it in self.pulls.values())

    def unlink(self, partner: int) -> None:
        """Have none any more."""
        self.links.pop(partner, None)
        self.relays.remove(partner)
        self.differing.pop(partner, None)
        self._kept.pop(partner, None)

    def on_link(self, partner: int, now_s: float) -> None:
        """A way to a partner has opened: what was sent on the one before may not have come."""
        link = self.links.get(partner)
        if link is not None:
            link.on_up(now_s)
        self._due += self._kept.pop(partner, ())

    def on_unsent(self, letter: Letter, now_s: float) -> None:
        """There was no way for it; an answer goes when there is one, all else is made anew."""
        if letter.is_answer:
            # Who is asked has often no way back yet, when a cut is over.
            self._kept.setdefault(letter.partner, deque(maxlen=KEPT_MAX)).append(letter)
        elif letter.partner in self.links:
            self.links[letter.partner].on_unsent(now_s)

    def on_lost(self, partner: int, now_s: float, reason: str) -> None:
        """What was sent to a member of another cluster has no answer."""
        told = [it for place, it in self.relays.items() if place[0] == partner]
        for link in [self.links[partner], *told] if partner in self.links else told:
            link.on_down(now_s, reason)

    def visit(self, message: Message) -> "Visited":
        """Take what a member of another cluster tells of itself, or relays.

        Raises:
            MalformedCounters: nobody tells such a thing.
            CounterStoreError: the store failed.

        """
        if not isinstance(message, Hello | Changes | Compare | Page) or (
            isinstance(message, Page) and message.purpose is not Purpose.REPLACE
        ):
            raise MalformedCounters("what members of other clusters do not ask")
        epoch = message.epoch
        if epoch == self.store.epoch or epoch in self.member_of:
            text = f"{epoch.hex()} counts in this cluster: no link to it is needed"
            return Visited(self.store.step, Refused(epoch=epoch, text=text))
        named = {epoch, *(message.epochs if isinstance(message, Changes | Page) else ())}
        known = self.store.owners.numbers
        if len(known) + len(named - known.keys()) > OUTSIDE_OWNERS_MAX:
            raise MalformedCounters(f"more than {OUTSIDE_OWNERS_MAX} owners are told of")
        before = len(self._answers)
        if isinstance(message, Page):
            message = _only_of_owner(message)
        rest = self._on_source(OUTSIDE - self.store.owners.number_of(epoch), message)
        said = self._answers[before:]
        del self._answers[before:]
        if isinstance(message, Hello) and message.name:
            self.met[epoch] = message.name
        return Visited(self.store.step, said[-1].message if said else None, rest)

    def on_message(self, partner: int, data: bytes, now_s: float) -> None:
        """Take what a partner sent, all of it.

        Raises:
            MalformedCounters: it is nothing that a partner says; its connection is to end.
            OwnerForked: this member's own directory is not what its partners know of it.
            CounterStoreError: the store failed.

        """
        message: Message | None = messages.decode(data)
        while message is not None:
            message = self.take(partner, message, now_s)

    def take(self, partner: int, message: Message, now_s: float) -> Page | None:
        """Take a message that was decoded already; else as `on_message`.

        What is left of a page for which a turn has no room; it is to be taken next.
        """
        link = self._link_of(partner, message.epoch)
        match message:
            case Hello() | Changes() | Compare():
                self._on_source(partner, message)
            case Page(purpose=Purpose.REPLACE):
                return self._on_source(partner, message)
            case Page():
                self._on_page(partner, message)
            case WantPage(purpose=Purpose.REPLACE):
                raise MalformedCounters("nobody asks for pages that replace")
            case WantPage(purpose=Purpose.UNION) if message.epoch not in self.retired:
                pass  # more of it may come here; whoever asks does so again
            case WantPage():
                heads = sending.heads_of(self.store)
                page = sending.page(
                    self.store, message.purpose, message.after, heads, message.epoch
                )
                self._say(partner, page)
            case WantReport():
                self._compare_soon()
                self._say(partner, upkeep.said_of(self.report()))
            case Reported():
                self._on_reported(partner, message)
            case _ if link is None:
                pass  # an answer to a link that is not there any more
            case Heard():
                link.on_heard(message, now_s)
            case PageTaken():
                link.on_page_taken(message)
            case Differs():
                link.on_differs()
            case Refused():
                link.on_refused(message)
        return None

    def _link_of(self, partner: int, epoch: bytes) -> Outgoing | None:
        """The link of which an answer about an owner is."""
        if epoch == self.store.epoch:
            return self.links.get(partner)
        self.relays.wake(partner, epoch)
        return self.relays.get(partner, epoch)

    def members(self) -> list[int]:
        """The other members of this cluster to whom there is a link."""
        return [it for it in self.links if it > 0]

    def _compare_soon(self) -> None:
        """Let partners see that they have all; what they report rests on that."""
        for link in self.links.values():
            link.compare_soon()

    def ask_reports(self) -> None:
        """Ask all partners how far they have heard everybody; forget what they said before."""
        self.reports = {self.store.epoch: self.report()}
        self._compare_soon()
        for partner in self.members():
            self._say(partner, WantReport(self.store.epoch))

    def report(self) -> Report:
        """What this member says of itself: what is durable."""
        is_united = (
            bool(self._united)
            and all(it.is_done for it in self.pulls.values())
            and self.store.durable_step >= self._united_step
        )
        unions = frozenset({self._united} if is_united else ())
        return replace(upkeep.report(self.store), unions=unions)

    def unite(self, epoch: bytes, partners: Iterable[int]) -> None:
        """Get from these what they have of an owner that is away for good; empty = of nobody."""
        wanted = set(partners) if epoch else set()
        if epoch != self._united:
            self._united, self.pulls = epoch, {}
        for gone in self.pulls.keys() - wanted:
            del self.pulls[gone]
        for new in sorted(wanted - self.pulls.keys()):
            self.pulls[new] = Pull(Purpose.UNION, epoch)

    def _say(self, partner: int, message: Message) -> None:
        if len(self._answers) < ANSWERS_MAX:
            self._answers.append(_Answer(self.store.step, partner, message))

    def _on_reported(self, partner: int, said: Reported) -> None:
        self._check_speaker(partner, said.epoch)
        # Ours, and one of each partner's.
        if said.epoch in self.reports or len(self.reports) <= len(self.links):
            self.reports[said.epoch] = upkeep.report_of(said)

    def _check_speaker(self, partner: int, epoch: bytes) -> None:
        """Believe nobody who speaks for an owner that counts elsewhere.

        What one member lies of another's openings and versions would otherwise be remembered, and
        that other one be taken for a copy for ever.
        """
        member_id = self.member_of.get(epoch, partner)
        if member_id != partner:
            raise MalformedCounters(f"{epoch.hex()} counts at member {member_id:x}")

    def _on_source(self, partner: int, message: Hello | Changes | Compare | Page) -> Page | None:
        epoch = message.epoch
        self._check_speaker(partner, epoch)
        if epoch == self.store.epoch and isinstance(message, Hello):
            raise OwnerForked(f"somebody else says to be {epoch.hex()}: a copied directory")
        if epoch in self.retired:
            self._say(partner, Refused(epoch=epoch, text=f"{epoch.hex()} was retired"))
            return None
        try:
            match message:
                case Hello():
                    self._on_hello(partner, message)
                case Changes() | Compare() if self.store.owners.is_doubted(epoch):
                    self._say(partner, Differs(epoch))  # it sends all that it has
                case Changes():
                    received = receiving.receive_changes(self.store, message)
                    self._say(partner, Heard(epoch, received.position))
                case Compare():
                    self._on_compare(partner, message)
                case Page():
                    return self._on_replace(partner, message)
        except OwnerForked as error:
            refused = Refused(epoch=epoch, text=str(error))
            if isinstance(message, Hello):  # and of no later opening, which this one may be before
                refused = msgspec.structs.replace(
                    refused, opening=message.opening, nonce=message.nonce
                )
            self._say(partner, refused)
        except Overloaded:
            pass  # not answered, so it comes again
        return None

    def _on_hello(self, partner: int, hello: Hello) -> None:
        if not hello.is_relayed:
            opening = Opening(hello.opening, hello.nonce, hello.began, hello.nonces)
            self.store.meet(hello.epoch, opening)
            number = self.store.owners.number_of(hello.epoch)
            # Of another cluster's members the facts have the names (`visit`).
            if partner > 0 and self.store.owners.introduce(number, hello.name, partner):
                self.store.heard_of(number)  # what changes owners is written with a step
        self.joining.on_told(hello.epoch, hello.version)
        self._replacing.pop(hello.epoch, None)
        is_doubted = self.store.owners.is_doubted(hello.epoch)
        heard = 0 if is_doubted else self._heard(hello.epoch)
        self._say(partner, Heard(hello.epoch, heard, hello.nonce))

    def _heard(self, epoch: bytes) -> int:
        number = self.store.owners.numbers.get(epoch, 0)
        return self.store.heard[number].version if number in self.store.heard else 0

    def _on_compare(self, partner: int, compare: Compare) -> None:
        ours = self.store.digest(compare.epoch)
        theirs = Digest(compare.count, compare.values, compare.versions)
        if self._heard(compare.epoch) != compare.version:
            return
        if ours != theirs:
            self.differed_count += 1
            self.differing[partner] = f"has {theirs} of its own, and here is {ours}"
            self._say(partner, Differs(compare.epoch))
            return
        self.differing.pop(partner, None)
        # Its owner is at that version still, and all up to it is here: so all that it has.
        number = self.store.owners.numbers.get(compare.epoch)
        if number is not None and self.store.heard[number].level < compare.version:
            self.store.heard_of(number).level = compare.version

    def _on_replace(self, partner: int, page: Page) -> Page | None:
        base = receiving.version_in(page.heads, page.epoch)
        held = self._replacing.get(page.epoch)
        if not page.after:
            held = self._replacing[page.epoch] = _Replacing(base)
        if held is None or held.base != base or page.after not in (held.until, held.begun):
            return None
        page, rest = receiving.cut(self.store, page)
        receiving.receive_page(self.store, page)
        held.until = page.until
        if rest is not None:
            return rest
        held.begun = page.until
        if page.until:
            taken = PageTaken(epoch=page.epoch, base=base, until=page.until)
            self._say(partner, taken)
        else:
            del self._replacing[page.epoch]
            # Of itself: what it says of others is not its own to say.
            if self.store.owners.is_doubted(page.epoch):
                receiving.believe(self.store, page.epoch, base)
            receiving.adopt(self.store, [Head(page.epoch, base)], is_level=True)
            self._say(partner, Heard(page.epoch, self._heard(page.epoch)))
        return None

    def _on_page(self, partner: int, page: Page) -> None:
        if page.purpose is Purpose.SEED:
            self.joining.on_page(page)
        elif partner in self.pulls and self.pulls[partner].take(self.store, page):
            self._united_step = self.store.step

    def take_messages(self, now_s: float) -> list[Letter]:
        """What is to be sent now; while it `has_more`, it is to be asked again in the next turn.

        Raises:
            CounterStoreError: what is to be told cannot be read.

        """
        durable = self.store.durable_step
        found, self._due = self._due, []
        found += [
            letter_of(it.partner, it.message, is_answer=True)
            for it in self._answers
            if it.step <= durable
        ]
        self._answers = [it for it in self._answers if it.step > durable]
        self.has_more = False
        if not self._tell(found, now_s):
            for partner, message in self.relays.take_messages(now_s):
                found.append(letter_of(partner, message))
            self.has_more = self.relays.has_more
        for partner, pull in [(self.seed, self.joining.pull), *self.pulls.items()]:
            wanted = pull.next_message(now_s) if partner else None
            if wanted is not None:
                found.append(letter_of(partner, wanted))
        return found

    def _tell(self, found: list[Letter], now_s: float) -> bool:
        """Add what links have to tell of this member; whether there was something with rows."""
        for partner, link in list(self.links.items()):
            message = link.next_message(now_s)
            if message is None:
                continue
            found.append(letter_of(partner, message))
            if isinstance(message, Changes | Page):
                # One with rows is enough for a turn of the loop; then others go first.
                self.links[partner] = self.links.pop(partner)
                self.has_more = True
                return True
        return False


def _only_of_owner(page: Page) -> Page:
    """A page that replaces, without what it says of others: of them their own links tell."""
    own = page.epochs.index(page.epoch) if page.epoch in page.epochs else -1
    return msgspec.structs.replace(
        page,
        parts=[it for it in page.parts if it.owner == own],
        tombstones=[it for it in page.tombstones if it.deleter == own],
    )
