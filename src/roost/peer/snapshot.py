"""Snapshots on a connection of their own, fetched by whoever needs one (D6, D7).

    a member      HELLO, channel SNAPSHOT   ->  WELCOME
                  PULL {index, offset}      ->  HEAD, CHUNK ..., END
    a newcomer    JOIN {peer_urls, ...}     ->  INVITATION {cluster_id, member_id}, HEAD, CHUNK ...

Either may be answered with REFUSAL.  HEAD says what the file is; CHUNK is u64 offset and bytes,
under its frame's checksum; END follows the last one.  A transfer that is cut goes on at the
offset reached, as long as the sender still has the same file.  Nobody holds more than one chunk
in memory, and the sender keeps to a rate.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self

import msgspec

from roost.errors import PeerFault
from roost.peer import frame
from roost.peer.errors import REFUSALS, HandshakeRefused, MalformedFrame
from roost.peer.frame import FrameReader, Hello, Refusal, Welcome
from roost.peer.sockets import Connection, PeerTls, connect, receive, send_all
from roost.raft.types import Count, Id

SNAPSHOT_CHANNEL = 2
PULL, HEAD, CHUNK, END, JOIN, INVITATION = 243, 244, 245, 246, 247, 248
CHUNK_BYTES = 256 << 10
_BODY_BYTES_MAX = CHUNK_BYTES + 64
_SILENCE_S_MAX = 10.0
Address = tuple[str, int]


class SnapshotDamaged(PeerFault):
    """What was fetched is not what was offered."""


class SnapshotGone(HandshakeRefused):
    """The sender has no snapshot at that index any more."""


class Pull(msgspec.Struct, frozen=True):
    """Send me the snapshot at `index`, from `offset` on."""

    index: Count
    offset: Count


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """I was added to your cluster under these peer URLs: tell me who I am and what you hold."""

    peer_urls: tuple[str, ...]
    protocol_version: Count
    storage_version: Count


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """Who the newcomer is; a snapshot that knows it follows."""

    cluster_id: Id
    member_id: Id


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The file that follows; blake2b-256 of all of it."""

    index: Count
    term: Count
    size_bytes: Count
    digest: str


class Stream:
    """Frames on a socket, both ways, by coroutines."""

    def __init__(self, sock: Connection) -> None:
        """Take over a connected, non-blocking socket."""
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(_BODY_BYTES_MAX)
        self._frames: list[tuple[int, bytes]] = []

    async def send(self, kind: int, body: msgspec.Struct) -> None:
        """Send one small frame."""
        await send_all(self._loop, self._socket, frame.encode_struct(kind, body))

    async def send_chunk(self, offset: int, data: bytes) -> None:
        """Send a piece of the file."""
        for buffer in frame.encode(CHUNK, [offset.to_bytes(8, "big"), data]):
            await send_all(self._loop, self._socket, buffer)

    async def receive(self) -> tuple[int, bytes]:
        """The next frame, within _SILENCE_S_MAX.

        Raises:
            ConnectionResetError: the other side closed.
            HandshakeRefused: the other side said no, and why.
            MalformedFrame, TimeoutError: nonsense, or nothing.

        """
        while not self._frames:
            async with asyncio.timeout(_SILENCE_S_MAX):
                data = await receive(self._loop, self._socket, 2 * CHUNK_BYTES)
            if not data:
                raise ConnectionResetError("closed in the middle of a snapshot")
            self._frames = self._reader.feed(data)
        kind, body = self._frames.pop(0)
        if kind == frame.REFUSAL:
            raise refusal_error(body)
        return kind, body

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def refusal_error(body: bytes) -> HandshakeRefused:
    """What a REFUSAL frame says, as the error it names."""
    refusal = msgspec.msgpack.decode(body, type=Refusal)
    kinds: dict[str, type[HandshakeRefused]] = {**REFUSALS, SnapshotGone.__name__: SnapshotGone}
    return kinds.get(refusal.kind, HandshakeRefused)(refusal.text)


async def send_file(
    stream: Stream, path: Path, head: Head, offset: int, *, bytes_per_s: int
) -> None:
    """Send HEAD, the file from `offset` on, and END, at most `bytes_per_s`."""
    loop = asyncio.get_running_loop()
    await stream.send(HEAD, head)
    with path.open("rb") as file:
        file.seek(offset)
        while data := file.read(CHUNK_BYTES):
            begin = loop.time()
            await stream.send_chunk(offset, data)
            offset += len(data)
            await asyncio.sleep(max(0.0, len(data) / bytes_per_s - (loop.time() - begin)))
    await stream.send(END, head)


async def dial(address: Address, tls: PeerTls | None = None) -> Stream:
    """Connect to a peer's port."""
    async with asyncio.timeout(_SILENCE_S_MAX):
        return Stream(await connect(asyncio.get_running_loop(), address, tls))


async def pull(stream: Stream, hello: Hello, index: int, offset: int) -> Head:
    """Ask as a member for a snapshot; its chunks follow."""
    await stream.send(frame.HELLO, hello)
    kind, body = await stream.receive()
    if kind != frame.WELCOME:
        raise MalformedFrame(f"frame kind {kind} instead of a welcome")
    welcome = msgspec.msgpack.decode(body, type=Welcome)
    if welcome.member_id != hello.target_id:
        raise HandshakeRefused(f"reached member {welcome.member_id:x}")
    await stream.send(PULL, Pull(index, offset))
    return await _receive_head(stream)


async def join(stream: Stream, asked: Join) -> tuple[Invitation, Head]:
    """Ask as a newcomer who we are; the chunks of a snapshot follow."""
    await stream.send(JOIN, asked)
    kind, body = await stream.receive()
    if kind != INVITATION:
        raise MalformedFrame(f"frame kind {kind} instead of an invitation")
    return msgspec.msgpack.decode(body, type=Invitation), await _receive_head(stream)


async def _receive_head(stream: Stream) -> Head:
    kind, body = await stream.receive()
    if kind != HEAD:
        raise MalformedFrame(f"frame kind {kind} instead of a head")
    return msgspec.msgpack.decode(body, type=Head)


async def chunks(stream: Stream, head: Head, offset: int) -> AsyncIterator[bytes]:
    """The rest of the file in order, until END.

    Raises:
        MalformedFrame: a piece is out of place, or the file ends early or late.

    """
    while True:
        kind, body = await stream.receive()
        if kind == END and offset == head.size_bytes:
            return
        at, data = int.from_bytes(body[:8], "big"), body[8:]
        if kind != CHUNK or at != offset or not data or at + len(data) > head.size_bytes:
            raise MalformedFrame(f"frame kind {kind} at {at} instead of {offset}")
        offset += len(data)
        yield data


class Incoming:
    """A snapshot on its way to a file; goes on where it was after a cut.

    Use it as a context manager: the file is closed in the end.
    """

    def __init__(self, path: Path) -> None:
        """Begin an empty file that only we may read."""
        self._descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        self._digest = hashlib.blake2b(digest_size=32)
        self.offset = 0

    def __enter__(self) -> Self:
        """Nothing more."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        os.close(self._descriptor)

    async def take(self, stream: Stream, head: Head) -> None:
        """Write what comes, until END."""
        async for data in chunks(stream, head, self.offset):
            os.pwrite(self._descriptor, data, self.offset)
            self._digest.update(data)
            self.offset += len(data)

    async def finish(self, head: Head, sync: Callable[[int], Awaitable[None]]) -> None:
        """Check the whole and make it durable.

        Raises:
            SnapshotDamaged: it is not what was offered.

        """
        if self._digest.hexdigest() != head.digest:
            raise SnapshotDamaged(f"the digest of the snapshot at {head.index} differs")
        await sync(self._descriptor)
