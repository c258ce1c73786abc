"""A partner that lies: what it says of its counters ends nobody's."""

import random
from pathlib import Path

import msgspec
import pytest
from crc32c import crc32c

from roost.counters import messages, owners, sending, upkeep
from roost.counters.changing import increment
from roost.counters.counting import FRAME_KIND
from roost.counters.errors import MalformedCounters, OwnerForked
from roost.counters.exchange import Exchange
from roost.counters.logged import LoggedTrees
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
from roost.counters.rows import PartRow, SeenRow, TombstoneRow
from roost.sim.members.loop import pass_time, until_idle
from tests.counters.cluster import CountingCluster, run_counting
from tests.counters.stores import open_store
from tests.fuzz.mutation import mutate

LIAR, LIES = b"l" * 16, 3000
ODD_NUMBERS = (-(1 << 63), -1, 0, 1, 7, 1 << 63, (1 << 64) - 1)
ODD_BYTES = (b"", b"a", LIAR, b"x" * 384, b"x" * 385, b"x" * 600, b"\xff" * 384)


def good(victim: Exchange) -> list[Message]:
    """One of each kind, of numbers that mean something to the victim."""
    own = victim.store.epoch
    part, seen = PartRow(b"b", 0, 5, 3, 0), [SeenRow(0, 5, 3)]
    rows = {"parts": [part], "tombstones": [TombstoneRow(b"b", 0, 4, seen)]}
    page = {"after": b"", "until": b"", "heads": [Head(LIAR, 9)], "epochs": [LIAR, own], **rows}
    return [
        Hello(epoch=LIAR, version=9, opening=1, nonce=5),
        Changes(epoch=LIAR, first=0, last=9, epochs=[LIAR], **rows),  # type: ignore[arg-type]  # as written
        Page(purpose=Purpose.REPLACE, epoch=LIAR, **page),  # type: ignore[arg-type]  # likewise
        Page(purpose=Purpose.SEED, **page),  # type: ignore[arg-type]  # likewise
        Page(purpose=Purpose.UNION, epoch=LIAR, **page),  # type: ignore[arg-type]  # likewise
        Compare(epoch=LIAR, version=9, count=1, values=5, versions=3),
        Heard(own, victim.store.version),
        PageTaken(epoch=own, base=victim.store.version, until=b"a"),
        Differs(own),
        Refused(epoch=own, text="no", opening=99, nonce=1),
        WantPage(purpose=Purpose.SEED, epoch=b"", after=b""),
        WantPage(purpose=Purpose.UNION, epoch=own, after=b"a"),
        WantReport(LIAR),
        Reported(epoch=LIAR, heard={own: 1}, digests={own: [1, 2, 3]}, folds=[], folds_ended=[]),
    ]


def lie(dice: random.Random, victim: Exchange) -> bytes:
    """A message of which something is not what it should be, with the right checksum."""
    message = dice.choice(good(victim))
    if dice.random() < 0.7:
        name = dice.choice(message.__struct_fields__)
        held = getattr(message, name)
        odd = dice.choice(ODD_NUMBERS if isinstance(held, int) else ODD_BYTES)
        if isinstance(held, int | bytes):
            message = msgspec.structs.replace(message, **{name: odd})
    body = bytearray(messages.encode(message)[4:])
    for _ in range(dice.choice((0, 0, 1, 2))):
        mutate(dice, body, [bytes(body)])
    return crc32c(bytes(body)).to_bytes(4, "little") + bytes(body)


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_a_partner_says_is_taken_or_malformed(tmp_path: Path, seed: int) -> None:
    """A version below zero, no epoch, or a name of 600 bytes was an error that nobody expected."""
    dice, now_s = random.Random(seed), 0.0
    store = open_store(seed, LoggedTrees(tmp_path / "counters"))
    victim = Exchange(store, dice.random)
    victim.link(2, now_s)
    increment(store, [("a", 1), ("b", 2), ("c", 3)])
    counts = {"taken": 0, "refused": 0}
    for number in range(LIES):
        try:
            victim.on_message(2, lie(dice, victim), now_s)
        except (MalformedCounters, OwnerForked):
            counts["refused"] += 1
        else:
            counts["taken"] += 1
        now_s += 0.1
        if number % 5 == 0:
            if number % 500 == 0:  # a link that was refused says nothing more
                victim.unlink(2)
                victim.link(2, now_s)
            victim.take_messages(now_s)
            store.perform()
            store.invariants()
    store.close()
    assert min(counts.values()) > LIES // 10


@pytest.mark.parametrize(
    "message",
    [
        Heard(LIAR, -1),
        Hello(epoch=b"", version=1, opening=1, nonce=1),
        Hello(epoch=LIAR, version=-1, opening=1, nonce=1),
        Hello(epoch=LIAR, version=1, opening=-1, nonce=1),
        WantReport(b""),
        WantPage(purpose=Purpose.SEED, epoch=b"short", after=b""),
        WantPage(purpose=Purpose.SEED, epoch=b"", after=b"x" * 385),
        PageTaken(epoch=LIAR, base=1, until=b"x" * 385),
        PageTaken(epoch=LIAR, base=-1, until=b""),
        Page(purpose=Purpose.SEED, after=b"x" * 385, until=b"", heads=[], epochs=[]),
        Page(purpose=Purpose.SEED, after=b"", until=b"x" * 385, heads=[], epochs=[]),
        Compare(epoch=LIAR, version=1, count=-1, values=0, versions=0),
        Reported(epoch=LIAR, heard={LIAR: -1}, digests={}, folds=[], folds_ended=[]),
        Reported(epoch=LIAR, heard={}, digests={LIAR: [1, 2]}, folds=[], folds_ended=[]),
        Reported(
            epoch=LIAR, heard={}, digests={}, folds=[LIAR] * (owners.OWNERS_MAX + 1), folds_ended=[]
        ),
    ],
    ids=repr,
)
def test_numbers_and_names_are_bounded_where_they_are_decoded(message: Message) -> None:
    with pytest.raises(MalformedCounters):
        messages.decode(messages.encode(message))


def test_there_are_so_many_owners_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message could name four thousand new ones, and each was looked for among all."""
    monkeypatch.setattr(owners, "OWNERS_MAX", 10)
    store = open_store()
    for number in range(9):
        store.owners.number_of(number.to_bytes(16, "big"))
    with pytest.raises(MalformedCounters, match="more than 10 owners"):
        store.owners.number_of(b"n" * 16)
    assert store.owners.number_of((3).to_bytes(16, "big")) == 5


def test_nobody_speaks_for_an_owner_that_counts_elsewhere(tmp_path: Path) -> None:
    """What m2 said of m0's openings was believed, and m0 was taken for a copy for ever."""

    async def story(cluster: CountingCluster) -> None:
        for position in range(3):
            await cluster.desk(position).increment([("a", 1)])
        await cluster.until_all_read({"a": 3})
        await cluster.until_known()
        victim, liar = cluster.members[1], cluster.members[2]
        store = cluster.at(0).store
        assert store is not None, "it counts"
        before = cluster.at(1).counts.messages_malformed
        lies: list[Message] = [
            Hello(epoch=store.epoch, version=1 << 60, opening=1 << 60, nonce=1),
            Changes(epoch=store.epoch, first=store.version, last=1 << 60, epochs=[]),
            Compare(epoch=store.epoch, version=store.version, count=0, values=0, versions=0),
            Reported(epoch=store.epoch, heard={}, digests={}, folds=[], folds_ended=[]),
        ]
        for it in lies:
            victim.transport.gate.on_frame(liar.member_id, FRAME_KIND, messages.encode(it))
            await until_idle()
        assert cluster.at(1).counts.messages_malformed == before + len(lies)
        await cluster.stop(0)
        await cluster.start(0)  # which says how often it was opened
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_all_read({"a": 4})
        await pass_time(5.0)
        assert [cluster.at(it).error for it in range(3)] == [None] * 3

    run_counting(tmp_path, story)


def test_reports_are_one_of_each_member(tmp_path: Path) -> None:
    store = open_store(1, LoggedTrees(tmp_path / "counters"))
    victim = Exchange(store, lambda: 0.5)
    victim.link(2, 0.0)
    victim.ask_reports()
    for number in range(20):
        epoch = number.to_bytes(16, "big")
        said = Reported(epoch=epoch, heard={}, digests={}, folds=[], folds_ended=[])
        victim.on_message(2, messages.encode(said), 0.0)
    assert len(victim.reports) == 2
    store.close()


def test_a_store_of_as_many_owners_as_there_may_be_says_all_of_them() -> None:
    """Its reports and pages named more than partners took: nobody could purge, or join."""
    store = open_store()
    for number in range(owners.OWNERS_MAX - 1):
        owner = store.owners.number_of(number.to_bytes(16, "big"))
        store.heard_of(owner).version = 1
    increment(store, [("a", 1)])
    store.perform()
    told: list[Message] = [
        upkeep.said_of(upkeep.report(store)),
        sending.page(store, Purpose.SEED, b"", sending.heads_of(store)),
    ]
    for it in told:
        assert messages.decode(messages.encode(it)) == it
