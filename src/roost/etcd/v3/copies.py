"""Copies of the store, sent as fast as the client takes them: whole, or what was written since.

Full?  A stream waits while it has _UNSENT_BYTES_MAX that the client has not taken; how many are
sent at once, and how many wait for that, is bounded (`costly.py`).
"""

import asyncio
import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from roost.call import StreamCall
from roost.etcd.access.judge import Judge
from roost.etcd.v3.answering import Answering
from roost.etcd.v3.costly import Costly
from roost.etcd.v3.desk import Desk
from roost.proto import rpc_pb2 as pb

BLOB_BYTES = 32 << 10
_UNSENT_BYTES_MAX = 1 << 20


class _Sending(Answering):
    """A stream that one task fills, as fast as the client takes it."""

    def __init__(self, desk: Desk, call: StreamCall, costly: Costly) -> None:
        """Nothing is sent before the request has come, and its turn among all such streams."""
        super().__init__(desk.tasks, call, self._serve)
        self._desk = desk
        self._costly = costly
        self._replica = desk.replica
        self._headed = desk.headed
        self._drained = asyncio.Event()
        call.on_drain = self._drained.set

    async def _serve(self, message: bytes) -> None:
        # It is root who asks, and the files hold all that was acknowledged, if anybody can say so.
        # A learner has what it has.
        await self._desk.border.wait_admitted(self._call, Judge.need_root, may_be_stale=True)
        async with self._costly.turn(self._call.flow):
            await self._send_all(message)

    async def _send_all(self, message: bytes) -> None:
        raise NotImplementedError

    async def _send(self, message: bytes) -> None:
        self._call.send(message)
        while self._call.pending_bytes > _UNSENT_BYTES_MAX:
            self._drained.clear()
            await self._drained.wait()
        await asyncio.sleep(0)


class SnapshotStream(_Sending):
    """Sends a copy of the store."""

    async def _send_all(self, message: bytes) -> None:
        pb.SnapshotRequest.FromString(message)
        async with self._replica.files.lend_snapshot() as path:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                remaining = path.stat().st_size
                for blob in _blobs(file):
                    digest.update(blob)
                    remaining -= len(blob)
                    await self._send_blob(blob, remaining)
            await self._send_blob(digest.digest(), 0)

    async def _send_blob(self, blob: bytes, remaining: int) -> None:
        said = pb.SnapshotResponse(remaining_bytes=remaining, blob=blob)
        await self._send(self._headed(said.SerializeToString()))


class SinceStream(_Sending):
    """Sends what was written behind a log position."""

    async def _send_all(self, message: bytes) -> None:
        request = pb.SinceRequest.FromString(message)
        async for blob in self._replica.files.entries_since(request.index, request.term):
            said = pb.SinceResponse(blob=blob)
            await self._send(self._headed(said.SerializeToString()))


def _blobs(file: BinaryIO) -> Iterator[bytes]:
    while blob := file.read(BLOB_BYTES):
        yield blob
