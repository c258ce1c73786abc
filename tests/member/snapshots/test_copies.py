"""Copies of the store: one for all who ask, kept while it is used, never older than asked."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from roost.member.cluster.roster import read_configuration
from roost.member.errors import SnapshotFailed
from roost.member.snapshots.copies import IDLE_S, Copies, Copy
from roost.sim.members.loop import pass_time, run_virtually, until_idle
from roost.store import PageCorrupt, SnapshotFile, StoreError
from tests.member.directory.homes import HomeWorld, close, open_at, snapshot_of, write


class Bench(HomeWorld):
    """A home, its copies, and the machine that makes them; each may be held up by the test."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.home = home = open_at(root, "m")
        self.discarded: list[Path] = []
        self.copied: list[Path] = []
        self.removed: list[Path] = []
        self.failures: list[BaseException] = []
        self.fault: Exception | None = None
        # Set while a copy waits for it.
        self.gate: asyncio.Event | None = None
        self.copies = Copies(home, world=self, discard=self.discarded.append)
        patch.setattr(home.store, "on_failure", self.failures.append)

    async def copy_store(self, directory: Path, target: Path) -> SnapshotFile:
        self.copied.append(directory)
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return snapshot_of(self.home, target)

    async def remove_file(self, path: Path) -> None:
        self.removed.append(path)

    def write(self, count: int) -> int:
        """Have more entries; return the last."""
        write(self.home, count, b"value")
        return self.home.store.applied_index


Story = Callable[[Bench], Coroutine[None, None, None]]
Tell = Callable[[Story], None]


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tell:
    def run(story: Story) -> None:
        bench = Bench(tmp_path, monkeypatch)
        bench.write(5)
        run_virtually(story(bench))
        close(bench.home)

    return run


def test_one_copy_serves_all_who_want_no_more_than_it_has(tell: Tell) -> None:
    async def story(it: Bench) -> None:
        last = it.home.store.applied_index
        first = await it.copies.make(0)
        assert first.file.index == last
        assert await it.copies.make(last) is first is it.copies.newest
        assert len(it.copied) == 1
        newer = it.write(1)
        assert await it.copies.make(last) is first, "it can be followed by the journal"
        assert (await it.copies.make(newer)).file.index == newer
        assert it.discarded == [first.path]

    tell(story)


def test_a_copy_that_the_journal_cannot_follow_is_made_anew(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever got it would find that the entries behind it are gone."""

    async def story(it: Bench) -> None:
        first = await it.copies.make(0)
        index = it.write(3)
        for behind, is_kept in ((1, True), (2, False)):
            floor = first.file.index + behind
            monkeypatch.setattr(type(it.home.journal), "first_index", property(lambda _: floor))  # noqa: B023 - read in this turn
            assert (await it.copies.make(0) is first) == is_kept
        assert it.copies.newest is not None
        assert it.copies.newest.file.index == index

    tell(story)


def test_those_who_ask_while_one_is_made_wait_for_it(tell: Tell) -> None:
    async def story(it: Bench) -> None:
        it.gate = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(it.copies.make(0)) for _ in range(3)]
            await until_idle()
            assert not any(one.done() for one in asking)
            it.gate.set()
        assert len({id(one.result()) for one in asking}) == len(it.copied) == 1

    tell(story)


def test_what_is_asked_for_is_made_durable_first_and_asked_again_until_it_is(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy has what LMDB has; a flush that was under way may have begun too early."""

    async def story(it: Bench) -> None:
        flush, wanted = it.home.keeper.flush, []
        monkeypatch.setattr(it.home.keeper, "flush", lambda *what: wanted.append(what))
        index = it.write(1)
        wanted.clear()
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(it.copies.make(index))
            await until_idle()
            it.copies.on_flushed()  # of something older
            await until_idle()
            assert not asking.done()
            assert it.copied == []
            flush(index, 2)
            it.copies.on_flushed()
            assert (await asking).file.index == index

    tell(story)


def test_who_gave_up_waiting_is_not_told(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(it: Bench) -> None:
        monkeypatch.setattr(it.home.keeper, "flush", lambda *_: None)
        index = it.write(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await it.copies.make(index)
        it.copies.on_flushed()

    tell(story)


def test_a_copy_says_what_a_peer_is_told_and_who_votes_as_of_it(tell: Tell) -> None:
    async def story(it: Bench) -> None:
        copy = await it.copies.make(0)
        file, head = copy.file, copy.head
        assert (head.index, head.term) == (file.index, file.term) == (it.write(0), 2)
        assert (head.size_bytes, head.digest) == (copy.path.stat().st_size, file.digest)
        assert copy.configuration == read_configuration(it.home.store.view)

    tell(story)


@pytest.mark.parametrize(
    "fault", [PageCorrupt("a page"), SnapshotFailed("exit code 1")], ids=["damage", "failure"]
)
def test_a_copy_that_fails_leaves_the_old_one_and_says_damage_to_the_store(
    tell: Tell, fault: Exception
) -> None:
    async def story(it: Bench) -> None:
        first, index = await it.copies.make(0), it.write(1)
        it.fault = fault
        with pytest.raises(SnapshotFailed):
            await it.copies.make(index)
        assert it.failures == ([fault] if isinstance(fault, StoreError) else [])
        assert (it.copies.newest, it.discarded) == (first, [])
        it.fault = None
        assert (await it.copies.make(index)).file.index == index, "the next may try again"

    tell(story)


def test_a_store_that_has_moved_is_copied_again_and_the_half_is_removed(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(it: Bench) -> None:
        old, real = it.home.store_directory, it.copy_store

        async def copy_store(directory: Path, target: Path) -> SnapshotFile:
            if directory == old:
                it.home.defragment(lambda _error: None, on_left=lambda _directory: None)
                raise SnapshotFailed("the directory is gone")
            return await real(directory, target)

        monkeypatch.setattr(it, "copy_store", copy_store)
        copy = await it.copies.make(0)
        assert it.copied == [it.home.store_directory] != [old]
        assert it.removed == [copy.path]

    tell(story)


async def nothing_goes(it: Bench, copy: Copy) -> None:
    """However long it takes."""
    await pass_time(2 * IDLE_S)
    it.copies.drop_idle()
    assert copy.path not in it.discarded


def test_a_copy_that_is_used_stays_though_there_is_a_newer_one(tell: Tell) -> None:
    async def story(it: Bench) -> None:
        old = await it.copies.make(0)
        with it.copies.using(old):
            with it.copies.using(old):
                async with it.copies.lend(it.write(1)) as path:
                    assert it.copies.newest is not None
                    assert path == it.copies.newest.path != old.path
            await nothing_goes(it, old)  # one of two still uses it
        assert old.path in it.discarded

    tell(story)


def test_a_lent_copy_is_given_back_though_its_user_fails(tell: Tell) -> None:
    async def story(it: Bench) -> None:
        with pytest.raises(ConnectionResetError):
            async with it.copies.lend(0):
                raise ConnectionResetError
        assert it.copies.newest is not None
        assert it.copies.newest.user_count == 0

    tell(story)


def test_a_copy_goes_when_nobody_has_used_it_for_a_while(tell: Tell) -> None:
    async def story(it: Bench) -> None:
        it.copies.drop_idle()  # there is none
        copy = await it.copies.make(0)
        for use in (lambda: it.copies.make(0), lambda: used(it.copies, copy)):
            await pass_time(IDLE_S - 1)
            await use()
            await pass_time(IDLE_S - 1)
            it.copies.drop_idle()
            assert it.copies.newest is copy, "it was used in between"
        await pass_time(2)
        it.copies.drop_idle()
        assert (it.copies.newest, it.discarded) == (None, [copy.path])
        it.copies.drop_idle()
        assert len(it.discarded) == 1

    tell(story)


async def used(copies: Copies, copy: Copy) -> None:
    with copies.using(copy):
        pass


def test_nothing_is_dropped_while_a_newer_one_is_made(tell: Tell) -> None:
    """Who waits for the one that is made would be given none, were that to fail."""

    async def story(it: Bench) -> None:
        copy, index = await it.copies.make(0), it.write(1)
        it.gate = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(it.copies.make(index))
            await nothing_goes(it, copy)
            it.gate.set()
        assert it.discarded == [copy.path]

    tell(story)


def test_names_of_copies_never_meet(tell: Tell) -> None:
    """Also where a loop tells one time twice: the one that is lent would be written over."""

    async def story(it: Bench) -> None:
        paths = {(await it.copies.make(it.write(1))).path for _ in range(3)}
        assert len(paths) == 3
        assert {path.parent for path in paths} == {it.home.snapshot_directory}

    tell(story)
