"""The Maintenance service: status, alarms, hashes, defragmentation, snapshots (etcd api)."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from crc32c import crc32c

from roost.call import Call, StreamCall
from roost.errors import Refused, RoostError
from roost.etcd import errors
from roost.etcd.access.judge import Judge, root, somebody
from roost.etcd.model.mvcc import KV_TREE, Mvcc, main_of
from roost.etcd.model.wire import decode_key_value
from roost.etcd.v3.answering import Answering
from roost.etcd.v3.checks import check_alarm
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.requests import fail, guarded, parse
from roost.proto import rpc_pb2 as pb
from roost.store import Txn, View

# What etcd 3.5 answers to `Status`; clients look at it for features.
SERVER_VERSION = "3.5.1"
CLIENT_ALARM = "etcd.client_alarm"
BLOB_BYTES = 32 << 10
_VERSION = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?")
_UNSENT_BYTES_MAX = 1 << 20
_SLICE_ROWS = 2000


class MaintenanceService:
    """Looks after one member; most of it is about the member that is asked."""

    def __init__(self, desk: Desk) -> None:
        """Remember whom to ask."""
        self._desk = desk
        self._replica = desk.replica
        self._mvcc = desk.mvcc
        self._alarms = desk.alarms
        self._headed = desk.headed
        desk.border.register(CLIENT_ALARM, self._change_alarm, root)

    def status(self, call: Call, _body: bytes) -> None:
        """Status of the member that is asked, as it sees itself."""
        self._desk.read(call, self._status, somebody, is_local=True)

    def _status(self) -> bytes:
        status = self._replica.status()
        problems = [] if status.leader_id else [errors.NO_LEADER]
        # As etcd lists them: alarms count among what is wrong.
        problems += [
            (f"memberID:{it} " if it else "") + f"alarm:{pb.AlarmType.Name(kind)} "
            for it, kind in self._alarms.raised
        ]
        message = pb.StatusResponse(
            version=SERVER_VERSION,
            dbSize=status.db_bytes,
            dbSizeInUse=status.db_in_use_bytes,
            leader=status.leader_id,
            raftIndex=status.last_index,
            raftTerm=status.term,
            raftAppliedIndex=status.applied_index,
            errors=problems,
            isLearner=self._replica.is_learner,
        )
        return self._headed(message.SerializeToString())

    # --- alarms ---------------------------------------------------------------------------------

    def alarm(self, call: Call, body: bytes) -> None:
        """Alarm: list, raise or disarm."""
        request = parse(call, pb.AlarmRequest, body, check_alarm)
        if request is None:
            return
        if request.action == pb.AlarmRequest.GET:
            self._list_alarms(call, request.alarm)
            return

        self._desk.write(call, CLIENT_ALARM, body)

    def _change_alarm(self, txn: Txn, body: bytes) -> bytes:
        """Operation: a client raises or disarms an alarm."""
        return self._mvcc.revision(txn).to_bytes(8, "big") + self._alarms.change_by_hand(txn, body)

    def _list_alarms(self, call: Call, wanted: pb.AlarmType) -> None:
        def answer() -> bytes:
            rows = [
                pb.AlarmMember(memberID=member_id, alarm=kind)
                for member_id, kind in self._alarms.raised
                if wanted in (pb.NONE, kind)
            ]
            return self._headed(pb.AlarmResponse(alarms=rows).SerializeToString())

        self._desk.read(call, answer, somebody)

    # --- hashes ---------------------------------------------------------------------------------

    def hash(self, call: Call, _body: bytes) -> None:
        """Hash: of everything this member's store holds durably; members at rest agree."""

        def allowed() -> None:
            digest = self._replica.files.state_digest()
            said = pb.HashResponse(hash=int.from_bytes(digest[:4], "big"))
            call.reply(self._headed(said.SerializeToString()))

        self._desk.admit_root(call, allowed, may_be_stale=True)

    def hash_kv(self, call: Call, body: bytes) -> None:
        """HashKV: of all that can be seen of the keys up to a revision; equal on all members."""
        request = parse(call, pb.HashKVRequest, body)
        if request is None:
            return

        def allowed() -> None:
            view, mvcc = self._replica.view, self._mvcc
            current, compacted = mvcc.revision(view), mvcc.compacted(view)
            revision = request.revision or current
            if 0 < request.revision <= compacted:
                fail(call, errors.compacted())
            elif revision > current:
                fail(call, errors.future_revision())
            else:
                # As etcd: there is nothing at a negative revision, and its hash is answered.
                hashing = KeyHash(call, mvcc, view, max(compacted, 0), max(revision, 0))
                hashing.run(lambda value: self._say_hash(call, value, compacted))

        self._desk.border.admit(
            call, Judge.need_root, allowed, lambda error: fail(call, error), may_be_stale=True
        )

    def _say_hash(self, call: Call, value: int, compacted: int) -> None:
        said = pb.HashKVResponse(hash=value, compact_revision=compacted)
        call.reply(self._headed(said.SerializeToString()))

    # --- the files ------------------------------------------------------------------------------

    def defragment(self, call: Call, _body: bytes) -> None:
        """Defragment: give what the store's file does not use back to the file system."""

        def done(error: RoostError | None) -> None:
            if error is not None:
                fail(call, error)
            else:
                call.reply(b"")  # as etcd: without a header

        def allowed() -> None:
            self._replica.files.defragment(done)

        self._desk.admit_root(call, allowed, may_be_stale=True)

    def downgrade(self, call: Call, body: bytes) -> None:
        """Downgrade: there is one version of the store, so there is none to go back to."""
        request = parse(call, pb.DowngradeRequest, body)
        if request is None:
            return

        def allowed() -> None:
            fail(call, _downgrade_refusal(request))

        self._desk.admit_root(call, allowed, may_be_stale=True)

    def snapshot(self, call: StreamCall) -> "SnapshotStream":
        """Snapshot: the whole store as of now, and the SHA-256 of it behind it."""
        return SnapshotStream(self._desk, call)

    def since(self, call: StreamCall) -> "SinceStream":
        """Since, Roost's own: everything written behind a log position (incremental backup)."""
        return SinceStream(self._desk, call)


class KeyHash:
    """A CRC-32C over keys, a bounded piece in each turn of the loop.

    It covers what can still be seen: of the revisions up to the compacted one the living keys,
    then every revision up to the one asked for.  How far the removal of older ones has come makes
    no difference.
    """

    def __init__(self, call: Call, mvcc: Mvcc, view: View, compacted: int, revision: int) -> None:
        """Nothing is read yet; what goes wrong ends `call`."""
        self._next_step = guarded(call, self._step)
        self._mvcc = mvcc
        self._view = view
        self._compacted = compacted
        self._revision = revision
        # Never nothing: a hash of no keys is one too.
        self._crc = crc32c(KV_TREE.encode())

    def run(self, done: Callable[[int], None]) -> None:
        """Read in slices, then call `done(hash)`."""
        self._done = done
        self._old_from: bytes | None = b"" if self._compacted else None
        self._new_from = (self._compacted + 1).to_bytes(8, "big")
        self._step()

    def _step(self) -> None:
        if self._old_from is not None:
            self._hash_old()
        elif not self._hash_new():
            self._done(self._crc)
            return
        asyncio.get_running_loop().call_soon(self._next_step)

    def _hash_old(self) -> None:
        """The living keys as of the compacted revision, from `_old_from` on."""
        assert self._old_from is not None, "there is more"
        first = self._old_from
        rows = self._mvcc.range_at(self._view, first, None, self._compacted)
        self._old_from = None
        for count, encoded in enumerate(rows):
            if count == _SLICE_ROWS:
                self._old_from = decode_key_value(encoded).key
                return
            self._crc = crc32c(encoded, self._crc)

    def _hash_new(self) -> bool:
        """Revisions behind the compacted one; say whether there are more."""
        stop = (self._revision + 1).to_bytes(8, "big")
        rows = self._view.scan(self._mvcc.revisions, self._new_from, stop, limit=_SLICE_ROWS)
        for name, encoded in rows:
            self._crc = crc32c(encoded, crc32c(name, self._crc))
        if len(rows) < _SLICE_ROWS:
            return False
        last = rows[-1][0]
        assert main_of(last) <= self._revision, "only what was asked for"
        self._new_from = last + b"\0"
        return True


class _Sending(Answering):
    """A stream that one task fills, as fast as the client takes it."""

    def __init__(self, desk: Desk, call: StreamCall) -> None:
        """Nothing is sent before the request has come."""
        super().__init__(desk.tasks, call, self._serve)
        self._desk = desk
        self._replica = desk.replica
        self._headed = desk.headed
        self._drained = asyncio.Event()
        call.on_drain = self._drained.set

    async def _serve(self, message: bytes) -> None:
        # It is root who asks, and the files hold all that was acknowledged, if anybody can say so.
        # A learner has what it has.
        await self._desk.border.wait_admitted(self._call, Judge.need_root, may_be_stale=True)
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


def _downgrade_refusal(request: pb.DowngradeRequest) -> Refused:
    """Why nothing is downgraded (etcd: downgradeValidate, downgradeCancel)."""
    if request.action == pb.DowngradeRequest.CANCEL:
        return errors.no_downgrade()
    if request.action not in pb.DowngradeRequest.DowngradeAction.values():
        return errors.unknown_method()
    if not _VERSION.fullmatch(request.version):
        return errors.wrong_downgrade_version()
    return errors.invalid_downgrade_target()
