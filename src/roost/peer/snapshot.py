"""Snapshots on a connection of their own, fetched by whoever needs one (D6, D7).

    a member      greets on channel SNAPSHOT; then PULL {index, offset}
                                                    ->  HEAD, CHUNK ..., END
    a newcomer    joins, and has an INVITATION      ->  HEAD, CHUNK ..., END

`greeting` has how both begin.  Either may be answered with REFUSAL.  HEAD says what the file is;
CHUNK is u64 offset and bytes, under its frame's checksum; END follows the last one.  A transfer
that is cut goes on at the offset reached, as long as the sender still has the same file.  Nobody
holds more than one chunk in memory, and the sender keeps to a rate.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self

import msgspec

from roost.errors import PeerFault
from roost.peer.errors import MalformedFrame
from roost.peer.frame import Invitation, Join, decode
from roost.peer.greeting import Dialler
from roost.peer.handshake import greet
from roost.peer.local import Address
from roost.peer.network import Network
from roost.peer.secret import Secrets
from roost.peer.stream import Stream
from roost.raft.types import Count

PULL, HEAD, CHUNK, END = 243, 244, 245, 246
CHUNK_BYTES = 256 << 10
STREAM_BYTES_MAX = CHUNK_BYTES + 64
_DIAL_S_MAX = 10.0


class SnapshotDamaged(PeerFault):
    """What was fetched is not what was offered."""


class Pull(msgspec.Struct, frozen=True):
    """Send me the snapshot at `index`, from `offset` on."""

    index: Count
    offset: Count


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The file that follows; blake2b-256 of all of it."""

    index: Count
    term: Count
    size_bytes: Count
    digest: str


async def send_file(
    stream: Stream,
    path: Path,
    head: Head,
    offset: int,
    *,
    bytes_per_s: int,
    hear: Callable[[int], None],
) -> None:
    """Send HEAD, the file from `offset` on, and END, at most `bytes_per_s`.

    `hear` is told of each chunk that was sent how large it is.
    """
    loop = asyncio.get_running_loop()
    await stream.send(HEAD, head)
    with path.open("rb") as file:
        file.seek(offset)
        while data := file.read(CHUNK_BYTES):
            begin = loop.time()
            await stream.send_buffers(CHUNK, [offset.to_bytes(8, "big"), data])
            offset += len(data)
            hear(len(data))
            await asyncio.sleep(max(0.0, len(data) / bytes_per_s - (loop.time() - begin)))
    await stream.send(END, head)


async def dial(network: Network, address: Address) -> Stream:
    """Connect to a peer's port; nothing is said yet."""
    async with asyncio.timeout(_DIAL_S_MAX):
        connection, _ = await network.connect(address)
        return Stream(connection, STREAM_BYTES_MAX)


async def join(stream: Stream, asked: Join, secrets: Secrets) -> tuple[Invitation, Head]:
    """Ask as a newcomer who we are; the chunks of a snapshot follow.

    Raises:
        RefusedThere, HandshakeRefused, MalformedFrame, OSError, TimeoutError: see `handshake`.

    """
    invitation = await greet(stream, Dialler(asked, secrets))
    assert isinstance(invitation, Invitation), "a join is answered by an invitation"
    return invitation, await receive_head(stream)


async def pull(stream: Stream, index: int, offset: int) -> Head:
    """Ask for a snapshot on a stream that was greeted; its chunks follow."""
    await stream.send(PULL, Pull(index, offset))
    return await receive_head(stream)


async def receive_head(stream: Stream) -> Head:
    """What the file is that follows."""
    kind, body = await stream.receive()
    if kind != HEAD:
        raise MalformedFrame(f"frame kind {kind} instead of a head")
    return decode(body, Head)


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
