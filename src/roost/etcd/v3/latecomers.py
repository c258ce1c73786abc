"""Watchers that are behind share one pass over the history of keys.

Those that stand at the same revision are a *party*.  The pass takes the party that is furthest
back, reads what follows, decodes each record once, and offers it to those of the party that may
want it; then the party stands where it has read to, and is one with whoever stands there.  So a
thousand watchers from the same revision cost what one does, and a thousand from a thousand
revisions come together on the way.

Answers never split a revision.  One that has more records than a slice is read a slice a turn all
the same, and where more of a party want what was read than a turn can send they are told a part a
turn: what each of them wants is piled up, encoded, and sent when all of it has been read
(`_Passage`).  There is one such at a time, it is bounded, and nobody joins its party.

A turn of the loop takes WORK_MAX steps: a record read, or 8 KiB of a large one, an event sent.  A
watcher whose stream has no room rests, and joins the pass again, where it left, when its client has
read.

Full?  Nothing is kept but where each watcher stands, and the events of one revision; the hub
bounds how many watchers there are, and the executor how much a revision writes.
"""

import asyncio
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import islice
from typing import Protocol

from roost.database.model import Walk
from roost.etcd.model.costs import BYTES_A_ROW_LOG2
from roost.etcd.model.mvcc import main_of, revision_bytes
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.places import Party, Places
from roost.etcd.v3.watchers import Event, Listener, Watcher, WatcherIndex
from roost.slices import Slices

WORK_MAX = 400
ROWS_MAX, PART_BYTES = 128, 1 << 20
# To tell what was there before an event takes a look for it, and is as long as that was.
_PREVIOUS_UNITS = 4
# What a party is offered before another has its turn, in records times watchers; one revision is
# offered whole all the same.
OFFERS_MAX = 16_000
# So many watchers that have caught up are handed over in one step, or go on in one turn.
HANDED_MAX = 200


class Hub(Protocol):
    """Who knows how watchers are answered, and has those that are not behind."""

    def answers(self, watcher: Watcher, events: list[Event], revision: int) -> list[bytes]:
        """What a watcher is told of events."""

    def rows(self, watcher: Watcher, events: list[Event]) -> list[bytes]:
        """Events as a watcher wants them, encoded."""

    def units(self, watcher: Watcher, event: Event) -> int:
        """How much work it is to tell a watcher of an event, as it wants it."""

    def answers_of(self, watcher: Watcher, rows: list[bytes], revision: int) -> list[bytes]:
        """What a watcher is told of encoded events."""

    def sync(self, watcher: Watcher) -> None:
        """A watcher has been sent everything."""

    def is_asked(self, watcher: Watcher) -> bool:
        """Whether it is known if a watcher may be told anything."""


class _Passage:
    """Revisions on their way to a party, which stands at the first: one that is long, or several.

    Whoever leaves the party has been sent all of them, or nothing.
    """

    __slots__ = ("first", "is_read", "last", "offers", "party", "pile")

    def __init__(self, party: Party, last: int, events: Sequence[Event] | None = None) -> None:
        """Up to a revision; `events` are all there are, or they have to be read."""
        self.party = party
        self.last = last
        # Where the reading goes on, and whether it has come to the end.
        self.first = revision_bytes(last, 0)
        self.is_read = events is not None
        # Who wants what of the records that were read, as far as nobody was asked yet.
        self.offers = _offers(party, events or ())
        # What each wants so far.
        self.pile: dict[Watcher, list[bytes]] = {}


class Latecomers:
    """The watchers of one member that are behind."""

    def __init__(self, hub: Hub, desk: Desk) -> None:
        """Nobody is."""
        self._hub = hub
        self._mvcc, self._replica = desk.mvcc, desk.replica
        self._places = Places()
        self._resting: dict[Listener, dict[Watcher, None]] = {}
        # Those who rest until it is known whether they may be told anything.
        self._unasked: dict[Watcher, None] = {}
        self._parties: dict[int, Party] = {}
        # Revisions of parties, some of which are gone; the lowest first.
        self._revisions: list[int] = []
        self._passage: _Passage | None = None
        self._slices = Slices(HANDED_MAX)
        # The number grows whenever somebody begins to be behind.
        self._is_due, self.arrival_count = False, 0

    def __len__(self) -> int:
        """How many are behind."""
        return len(self._places)

    def __contains__(self, watcher: Watcher) -> bool:
        """Whether a watcher is behind."""
        return watcher in self._places

    def add(self, watcher: Watcher) -> None:
        """Serve it from its `next_revision` on."""
        self.arrival_count += 1
        if not self._hub.is_asked(watcher):
            self._places.note(watcher, None)
            self._unasked[watcher] = None
        elif watcher.stream.has_room:
            party = self._party_at(watcher.next_revision)
            self._places.note(watcher, party)
            party.members.add(watcher)
            self._schedule()
        else:
            self._places.note(watcher, None)
            self._resting.setdefault(watcher.stream, {})[watcher] = None

    def add_all(self, watchers: WatcherIndex, revision: int) -> None:
        """Serve all of these from a revision on; the index is ours from now on."""
        self.arrival_count += 1
        party = Party(revision, watchers)
        self._slices.run(self._places.note_crowd(party))
        self._stand(party)
        self._schedule()

    def discard(self, watcher: Watcher) -> None:
        """Serve it no more, if it was; its `next_revision` says what it has not been sent."""
        if watcher not in self._places:
            return
        party = self._places.forget(watcher)
        if watcher in self._unasked:
            del self._unasked[watcher]
        elif party is None:
            resting = self._resting[watcher.stream]
            del resting[watcher]
            if not resting:
                del self._resting[watcher.stream]
        else:
            watcher.next_revision = max(watcher.next_revision, party.revision)
            party.members.discard(watcher)
            if not party.members and self._parties.get(party.revision) is party:
                del self._parties[party.revision]

    def resume(self, listener: Listener) -> None:
        """A client has read: those of its watchers that rest go on, so many in a turn."""
        if listener in self._resting and listener.has_room:
            self._slices.run(self._resuming(listener))

    def resume_asked(self, watcher: Watcher) -> None:
        """It is known that a watcher may be told what it wants."""
        if watcher in self._unasked:
            del self._unasked[watcher]
            self.add(watcher)

    def _resuming(self, listener: Listener) -> Iterator[None]:
        while (resting := self._resting.get(listener)) and listener.has_room:
            watcher, _ = resting.popitem()
            if not resting:
                del self._resting[listener]
            self.add(watcher)
            yield

    def _party_at(self, revision: int) -> Party:
        party = self._parties.get(revision)
        if party is None:
            party = self._parties[revision] = Party(revision)
            heappush(self._revisions, revision)
        return party

    def _schedule(self) -> None:
        if (self._parties or self._passage) and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Lead those that are furthest back on, for a bounded part of a turn."""
        self._is_due = False
        try:
            work = 0
            while (self._parties or self._passage) and work < WORK_MAX:
                passage = self._passage
                if passage is None:
                    work += self._advance()
                else:
                    work += self._go_on(passage, WORK_MAX - work)
        finally:
            self._schedule()

    def _lowest(self) -> tuple[Party, int | None]:
        """The party that is furthest back, and the revision of the next one."""
        revisions, parties = self._revisions, self._parties
        found: Party | None = None
        while revisions:
            revision = revisions[0]
            if revision not in parties or (found is not None and revision == found.revision):
                heappop(revisions)
            elif found is None:
                found = parties[heappop(revisions)]
            else:
                break
        assert found is not None, "every party's revision is in the heap"
        # Before it is pushed back: of a heap only the first is known to be the lowest.
        next_revision = revisions[0] if revisions else None
        heappush(revisions, found.revision)
        return found, next_revision

    def _advance(self) -> int:
        """Lead one party on; say how much work it was."""
        party, next_revision = self._lowest()
        view, mvcc = self._replica.view, self._mvcc
        compacted, current = mvcc.compacted(view), mvcc.revision(view)
        if party.revision < compacted:
            return self._cancel_compacted(party, compacted)
        if party.revision > current:
            return self._hand_over(party)
        limit = current + 1 if next_revision is None else min(next_revision, current + 1)
        rows, until = self._read(party.revision, limit)
        if until < party.revision:
            del self._parties[party.revision]
            self._passage = _Passage(party, main_of(rows[0][0]))
            return _work_of(rows)
        events = [Event(name, encoded) for name, encoded in rows]
        wanted = self._wanted(party, events)
        if wanted is None:
            events, until = _within(party, events, until)
            del self._parties[party.revision]
            self._passage = _Passage(party, until, events)
            return _work_of(rows)
        # Before anybody is sent anything: that may wake others of the stream, and who comes to
        # stand where the party stood must be led on from there.
        self._move(party, until + 1)
        return _work_of(rows) + self._send(wanted, current)

    def _read(self, first: int, limit: int) -> tuple[list[tuple[bytes, bytes]], int]:
        """Records from a revision on, below `limit`, whole revisions; and the last of these.

        Where the first of them is too long for a slice, its begin, and a revision before `first`.
        """
        view, tree = self._replica.view, self._mvcc.revisions
        walk = Walk(view, tree, revision_bytes(first, 0), revision_bytes(limit, 0))
        rows = walk.take(ROWS_MAX, PART_BYTES)
        while not rows and not walk.is_done:
            rows = walk.take(ROWS_MAX, PART_BYTES)
        if walk.is_done:
            return rows, limit - 1
        last = main_of(rows[-1][0])
        if main_of(rows[0][0]) == last:
            return rows, first - 1
        # The last revision may go on behind what was read; it is read whole next time.
        rows = [row for row in rows if main_of(row[0]) < last]
        return rows, main_of(rows[-1][0])

    def _wanted(self, party: Party, events: list[Event]) -> dict[Watcher, list[Event]] | None:
        """What each of a party wants of what was read, in order; None when that is too much."""
        by_watcher: dict[Watcher, list[Event]] = {}
        left, units = WORK_MAX, self._hub.units
        for event in events:
            for watcher in party.members.candidates(event.key):
                left -= 1
                if watcher.wants(event):
                    left -= units(watcher, event) - 1
                    left -= _PREVIOUS_UNITS if watcher.wants_previous else 0
                    by_watcher.setdefault(watcher, []).append(event)
                if left <= 0:
                    return None
        return by_watcher

    def _send(self, by_watcher: dict[Watcher, list[Event]], current: int) -> int:
        """Send each what it wants; say how many events were sent."""
        count = 0
        for watcher, wanted in by_watcher.items():
            count += sum(it.units for it in wanted)
            if watcher not in self._places or watcher.stream.is_over:
                continue  # another watch of its stream has ended it meanwhile
            try:
                if watcher.stream.has_room and self._hub.is_asked(watcher):
                    watcher.stream.call.send_all(self._hub.answers(watcher, wanted, current))
                else:
                    self.discard(watcher)
                    watcher.next_revision = wanted[0].main
                    self.add(watcher)
            except Exception as error:  # noqa: BLE001 - it is this stream's alone
                watcher.stream.fail(error)
        return count

    def _go_on(self, passage: _Passage, work_max: int) -> int:
        """Read more, ask some of the party what they want of it, or send one watcher its own."""
        party, last = passage.party, passage.last
        if not party.members:
            self._end_passage(party, party.revision)
        elif asked := self._ask(passage, work_max):
            return asked
        elif not passage.is_read and last < self._mvcc.compacted(self._replica.view):
            self._end_passage(party, party.revision)
        elif not passage.is_read:
            return self._read_on(passage)
        elif passage.pile:
            watcher, rows = passage.pile.popitem()
            if self._places.party_of(watcher) is party and not watcher.stream.is_over:
                self._send_pile(watcher, rows, last)
            return 1 + len(rows) + (sum(map(len, rows)) >> BYTES_A_ROW_LOG2)
        else:
            self._end_passage(party, last + 1)
        return 1

    def _ask(self, passage: _Passage, work_max: int) -> int:
        """Pile up what some want of what was read; say how much work it was, 0 = none is left."""
        work = 0
        for watcher, event in passage.offers:
            rows = self._hub.rows(watcher, [event])
            passage.pile.setdefault(watcher, []).extend(rows)
            work += 1
            if watcher.wants_previous:  # what was there before is looked up, and may be large
                work += sum(map(len, rows)) >> BYTES_A_ROW_LOG2
            if work >= work_max:
                break
        return work

    def _read_on(self, passage: _Passage) -> int:
        """Read the next records of a long revision; say how much work that was."""
        stop = revision_bytes(passage.last + 1, 0)
        view, tree = self._replica.view, self._mvcc.revisions
        walk = Walk(view, tree, passage.first, stop)
        rows = walk.take(ROWS_MAX, PART_BYTES)
        events = [Event(name, encoded) for name, encoded in rows]
        passage.offers = _offers(passage.party, events)
        passage.is_read, passage.first = walk.is_done, walk.place
        return _work_of(rows)

    def _send_pile(self, watcher: Watcher, rows: list[bytes], last: int) -> None:
        """Send one watcher what it wants of the revisions up to `last`."""
        try:
            if watcher.stream.has_room and self._hub.is_asked(watcher):
                current = self._mvcc.revision(self._replica.view)
                watcher.next_revision = last + 1
                answers = self._hub.answers_of(watcher, rows, current)
                watcher.stream.call.send_all(answers)
            else:
                self.discard(watcher)
                self.add(watcher)
        except Exception as error:  # noqa: BLE001 - it is this stream's alone
            watcher.stream.fail(error)

    def _end_passage(self, party: Party, revision: int) -> None:
        """The party goes on from `revision`, with whoever stands there."""
        self._passage = None
        if party.members:
            party.revision = revision
            self._stand(party)

    def _move(self, party: Party, revision: int) -> None:
        """A party has been led to a revision; it joins whoever stands there."""
        del self._parties[party.revision]
        party.revision = revision
        self._stand(party)

    def _stand(self, party: Party) -> None:
        """A party has come to its revision; it is one with whoever stands there."""
        revision = party.revision
        there = self._parties.get(revision)
        if there is None:
            self._parties[revision] = party
            heappush(self._revisions, revision)
            return
        small, large = sorted((party, there), key=lambda it: len(it.members))
        self._parties[revision] = large
        for watcher in list(small.members):
            self._places.note(watcher, large)
            small.members.discard(watcher)
            # Those that it joins may have older places in mind: the party's is what counts.  One
            # that begins later than now goes on to do so.
            watcher.next_revision = max(watcher.next_revision, revision)
            large.members.add(watcher)

    def _hand_over(self, party: Party) -> int:
        """Some of a party that has been sent everything are not behind any more."""
        done = list(islice(party.members, HANDED_MAX))
        for watcher in done:
            self.discard(watcher)
            self._hub.sync(watcher)
        return len(done)

    def _cancel_compacted(self, party: Party, compacted: int) -> int:
        """The revisions that some of a party need are gone."""
        gone = list(islice(party.members, HANDED_MAX))
        for watcher in gone:
            if watcher.stream.is_over:
                self.discard(watcher)
                continue
            try:
                watcher.stream.cancel_compacted(watcher, compacted)
            except Exception as error:  # noqa: BLE001 - it is this stream's alone
                watcher.stream.fail(error)
        return len(gone)


def _work_of(rows: Sequence[tuple[bytes, bytes]]) -> int:
    """How much work it was to read records."""
    return 1 + len(rows) + (sum(len(encoded) for _, encoded in rows) >> BYTES_A_ROW_LOG2)


def _offers(party: Party, events: Sequence[Event]) -> Iterator[tuple[Watcher, Event]]:
    """Each of a party with each event that it wants; some may go meanwhile."""
    for event in events:
        for watcher in list(party.members.candidates(event.key)):
            if watcher.wants(event):
                yield watcher, event


def _within(party: Party, events: list[Event], until: int) -> tuple[list[Event], int]:
    """Those of the first revisions that are not too many offers; the last of these revisions."""
    weight = 0
    for position, event in enumerate(events):
        weight += party.members.weight((event,), OFFERS_MAX)
        if weight > OFFERS_MAX and event.main > events[0].main:
            return [it for it in events[:position] if it.main < event.main], event.main - 1
    return events, until
