"""Snapshots on their way and in place: cuts are resumed, a crash leaves one state or the other."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from roost.errors import PeerFault
from roost.member.directory.home import Home
from roost.member.errors import SnapshotFailed
from roost.member.snapshots.fetch import ATTEMPTS_MAX, Fetch
from roost.member.snapshots.snapshots import Snapshots
from roost.peer import Head, SnapshotDamaged, SnapshotGone, Stream
from roost.peer.snapshot import CHUNK, END, HEAD, PULL, Pull
from roost.raft import Configuration, Snapshot
from roost.sim.members.loop import run_virtually
from roost.store import SnapshotFile
from tests.member.directory.homes import HomeWorld, close, open_at, snapshot_of, write

SNAPSHOT = Snapshot(index=50, term=3, sender=1, configuration=Configuration(voters=(1, 2)))
CONTENT = bytes(range(256)) * 10
PIECE = 300


class Sender(Stream):
    """The other side of a transfer, which may break off after some pieces."""

    def __init__(self, content: bytes, *, breaks_after: int | None, digest: str = "") -> None:
        self._content = content
        self._left = breaks_after
        self._digest = digest or hashlib.blake2b(content, digest_size=32).hexdigest()
        self._offset = 0
        self._said: list[tuple[int, object]] = []
        self.pulled: list[int] = []

    async def send(self, kind: int, body: object) -> None:
        assert kind == PULL
        assert isinstance(body, Pull)
        self.pulled.append(body.offset)
        self._offset = body.offset
        size = len(self._content)
        head = Head(index=50, term=3, size_bytes=size, digest=self._digest)
        self._said.append((HEAD, head))

    async def receive(self) -> tuple[int, bytes]:
        if self._said:
            kind, body = self._said.pop(0)
            return kind, msgspec.msgpack.encode(body)
        if self._left == 0:
            raise ConnectionResetError("cut")
        if self._left is not None:
            self._left -= 1
        data = self._content[self._offset : self._offset + PIECE]
        at, self._offset = self._offset, self._offset + len(data)
        return (CHUNK, at.to_bytes(8, "big") + data) if data else (END, b"")

    def close(self) -> None:
        """Nothing to close."""


class FakeWorld(HomeWorld):
    """Dials the senders it was given, one after another; they were greeted."""

    def __init__(self, senders: Sequence[Sender | Exception]) -> None:
        super().__init__()
        self._senders = list(senders)

    async def dial_for_snapshot(self, _member_id: int, _address: tuple[str, int]) -> Stream:
        sender = self._senders.pop(0)
        if isinstance(sender, Exception):
            raise sender
        return sender


def fetch(path: Path, senders: Sequence[Sender | Exception]) -> None:
    world = FakeWorld(senders)
    run_virtually(Fetch(path, SNAPSHOT, [("h", 1)], world.dial_for_snapshot, world).run())


def test_a_transfer_that_is_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    senders = [Sender(CONTENT, breaks_after=count) for count in (3, 0, 1)]
    last = Sender(CONTENT, breaks_after=None)
    fetch(tmp_path / "file", [*senders, ConnectionRefusedError(), last])
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [it.pulled for it in (*senders, last)] == [[0], [900], [900], [1200]]


def test_what_is_not_what_was_offered_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotDamaged, match="digest"):
        fetch(tmp_path / "a", [Sender(CONTENT, breaks_after=None, digest="00")])
    with pytest.raises(PeerFault):
        fetch(tmp_path / "b", [SnapshotGone("not here any more")])


def test_a_sender_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(ConnectionRefusedError):
        fetch(tmp_path / "a", [ConnectionRefusedError() for _ in range(ATTEMPTS_MAX)])


class CopyingWorld(FakeWorld):
    """Copies by the keeper itself; `on_copy` may come first."""

    def __init__(self, home: Home) -> None:
        super().__init__([])
        self._home = home
        self.copied: list[Path] = []
        self.on_copy: Callable[[Path], None] = lambda _directory: None

    async def copy_store(self, directory: Path, target: Path) -> SnapshotFile:
        self.copied.append(directory)
        self.on_copy(directory)
        return snapshot_of(self._home, target)


async def idle(copies: Snapshots) -> None:
    """Return when what may be removed is removed."""
    while copies.task_count:
        await asyncio.sleep(0)


def test_a_copy_stays_for_as_long_as_somebody_uses_it_and_no_longer(tmp_path: Path) -> None:
    """A backup that was about to open its copy found none: a newer copy had replaced it."""
    home = open_at(tmp_path, "a")
    write(home, 5, b"value")

    async def story() -> None:
        snapshots = Snapshots(home, world=CopyingWorld(home), bytes_per_s=1, dial=refuse)
        async with snapshots.copies.lend(3) as one, snapshots.copies.lend(3) as same:
            assert one == same
            write(home, 5, b"newer")
            async with snapshots.copies.lend(home.store.applied_index) as other:
                assert other != one
                await idle(snapshots)
                assert one.exists()
        await idle(snapshots)
        assert (one.exists(), other.exists()) == (False, True)
        await snapshots.close()

    asyncio.run(story())
    close(home)


def test_a_store_that_moves_before_its_copy_begins_is_copied_where_it_is(tmp_path: Path) -> None:
    home = open_at(tmp_path, "a")
    write(home, 5, b"value")
    world = CopyingWorld(home)
    old = home.store_directory

    def move(directory: Path) -> None:
        if directory == old:
            home.defragment(lambda _error: None, on_left=lambda _directory: None)
            raise SnapshotFailed("the directory is gone")

    async def story() -> None:
        world.on_copy = move
        snapshots = Snapshots(home, world=world, bytes_per_s=1, dial=refuse)
        async with snapshots.copies.lend(3) as copy:
            assert copy.exists()
        assert world.copied == [old, home.store_directory]
        await snapshots.close()

    asyncio.run(story())
    close(home)


async def refuse(_member_id: int, _address: tuple[str, int]) -> Stream:
    raise ConnectionRefusedError
