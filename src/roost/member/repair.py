"""Damaged journal entries, brought back by whoever holds them (specs: journal.md J19 to J21).

A member with damaged entries knows their identities and keeps its vote; it asks all others for
them, a page at a time, with or without a leader, because (term, index, checksum) names one
content.  Each answers for every entry:

    HELD      here it is
    LACKED    this member never held it, or holds another leader's entry in its place
    DOUBTFUL  damaged here, too, perhaps by the power cut that interrupted its writing
    DAMAGED   damaged here, too, and it was durable here once
    GONE      compacted: it is in this member's store

An entry that no voter holds, and that was not certainly durable at a majority, was never
committed; it is dropped when every voter has said so.  One that is gone elsewhere comes with the
store of a peer (`rebuild`).

    FRAME_REPAIR   u8 what (0 = asked, 1 = answered), then MessagePack
"""

import logging
from collections.abc import Callable, Mapping
from enum import IntEnum

import msgspec

from roost.errors import UNDECODABLE, PeerFault
from roost.journal import Journal
from roost.member.persistence import Persistence
from roost.raft import Core, Count, Role, has_quorum

logger = logging.getLogger(__name__)
ASKED, ANSWERED = 0, 1
ENTRIES_MAX = 512
ANSWER_BYTES_MAX = 4 << 20
ASK_TICKS = 3


class Answer(IntEnum):
    """What a member knows of an entry."""

    HELD = 1
    LACKED = 2
    DOUBTFUL = 3
    DAMAGED = 4
    GONE = 5


class Wanted(msgspec.Struct, frozen=True, array_like=True):
    """The identity of an entry."""

    index: Count
    term: Count
    length: Count
    payload_crc: Count


class Found(msgspec.Struct, frozen=True, array_like=True):
    """What one member says of one entry."""

    index: Count
    term: Count
    answer: Answer
    payload: bytes = b""


_WANTED = msgspec.msgpack.Decoder(list[Wanted])
_FOUND = msgspec.msgpack.Decoder(list[Found])


class Repair:
    """Asks and answers for one member.

    `send(to, buffers)` sends one frame; `drive()` carries on after something was mended;
    `on_gone(text)` is called when only a peer's store can help.
    """

    def __init__(
        self,
        core: Core,
        journal: Journal,
        persistence: Persistence,
        *,
        send: Callable[[int, list[bytes]], object],
        drive: Callable[[], None],
        on_gone: Callable[[str], None],
    ) -> None:
        """Nothing is asked yet."""
        self._core = core
        self._journal = journal
        self._persistence = persistence
        self._send = send
        self._drive = drive
        self._on_gone = on_gone
        self._ticks = 0
        # What the others said of the oldest damaged entry.
        self._said: dict[int, Answer] = {}
        self._said_of = (0, 0)
        self.mended_count = 0
        self.dropped_count = 0

    def tick(self) -> None:
        """Ask, every few ticks, while something is damaged."""
        faulty = self._journal.faulty
        if not faulty:
            return
        self._ticks += 1
        if self._ticks % ASK_TICKS != 1 or self._persistence.outstanding_count:
            return
        wanted = [self._wanted(index) for index in sorted(faulty)[:ENTRIES_MAX]]
        frame = [bytes([ASKED]), msgspec.msgpack.encode(wanted)]
        others = self._others()
        for node in others:
            self._send(node, frame)
        if not others:
            self._settle_doubts()

    def _others(self) -> list[int]:
        core = self._core
        return [it for it in core.configuration.all_nodes() if it != core.id]

    def _wanted(self, index: int) -> Wanted:
        place = self._journal.place(index)
        return Wanted(index, place.term, place.length, place.payload_crc)

    # --- being asked ----------------------------------------------------------------------------

    def on_frame(self, sender: int, body: bytes) -> None:
        """A peer asks, or answers.

        Raises:
            PeerFault: the frame breaks its format.

        """
        try:
            if body[:1] == bytes([ASKED]):
                self._answer(sender, _WANTED.decode(body[1:]))
            else:
                self._take(sender, _FOUND.decode(body[1:]))
        except UNDECODABLE as error:
            raise PeerFault(f"a malformed repair frame: {error}") from error

    def _answer(self, asker: int, wanted: list[Wanted]) -> None:
        found: list[Found] = []
        size = 0
        for it in wanted[:ENTRIES_MAX]:
            said = self._look_up(it)
            if said is not None:
                found.append(said)
                size += len(said.payload)
            if size > ANSWER_BYTES_MAX:
                break
        if found:
            self._send(asker, [bytes([ANSWERED]), msgspec.msgpack.encode(found)])

    def _look_up(self, wanted: Wanted) -> Found | None:
        """What we know of an entry; None when we cannot say."""
        journal, index, term = self._journal, wanted.index, wanted.term
        if index < journal.first_index:
            return Found(index, term, Answer.GONE)
        if index > journal.durable_index or journal.term_at(index) != term:
            # What is on its way to the disk may be this entry, and what was lost may have been.
            core = self._core
            is_coming = self._persistence.outstanding_count or core.log.holds(index, term)
            is_known = not core.is_fenced and not is_coming
            return Found(index, term, Answer.LACKED) if is_known else None
        fault = journal.faulty.get(index)
        if fault is None:
            entries = journal.entries(index, index + 1, 1)
            if entries:
                return Found(index, term, Answer.HELD, entries[0].payload)
            fault = journal.faulty[index]
        return Found(index, term, Answer.DAMAGED if fault.is_certain else Answer.DOUBTFUL)

    # --- being answered -------------------------------------------------------------------------

    def _take(self, sender: int, found: list[Found]) -> None:
        journal = self._journal
        if self._persistence.outstanding_count:
            return  # the journal's thread is writing: we ask again
        before = self.mended_count
        for it in found:
            if it.index not in journal.faulty or journal.term_at(it.index) != it.term:
                continue
            if it.answer is Answer.HELD and journal.mend(it.index, it.payload):
                self.mended_count += 1
            elif it.index == journal.first_faulty:
                self._note(sender, it)
        if self.mended_count > before:
            text = "member %x brought back %d damaged entries, %d are left"
            logger.warning(text, sender, self.mended_count - before, len(journal.faulty))
            self._drive()
        else:
            self._settle_doubts()

    def _note(self, sender: int, found: Found) -> None:
        if self._said_of != (found.index, found.term):
            self._said_of, self._said = (found.index, found.term), {}
        self._said[sender] = found.answer

    def _settle_doubts(self) -> None:
        """Drop the oldest damaged entry and what follows, if it certainly was never committed."""
        core, journal = self._core, self._journal
        index = journal.first_faulty
        if not index:
            return
        said = self._said if self._said_of == (index, journal.term_at(index)) else {}
        if Answer.GONE in said.values():
            self._on_gone(f"entry {index} is damaged here and compacted elsewhere")
            return
        voters = core.configuration.all_voters()
        answers: Mapping[int, Answer] = {**said, core.id: self._own(index)}
        if core.role is not Role.FOLLOWER or index <= core.commit_index:
            return
        if any(it not in answers or answers[it] is Answer.HELD for it in voters):
            return
        if has_quorum(core.configuration, lambda node: answers[node] is Answer.DAMAGED):
            return
        text = "entries from %d to %d are dropped: no member holds %d, so it was never committed"
        logger.warning(text, index, journal.last_index, index)
        self.dropped_count += journal.last_index + 1 - index
        core.forget_from(index)
        journal.drop_from(index)
        self._drive()

    def _own(self, index: int) -> Answer:
        return Answer.DAMAGED if self._journal.faulty[index].is_certain else Answer.DOUBTFUL
