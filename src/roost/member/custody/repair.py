"""Damaged journal entries, brought back by whoever holds them (J19 to J21).

A member with damaged entries knows their identities and keeps its vote; it asks all others for
them, a page at a time, with or without a leader, because (term, index, checksum) names one
content.  Each answers for every entry:

    HELD      here it is
    LACKED    this member never held it, or holds another leader's entry in its place
    DOUBTFUL  damaged here, too, perhaps by the power cut that interrupted its writing
    DAMAGED   damaged here, too, and it was durable here once
    GONE      compacted: it is in this member's store
    LOST      the end of this member's log is lost, and it may have been there

An entry that no voter holds, and that cannot have been durable at a majority, was never committed;
it is dropped when every voter has said so, twice (`Inquiry`).  Who has lost its end counts as
one that held it: so that it stops nobody, as long as the others are enough to know.  One that is
gone elsewhere comes with the store of a peer (`rebuild`).

    FRAME_REPAIR   u8 what (0 = asked, 1 = answered), then MessagePack, `Question` or `Reply`
"""

import logging
from collections.abc import Callable, Mapping
from enum import IntEnum

import msgspec

from roost.errors import UNDECODABLE, PeerFault
from roost.journal import Journal
from roost.member.pipeline.persistence import Persistence
from roost.raft import Configuration, Core, Count, Role, has_quorum

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
    LOST = 6


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


class Question(msgspec.Struct, frozen=True, array_like=True):
    """What one member asks all others, for the `number`th time in its life `life`."""

    life: Count
    number: Count
    wanted: list[Wanted]


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """What one member says to a question, named by its life and number."""

    life: Count
    number: Count
    found: list[Found]


_QUESTION = msgspec.msgpack.Decoder(Question)
_REPLY = msgspec.msgpack.Decoder(Reply)


class Inquiry:
    """What the others said of one damaged entry; every voter is asked twice.

    Once is not enough.  Whoever lacks it today may get it tomorrow from a leader that holds it,
    and that counts, too, what we acknowledged before it was damaged here.  If that leader then
    loses it before it answers, nobody says that he holds it, and it is committed.  But once a
    leader has said that it does not hold it (any more), what we said to it before counts for
    nothing: it has been restarted, or follows another.  So who still lacks it when all have
    spoken is no part of a majority that our old word completes.
    """

    def __init__(self, index: int, term: int) -> None:
        """Nobody was asked about entry (index, term)."""
        self.subject = index, term
        # Answers to earlier questions do not count; 0 = not all have spoken.
        self._first_number = 0
        self._said: dict[int, Answer] = {}

    def note(self, sender: int, number: int, answer: Answer) -> None:
        """`sender` says `answer` to question `number`."""
        if number >= self._first_number:
            self._said[sender] = answer

    def is_gone_somewhere(self) -> bool:
        """Whether somebody's log begins behind it."""
        return Answer.GONE in self._said.values()

    def lets_drop(self, configuration: Configuration, own: tuple[int, Answer], asked: int) -> bool:
        """Whether it was certainly never committed.

        `own` is who we are and what we say ourselves, `asked` the number of our newest question.
        """
        answers: Mapping[int, Answer] = {**self._said, own[0]: own[1]}
        voters = configuration.all_voters()
        if any(answers.get(it, Answer.HELD) is Answer.HELD for it in voters):
            return False
        if not self._first_number:
            self._first_number, self._said = asked + 1, {}
            return False
        was_there = (Answer.DAMAGED, Answer.LOST)
        return not has_quorum(configuration, lambda it: answers.get(it) in was_there)


class Repair:
    """Asks and answers for one member.

    `send(to, buffers)` sends one frame; `drive()` carries on after something was repaired;
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
        self._question_number = 0
        # About the oldest damaged entry.
        self._inquiry = Inquiry(0, 0)
        self.repaired_count = 0
        self.dropped_count = 0

    def tick(self) -> None:
        """Ask, every few ticks, while something is damaged."""
        damaged = self._journal.damaged
        if not damaged:
            return
        self._ticks += 1
        if self._ticks % ASK_TICKS != 1 or self._persistence.outstanding_count:
            return
        wanted = [self._wanted(index) for index in sorted(damaged)[:ENTRIES_MAX]]
        self._question_number += 1
        question = Question(self._core.config.life, self._question_number, wanted)
        frame = [bytes([ASKED]), msgspec.msgpack.encode(question)]
        others = self._others()
        for member_id in others:
            self._send(member_id, frame)
        if not others:
            self._drop_what_never_was()

    def _others(self) -> list[int]:
        core = self._core
        return [it for it in core.configuration.all_nodes() if it != core.id]

    def _wanted(self, index: int) -> Wanted:
        place = self._journal.place(index)
        return Wanted(index, place.term, place.length, place.payload_crc)

    def on_frame(self, sender: int, body: bytes) -> None:
        """A peer asks, or answers.

        Raises:
            PeerFault: the frame breaks its format.

        """
        try:
            if body[:1] == bytes([ASKED]):
                self._answer(sender, _QUESTION.decode(body[1:]))
            else:
                self._take(sender, _REPLY.decode(body[1:]))
        except UNDECODABLE as error:
            raise PeerFault(f"a malformed repair frame: {error}") from error

    def _answer(self, asker: int, question: Question) -> None:
        found: list[Found] = []
        size = 0
        for it in question.wanted[:ENTRIES_MAX]:
            said = self._look_up(it)
            if said is not None:
                found.append(said)
                size += len(said.payload)
            if size > ANSWER_BYTES_MAX:
                break
        if found:
            reply = Reply(question.life, question.number, found)
            self._send(asker, [bytes([ANSWERED]), msgspec.msgpack.encode(reply)])

    def _look_up(self, wanted: Wanted) -> Found | None:
        """What we know of an entry; None when we cannot say."""
        core, journal = self._core, self._journal
        index, term = wanted.index, wanted.term
        if index < journal.first_index:
            return Found(index, term, Answer.GONE)
        if index > journal.durable_index or journal.term_at(index) != term:
            # What is on its way to the disk may be this entry.
            if self._persistence.outstanding_count or core.log.holds(index, term):
                return None
            return Found(index, term, Answer.LOST if core.is_fenced else Answer.LACKED)
        if index not in journal.damaged:
            entries = journal.entries(index, index + 1, 1)
            if entries:
                return Found(index, term, Answer.HELD, entries[0].payload)
        if core.role is Role.LEADER:
            return None  # it may still be in memory, and be sent
        return Found(index, term, self._own(index))

    def _take(self, sender: int, reply: Reply) -> None:
        journal = self._journal
        if self._persistence.outstanding_count or reply.life != self._core.config.life:
            return  # the journal's thread is writing, or another life asked: we ask again
        before = self.repaired_count
        for it in reply.found:
            if it.index not in journal.damaged or journal.term_at(it.index) != it.term:
                continue
            if it.answer is Answer.HELD and journal.repair(it.index, it.payload):
                self.repaired_count += 1
            elif it.index == journal.first_damaged:
                self._about_oldest().note(sender, reply.number, it.answer)
        if self.repaired_count > before:
            text = "member %x brought back %d damaged entries, %d are left"
            logger.warning(text, sender, self.repaired_count - before, len(journal.damaged))
            self._drive()
        else:
            self._drop_what_never_was()

    def _about_oldest(self) -> Inquiry:
        """What was said of the oldest damaged entry, whichever that is now."""
        journal = self._journal
        subject = journal.first_damaged, journal.term_at(journal.first_damaged) or 0
        if self._inquiry.subject != subject:
            self._inquiry = Inquiry(*subject)
        return self._inquiry

    def _drop_what_never_was(self) -> None:
        """Drop the oldest damaged entry and what follows, if it certainly was never committed."""
        core, journal = self._core, self._journal
        index = journal.first_damaged
        if not index:
            return
        inquiry = self._about_oldest()
        if inquiry.is_gone_somewhere():
            self._on_gone(f"entry {index} is damaged here and compacted elsewhere")
            return
        if core.role is not Role.FOLLOWER or index <= core.commit_index:
            return
        own = core.id, self._own(index)
        if not inquiry.lets_drop(core.configuration, own, self._question_number):
            return
        text = "entries from %d to %d are dropped: no member holds %d, so it was never committed"
        logger.warning(text, index, journal.last_index, index)
        self.dropped_count += journal.last_index + 1 - index
        core.forget_from(index)
        journal.drop_from(index)
        self._drive()

    def _own(self, index: int) -> Answer:
        """What we say of an entry that is damaged here.

        Who lost the end of its log may have held before what a power cut tore when it came again.
        """
        if self._core.is_fenced:
            return Answer.LOST
        return Answer.DAMAGED if self._journal.damaged[index].is_certain else Answer.DOUBTFUL
