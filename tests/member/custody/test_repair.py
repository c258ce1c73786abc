"""What members say of damaged entries, and when one is certain never to have been committed."""

from pathlib import Path

import msgspec
import pytest

from roost.journal import Identity, Journal
from roost.member.custody.repair import (
    ANSWERED,
    ASKED,
    Answer,
    Found,
    Inquiry,
    Question,
    Repair,
    Reply,
    Wanted,
)
from roost.member.pipeline.persistence import Persistence
from roost.raft import Configuration, Core, CoreConfig, Entry, EntryKind, HardState, Role
from roost.sim.members import rot
from roost.sim.members.disk import SimDisk

THREE = Configuration(voters=(1, 2, 3))
FIVE = Configuration(voters=(1, 2, 3, 4, 5))
IDENTITY = Identity(cluster_id=1, member_id=1, incarnation=1, created=0)


def lets_drop(configuration: Configuration, own: Answer, *said: Answer) -> bool:
    """Whether node 1 may drop what all say the same of twice."""
    inquiry = Inquiry(7, 2)
    for number in (1, 2):
        for sender, answer in enumerate(said, 2):
            inquiry.note(sender, number, answer)
        is_certain = inquiry.lets_drop(configuration, (1, own), number)
        assert number == 2 or not is_certain, "once is not enough"
    return is_certain


@pytest.mark.parametrize(
    ("own", "others", "is_dropped"),
    [
        (Answer.DOUBTFUL, (Answer.LACKED, Answer.LACKED), True),
        (Answer.DOUBTFUL, (Answer.DOUBTFUL, Answer.DOUBTFUL), True),
        (Answer.DAMAGED, (Answer.LACKED, Answer.DOUBTFUL), True),
        (Answer.DAMAGED, (Answer.LACKED, Answer.DAMAGED), False),
        (Answer.DOUBTFUL, (Answer.LACKED, Answer.HELD), False),
        (Answer.DOUBTFUL, (Answer.LACKED, Answer.LOST), True),
        (Answer.DAMAGED, (Answer.LACKED, Answer.LOST), False),
        (Answer.DOUBTFUL, (Answer.LOST, Answer.LOST), False),
        (Answer.LOST, (Answer.LACKED, Answer.LOST), False),
        (Answer.DOUBTFUL, (Answer.LACKED,), False),
    ],
)
def test_what_cannot_have_been_on_a_majority_is_dropped(
    own: Answer, others: tuple[Answer, ...], *, is_dropped: bool
) -> None:
    """J21: then nobody was told that it is committed, and waiting for it would never end."""
    assert lets_drop(THREE, own, *others) is is_dropped


def test_both_halves_of_a_joint_configuration_must_have_held_it() -> None:
    joint = Configuration(voters=(1, 2, 3), outgoing=(3, 4, 5))
    lost, lacked = Answer.LOST, Answer.LACKED
    assert lets_drop(joint, Answer.DAMAGED, lost, lacked, lacked, lacked)
    assert not lets_drop(joint, Answer.DAMAGED, lacked, lost, lost, lacked)


def test_who_got_it_after_it_was_asked_is_asked_again() -> None:
    """Our copy, acknowledged once, completed a majority; the leader then lost the end of its log.

    Node 3 said that it lacks the entry before the leader, node 2, sent it there.
    """
    inquiry, own = Inquiry(7, 2), (1, Answer.DAMAGED)
    for sender in (3, 4, 5):
        inquiry.note(sender, 1, Answer.LACKED)
    assert not inquiry.lets_drop(FIVE, own, 1)
    inquiry.note(2, 2, Answer.LOST)
    assert not inquiry.lets_drop(FIVE, own, 2)
    for sender in (3, 4, 5):
        inquiry.note(sender, 2, Answer.LACKED)  # late: it was asked before all had spoken
    inquiry.note(2, 3, Answer.LOST)
    assert not inquiry.lets_drop(FIVE, own, 3)
    for sender in (4, 5):
        inquiry.note(sender, 3, Answer.LACKED)
    inquiry.note(3, 3, Answer.HELD)
    assert not inquiry.lets_drop(FIVE, own, 3)


class FirstOfAll:
    """Draws 0."""

    def below(self, n: int) -> int:
        assert n
        return 0


def forbidden(what: object) -> None:
    raise AssertionError(what)


class Node:
    """Node 1's repair, on a log of four entries; the newest is torn or damaged."""

    def __init__(self, *, is_fenced: bool = False, loses_power: bool = True) -> None:
        home, disk = Path("/m"), SimDisk()
        disk.make_directory(home)
        journal = Journal.open(home, identity=IDENTITY, disk=disk)
        for index in range(1, 5):
            entry = Entry(index, 2, EntryKind.NORMAL, b"x" * 900)
            journal.persist(HardState(term=2), [entry])
        offset = journal.place(4).offset
        journal.abandon()
        rot.zero(disk, rot.segments(disk)[-1], offset, 700)
        disk.boots += loses_power
        self.journal = Journal.open(home, identity=IDENTITY, disk=disk)
        self.core = Core(
            CoreConfig(id=1, life=9),
            dice=FirstOfAll(),
            storage=self.journal,
            hard_state=self.journal.hard_state,
            configuration=THREE,
            applied_index=0,
            is_fenced=is_fenced,
        )
        self.sent: list[bytes] = []
        self.repair = Repair(
            self.core,
            self.journal,
            Persistence(
                self.journal,
                inline_ms_max=5,
                inline_bytes_max=1 << 20,
                on_durable=forbidden,
                on_failure=forbidden,
            ),
            send=lambda _to, it: self.sent.append(b"".join(it)),
            drive=lambda: None,
            on_gone=forbidden,
        )

    def answer_to(self, index: int, term: int = 2) -> Answer | None:
        """What it says when node 3 asks for an entry."""
        question = Question(77, 5, [Wanted(index, term, 900, 0)])
        self.repair.on_frame(3, bytes([ASKED]) + msgspec.msgpack.encode(question))
        if not self.sent:
            return None
        frame = self.sent.pop()
        reply = msgspec.msgpack.decode(frame[1:], type=Reply)
        assert (frame[0], reply.life, reply.number) == (ANSWERED, 77, 5)
        return reply.found[0].answer

    def hear(self, life: int, number: int, *answers: Answer) -> None:
        """Nodes 2 and 3 say this of entry 4."""
        for sender, answer in enumerate(answers, 2):
            body = msgspec.msgpack.encode(Reply(life, number, [Found(4, 2, answer)]))
            self.repair.on_frame(sender, bytes([ANSWERED]) + body)


def test_what_a_member_says_of_entries() -> None:
    for node, newest in ((Node(), Answer.DOUBTFUL), (Node(loses_power=False), Answer.DAMAGED)):
        assert node.answer_to(3) is Answer.HELD
        assert node.answer_to(4) is newest
        assert node.answer_to(5) is Answer.LACKED
        assert node.answer_to(3, term=1) is Answer.LACKED


def test_who_lost_the_end_of_its_log_says_so_of_all_that_it_does_not_hold() -> None:
    """What is torn now may have been there before it was lost, and may have come again."""
    node = Node(is_fenced=True)
    assert node.answer_to(3) is Answer.HELD
    assert node.answer_to(4) is Answer.LOST
    assert node.answer_to(5) is Answer.LOST


def test_a_leader_never_says_that_it_holds_an_entry_no_more() -> None:
    """It may still have it in memory, send it, and count what others said of it."""
    node = Node()
    node.core.state.role = Role.LEADER
    assert node.answer_to(4) is None


def test_an_entry_is_dropped_when_all_have_spoken_twice() -> None:
    node = Node()
    node.repair.tick()
    node.hear(9, 1, Answer.LACKED, Answer.LOST)
    node.hear(9, 1, Answer.LACKED, Answer.LOST)
    assert node.journal.last_index == 4, "the second question was not asked yet"
    for _ in range(3):
        node.repair.tick()
    node.hear(8, 2, Answer.LACKED, Answer.LOST)
    assert node.journal.last_index == 4, "the life before asked that"
    node.hear(9, 2, Answer.LACKED, Answer.LOST)
    assert (node.journal.last_index, node.core.last_index) == (3, 3)
    assert node.repair.dropped_count == 1
