"""One snapshot on its way to a file: cuts are resumed, and what is not what was offered refused."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from roost.errors import PeerFault
from roost.member.cluster.roster import read_configuration
from roost.member.snapshots.fetch import ATTEMPTS_MAX, Fetch, check_content
from roost.peer import Head, SnapshotDamaged, SnapshotGone, Stream
from roost.peer.snapshot import CHUNK, END, HEAD, PULL, Pull
from roost.raft import Configuration, Snapshot
from roost.sim.members.loop import run_virtually
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


def test_whoever_brings_a_byte_is_asked_again_as_often_as_it_takes(tmp_path: Path) -> None:
    """Only attempts without one are counted: a slow way is a way."""
    senders = [Sender(CONTENT, breaks_after=1) for _ in range(len(CONTENT) // PIECE)]
    assert len(senders) < ATTEMPTS_MAX
    silent = [Sender(CONTENT, breaks_after=0) for _ in range(ATTEMPTS_MAX - 1)]
    more: list[Sender] = []
    for sender in senders:
        more += [*silent, sender]
    fetch(tmp_path / "file", [*more, Sender(CONTENT, breaks_after=None)])
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_another_snapshot_than_was_offered_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    class Other(Sender):
        async def receive(self) -> tuple[int, bytes]:
            kind, body = await super().receive()
            if kind == HEAD:
                head = msgspec.msgpack.decode(body, type=Head)
                body = msgspec.msgpack.encode(msgspec.structs.replace(head, index=51))
            return kind, body

    with pytest.raises(SnapshotDamaged, match="3:51"):
        fetch(tmp_path / "file", [Other(CONTENT, breaks_after=None)])


def test_a_file_is_the_store_that_its_offer_told_of_or_is_not_put_in_place(tmp_path: Path) -> None:
    """The core was told a position and who votes there; what contradicts it would be believed."""
    home = open_at(tmp_path, "m")
    write(home, 5, b"value")
    path = tmp_path / "copy.mdb"
    file = snapshot_of(home, path)
    voters = read_configuration(home.store.view)
    close(home)

    def offer(**changes: object) -> Snapshot:
        told = Snapshot(index=file.index, term=file.term, sender=1, configuration=voters)
        return msgspec.structs.replace(told, **changes)

    check_content(path, offer())
    other = msgspec.structs.replace(voters, voters=(1, 2, 3))
    for wrong in (offer(index=file.index + 1), offer(term=9), offer(configuration=other)):
        with pytest.raises(SnapshotDamaged, match="was offered"):
            check_content(path, wrong)
    path.write_bytes(b"no store" * 5000)
    with pytest.raises(SnapshotDamaged, match="no store"):
        check_content(path, offer())
