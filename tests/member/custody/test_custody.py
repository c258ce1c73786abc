"""What a member does for its files at each heartbeat: when it marks, votes again, scrubs and tells.

The journal is a real one on a simulated disk; the core, the store's directory and the machine say
what the test wants.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from roost.journal import Identity, Journal
from roost.member.custody.custody import RESERVE_TICKS, Custody
from roost.member.pipeline.persistence import Persistence
from roost.raft import Configuration, Entry, EntryKind, HardState, Ready
from roost.sim.members import rot
from roost.sim.members.disk import SimDisk
from roost.sim.members.loop import run_virtually, until_idle
from roost.store import ScrubReport, StoreStatistics

ROOT = Path("/m")
IDENTITY = Identity(cluster_id=1, member_id=1, incarnation=1, created=0)
THREE = Configuration(voters=(1, 2, 3))
GOOD = ScrubReport(record_count=3, value_bytes=9, index=7, took_s=0.1)
BAD = ScrubReport(record_count=2, value_bytes=9, index=7, took_s=0.1, fault="record 3 is damaged")


@dataclass
class FakeCore:
    id: int = 1
    configuration: Configuration = THREE
    is_fenced: bool = False
    peers: tuple[int, ...] = (2, 3)
    losses: dict[int, int] = field(default_factory=dict)

    def take_losses(self) -> dict[int, int]:
        taken, self.losses = self.losses, {}
        return taken


@dataclass
class FakeReserve:
    looks: int = 0
    releases: int = 0
    size_bytes: int = 100
    free: int = 1000

    def look(self) -> None:
        self.looks += 1

    def release(self) -> None:
        self.releases += 1

    def free_bytes(self) -> int:
        return self.free


class FakeDice:
    """Draws what it is told to."""

    drawn = 0

    def below(self, n: int) -> int:
        assert self.drawn < n
        return self.drawn


class Machine:
    """A world and a home in one: whose scrubs end when the test lets them."""

    def __init__(self) -> None:
        self.reserve = FakeReserve()
        self.dice = FakeDice()
        self.scrubbed: list[Path] = []
        self.scrubbing: asyncio.Future[ScrubReport | None] | None = None
        self.store_directory = Path("/m/db.1")
        self.data_dir = ROOT
        self.store: Any = type("FakeStore", (), {})()
        self.world = self
        self.journal: Journal | None = None

    def make_reserve(self, data_dir: Path) -> FakeReserve:
        assert data_dir == ROOT
        return self.reserve

    async def scrub(self, directory: Path) -> ScrubReport | None:
        self.scrubbed.append(directory)
        self.scrubbing = asyncio.get_running_loop().create_future()
        return await self.scrubbing


def new_disk() -> SimDisk:
    disk = SimDisk()
    disk.make_directory(ROOT)
    return disk


def open_journal(disk: SimDisk) -> Journal:
    return Journal.open(ROOT, identity=IDENTITY, disk=disk, may_lose_tail=True)


def write(journal: Journal, count: int) -> None:
    for _ in range(count):
        entry = Entry(journal.last_index + 1, 2, EntryKind.NORMAL, b"x" * 900)
        journal.persist(HardState(term=2), [entry])


def without_the_end() -> SimDisk:
    """A disk that has lost a journal's newest segment."""
    disk = new_disk()
    journal = open_journal(disk)
    write(journal, 4)
    journal.abandon()
    rot.remove(disk, rot.segments(disk)[-1])
    return disk


def with_a_damaged_entry() -> SimDisk:
    """A disk on which entry 2 of 4 is damaged."""
    disk = new_disk()
    journal = open_journal(disk)
    write(journal, 4)
    journal.prepare_mark()()
    offset = journal.place(2).offset
    journal.abandon()
    rot.zero(disk, rot.segments(disk)[-1], offset, 700)
    return disk


class Keeping:
    """The custody of one member, and what it asked for."""

    def __init__(
        self, disk: SimDisk | None = None, *, scrub_ticks: int = 0, drawn: int = 0
    ) -> None:
        self.disk = disk or new_disk()
        self.machine = Machine()
        self.machine.dice.drawn = drawn
        self.journal = self.machine.journal = open_journal(self.disk)
        self.core = FakeCore(is_fenced=self.journal.is_fenced)
        self.wrong: list[str] = []
        self.spawned: list[Coroutine[None, None, None]] = []
        self.persistence = Persistence(
            self.journal,
            inline_ms_max=1000,
            inline_bytes_max=1 << 20,
            on_durable=_ignore,
            on_failure=_raise,
        )
        self.custody = Custody(
            cast("Any", self.core),
            cast("Any", self.machine),
            self.persistence,
            send=_forbidden,
            drive=_forbidden,
            scrub_ticks=scrub_ticks,
            spawn=self.spawned.append,
            tell_digest=_forbidden,
            on_store_damaged=self.wrong.append,
        )

    def write(self, count: int = 1) -> None:
        write(self.journal, count)

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.custody.tick()


def _ignore(_readys: Sequence[Ready]) -> None:
    """Nobody waits."""


def _raise(error: BaseException) -> None:
    raise error


def _forbidden(*what: object) -> None:
    raise AssertionError(what)


def test_what_is_durable_is_said_so_when_nothing_more_comes_and_not_before() -> None:
    """Else the newest entry would be doubtful after every crash; a mark a beat would be a sync."""
    keeping = Keeping()
    for _ in range(3):
        keeping.write()
        keeping.tick()
        assert not keeping.journal.is_marked, "more came since the last look"
    keeping.tick()
    assert keeping.journal.is_marked
    calls = keeping.disk.calls
    keeping.tick(5)
    assert keeping.disk.calls == calls, "once is enough"


class Outstanding:
    """A persistence whose thread has work that is not done."""

    def __init__(self, count: int) -> None:
        self.outstanding_count = count
        self.marks = 0

    def mark(self) -> None:
        self.marks += 1


def test_nothing_is_marked_and_no_fence_falls_while_the_disk_writes() -> None:
    """The journal has one batch at a time, and a fence falls by what is durable."""
    keeping = Keeping(without_the_end())
    keeping.core.is_fenced = False
    keeping.write()
    writing = Outstanding(1)
    keeping.custody._persistence = cast("Any", writing)
    keeping.tick(3)
    assert (keeping.journal.is_fenced, writing.marks) == (True, 0)
    writing.outstanding_count = 0
    keeping.tick(2)
    assert (keeping.journal.is_fenced, writing.marks) == (False, 1)


def test_a_fence_falls_when_the_core_says_so_and_for_good() -> None:
    keeping = Keeping(without_the_end())
    keeping.tick(5)
    said = [keeping.journal.is_fenced]
    keeping.core.is_fenced = False
    keeping.tick()
    said.append(keeping.journal.is_fenced)
    assert said == [True, False], "the core knows when what was lost is here again"
    keeping.journal.close()
    assert not open_journal(keeping.disk).is_fenced, "durably"


def test_the_reserve_is_looked_at_now_and_then_and_given_up_when_a_write_finds_no_room() -> None:
    keeping = Keeping()
    reserve = keeping.machine.reserve
    assert reserve.looks == 1, "at the start"
    keeping.tick(RESERVE_TICKS - 1)
    assert reserve.looks == 1
    keeping.tick()
    assert reserve.looks == 2
    keeping.journal.spare.on_full()
    keeping.machine.store.on_full()
    assert reserve.releases == 2


@pytest.mark.parametrize("drawn", [0, 1, 9])
def test_members_do_not_scrub_together_and_each_does_so_at_its_interval(drawn: int) -> None:
    keeping = Keeping(scrub_ticks=10, drawn=drawn)
    keeping.tick(10 - drawn - 1)
    assert not keeping.spawned
    keeping.tick()
    assert len(keeping.spawned) == 1
    keeping.tick(10)
    assert len(keeping.spawned) == 2
    for work in keeping.spawned:
        work.close()


def test_who_sets_no_interval_scrubs_nothing() -> None:
    keeping = Keeping(scrub_ticks=0)
    keeping.tick(100)
    assert not keeping.spawned


def scrubbed(keeping: Keeping, report: ScrubReport | None, *, moves: bool = False) -> None:
    """Scrub to the end; the store may be put elsewhere meanwhile."""

    async def story() -> None:
        work = asyncio.ensure_future(keeping.custody.scrub())
        await until_idle()
        await keeping.custody.scrub()  # there is one at a time: this one is over at once
        assert len(keeping.machine.scrubbed) == 1
        if moves:
            keeping.machine.store_directory = Path("/m/db.2")
        assert keeping.machine.scrubbing is not None
        keeping.machine.scrubbing.set_result(report)
        await work
        keeping.machine.scrubbed.clear()

    run_virtually(story())


def test_a_store_that_is_damaged_is_rebuilt_where_there_is_somebody_to_rebuild_it_from() -> None:
    keeping = Keeping()
    scrubbed(keeping, BAD)
    assert keeping.wrong == [BAD.fault]
    assert keeping.custody.corrupt == set()
    assert keeping.custody.last_scrub == BAD


def test_a_damaged_store_that_is_the_only_one_is_kept_and_the_alarm_raised() -> None:
    keeping = Keeping()
    keeping.core.configuration = Configuration(voters=(1,))
    scrubbed(keeping, BAD)
    assert (keeping.wrong, keeping.custody.corrupt) == ([], {1})


def test_a_store_that_is_whole_is_nobodys_business_and_is_scrubbed_again() -> None:
    keeping = Keeping()
    for _ in range(2):
        scrubbed(keeping, GOOD)
    assert (keeping.wrong, keeping.custody.corrupt) == ([], set())
    assert keeping.custody.last_scrub == GOOD


@pytest.mark.parametrize("moves", [False, True])
def test_what_was_not_read_to_its_end_says_nothing(
    *, moves: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A snapshot came in the place of what was read: its damage is gone with it."""
    keeping = Keeping()
    scrubbed(keeping, BAD if moves else None, moves=moves)
    assert (keeping.wrong, keeping.custody.last_scrub) == ([], None)
    assert "was not scrubbed this time" in caplog.text


def test_a_member_that_came_back_with_less_is_told_of_once_for_as_long_as_we_lead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """J23: its disk has acknowledged what it did not keep, which somebody should hear, once."""
    caplog.set_level(logging.ERROR)
    keeping = Keeping()
    for lost, told in ((5, 1), (5, 1), (4, 1), (6, 2)):
        keeping.core.losses = {2: lost}
        keeping.tick()
        assert caplog.text.count("member 2 came back without entries") == told
        assert report_of(keeping).forgetful_members == {2}
    keeping.core.peers = ()  # we lead no more
    keeping.tick()
    assert report_of(keeping).forgetful_members == set()
    keeping.core.peers = (2, 3)
    keeping.core.losses = {2: 5}
    keeping.tick()
    assert report_of(keeping).forgetful_members == {2}, "another leader's alarm is another"


def report_of(keeping: Keeping) -> Any:
    held = StoreStatistics(7, 7, 10, 20, 30, 500, 400, 0)
    return keeping.custody.space(held)


def test_what_is_in_memory_takes_room_on_the_disk_that_is_not_free_any_more() -> None:
    keeping = Keeping()
    keeping.custody.corrupt.add(3)
    report = report_of(keeping)
    assert (report.store_bytes, report.disk_free_bytes) == (460, 1000 - 60)
    assert (report.disk_reserve_bytes, report.corrupt_members) == (100, {3})


@pytest.mark.parametrize("is_damaged", [False, True])
def test_damaged_entries_are_asked_for_at_every_heartbeat_and_whole_ones_never(
    *, is_damaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = Keeping(with_a_damaged_entry() if is_damaged else None)
    assert bool(keeping.journal.damaged) is is_damaged
    asked: list[int] = []
    monkeypatch.setattr(keeping.custody.repair, "tick", lambda: asked.append(1))
    keeping.tick(3)
    assert len(asked) == (3 if is_damaged else 0)
