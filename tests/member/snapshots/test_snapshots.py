"""Copies on their way out and in: lent, sent, fetched, and how many at a time."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import msgspec
import pytest

from roost.member.directory.home import Home
from roost.member.errors import SnapshotFailed
from roost.member.snapshots.snapshots import TASKS_MAX, Snapshots
from roost.peer import REFUSAL, Pull, Refusal, SnapshotGone, Stream
from roost.peer.snapshot import CHUNK, END, HEAD
from roost.raft import Configuration, Snapshot
from roost.sim.members.loop import pass_time, run_virtually, until_idle
from roost.store import SnapshotFile
from tests.member.directory.homes import HomeWorld, close, open_at, snapshot_of, write


class Sent(Stream):
    """A stream that remembers what was sent on it, as far as it is let."""

    def __init__(self, *, is_held: bool = False) -> None:
        self.kinds: list[int] = []
        self.bodies: list[msgspec.Struct] = []
        self.data = b""
        self.is_closed = False
        self.gate = asyncio.Event()
        if not is_held:
            self.gate.set()

    async def send(self, kind: int, body: msgspec.Struct) -> None:
        await self.gate.wait()
        self.kinds.append(kind)
        self.bodies.append(body)

    async def send_buffers(self, kind: int, buffers: Sequence[bytes]) -> None:
        self.kinds.append(kind)
        if kind == CHUNK:
            self.data += b"".join(buffers)[8:]

    def close(self) -> None:
        self.is_closed = True


class Bench(HomeWorld):
    """A home with snapshots, and a machine that copies by the keeper itself."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.home: Home = open_at(root, "a")
        write(self.home, 5, b"value")
        self.dialled: list[int] = []
        self.on_copy: Callable[[Path], None] = lambda _directory: None
        self.copied: list[Path] = []
        self.snapshots = Snapshots(
            self.home, world=self, bytes_per_s=1 << 40, dial=self.dial_for_snapshot
        )

    async def copy_store(self, directory: Path, target: Path) -> SnapshotFile:
        self.copied.append(directory)
        self.on_copy(directory)
        return snapshot_of(self.home, target)

    async def remove_file(self, path: Path) -> None:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - a small one

    async def dial_for_snapshot(self, member_id: int, _address: tuple[str, int]) -> Stream:
        self.dialled.append(member_id)
        raise ConnectionRefusedError


Story = Callable[[Bench], Coroutine[None, None, None]]
Tell = Callable[[Story], None]


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    def run(story: Story) -> None:
        bench = Bench(tmp_path)

        async def main() -> None:
            await story(bench)
            await bench.snapshots.close()

        run_virtually(main())
        close(bench.home)

    return run


def test_a_copy_stays_for_as_long_as_somebody_uses_it_and_no_longer(tell: Tell) -> None:
    """A backup that was about to open its copy found none: a newer copy had replaced it."""

    async def story(it: Bench) -> None:
        copies = it.snapshots.copies
        async with copies.lend(3) as one, copies.lend(3) as same:
            assert one == same
            write(it.home, 5, b"newer")
            async with copies.lend(it.home.store.applied_index) as other:
                assert other != one
                await until_idle()
                assert one.exists()
        await until_idle()
        assert (one.exists(), other.exists()) == (False, True)

    tell(story)


def test_a_store_that_moves_before_its_copy_begins_is_copied_where_it_is(tell: Tell) -> None:
    async def story(it: Bench) -> None:
        old = it.home.store_directory

        def move(directory: Path) -> None:
            if directory == old:
                it.home.defragment(lambda _error: None, on_left=lambda _directory: None)
                raise SnapshotFailed("the directory is gone")

        it.on_copy = move
        async with it.snapshots.copies.lend(3) as copy:
            assert copy.exists()
        assert it.copied == [old, it.home.store_directory]

    tell(story)


def test_what_was_offered_is_sent_from_where_it_is_asked_for(tell: Tell) -> None:
    async def story(it: Bench) -> None:
        copy = await it.snapshots.copies.make(0)
        content = copy.path.read_bytes()
        for offset in (0, 1000):
            stream = Sent()
            it.snapshots.serve_pull(stream, Pull(index=copy.file.index, offset=offset))
            await pass_time(1)
            assert (stream.kinds[0], stream.bodies) == (HEAD, [copy.head, copy.head])
            assert (stream.data, stream.kinds[-1]) == (content[offset:], END)
            assert stream.is_closed
        assert copy.user_count == 0

    tell(story)


def test_how_far_a_copy_is_on_its_way_is_known_as_long_as_it_is(tell: Tell) -> None:
    async def story(it: Bench) -> None:
        size_bytes = (copy := await it.snapshots.copies.make(0)).file.size_bytes
        stream = Sent(is_held=True)
        it.snapshots.serve_pull(stream, Pull(index=copy.file.index, offset=1000))
        await pass_time(2)
        [sending] = it.snapshots.sendings
        assert (sending.sent_bytes, sending.total_bytes) == (0, size_bytes - 1000)
        assert not sending.is_joining
        assert sending.seconds == pytest.approx(2)
        stream.gate.set()
        await pass_time(1)
        assert sending.sent_bytes == sending.total_bytes
        assert it.snapshots.sendings == []

    tell(story)


def test_what_is_not_there_any_more_is_refused_by_name(tell: Tell) -> None:
    """The leader is asked again then, and has another one made."""

    async def story(it: Bench) -> None:
        for index in (6, 7):
            stream = Sent()
            it.snapshots.serve_pull(stream, Pull(index=index, offset=0))
            await pass_time(1)
            [refusal] = stream.bodies
            assert isinstance(refusal, Refusal)
            assert (stream.kinds, refusal.kind) == ([REFUSAL], SnapshotGone.__name__)
            assert stream.is_closed
            await it.snapshots.copies.make(0)

    tell(story)


def test_only_so_many_are_served_at_once_and_who_goes_makes_room(tell: Tell) -> None:
    async def story(it: Bench) -> None:
        index = (await it.snapshots.copies.make(0)).file.index
        held = [Sent(is_held=True) for _ in range(TASKS_MAX)]
        for stream in held:
            it.snapshots.serve_pull(stream, Pull(index=index, offset=0))
        await until_idle()
        late = Sent()
        it.snapshots.serve_pull(late, Pull(index=index, offset=0))
        assert (late.is_closed, late.kinds) == (True, []), "it comes again"
        held[0].gate.set()
        await pass_time(1)
        again = Sent()
        it.snapshots.serve_pull(again, Pull(index=index, offset=0))
        await pass_time(1)
        assert again.kinds[-1] == END
        await it.snapshots.close()
        assert all(stream.is_closed for stream in held)

    tell(story)


def offer(index: int) -> Snapshot:
    return Snapshot(index=index, term=2, sender=7, configuration=Configuration(voters=(7,)))


def test_a_fetch_that_fails_is_told_once_and_leaves_no_file(tell: Tell) -> None:
    async def story(it: Bench) -> None:
        told: list[tuple[int, Path | None]] = []
        addresses = [("10.0.0.7", 2380)]
        it.snapshots.fetch(offer(50), addresses, lambda what, path: told.append((what.index, path)))
        await pass_time(60)
        assert told == [(50, None)]
        assert list(it.home.snapshot_directory.iterdir()) == []

    tell(story)


def test_a_newer_offer_takes_the_place_of_an_older_of_which_nothing_more_is_told(
    tell: Tell,
) -> None:
    async def story(it: Bench) -> None:
        told: list[int] = []
        for index in (50, 60):
            addresses = [("10.0.0.7", 2380)]
            it.snapshots.fetch(offer(index), addresses, lambda what, _path: told.append(what.index))
        await pass_time(60)
        assert told == [60]

    tell(story)


def test_a_member_that_ends_leaves_removing_to_its_next_start(tell: Tell) -> None:
    """What is large takes a while to remove, and whoever stops it is waited for."""

    async def story(it: Bench) -> None:
        copy = await it.snapshots.copies.make(0)
        await it.snapshots.close()
        it.snapshots.discard(copy.path)
        assert (it.snapshots.task_count, copy.path.exists()) == (0, True)

    tell(story)
