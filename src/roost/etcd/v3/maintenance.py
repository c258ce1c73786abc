"""The Maintenance service: status, alarms, hashes, defragmentation, snapshots (etcd api)."""

import re
from functools import partial

from roost.call import Call, StreamCall
from roost.database.model import Txn
from roost.errors import Refused
from roost.etcd import errors
from roost.etcd.access.judge import Judge, root, somebody
from roost.etcd.v3.checks import check_alarm
from roost.etcd.v3.copies import SinceStream, SnapshotStream
from roost.etcd.v3.costly import Costly
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.hashing import hash_keys
from roost.etcd.v3.long_reads import LongRead, Steps
from roost.etcd.v3.requests import emptily, fail, parse
from roost.proto import rpc_pb2 as pb

# What etcd 3.5 answers to `Status`; clients look at it for features.
SERVER_VERSION = "3.5.1"
CLIENT_ALARM = "etcd.client_alarm"
_VERSION = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?")


class MaintenanceService:
    """Looks after one member; most of it is about the member that is asked."""

    def __init__(self, desk: Desk) -> None:
        """Remember whom to ask."""
        self._desk = desk
        self._replica = desk.replica
        self._mvcc = desk.mvcc
        self._alarms = desk.alarms
        self._headed = desk.headed
        # Copies of the store, and of what was written since, on their way to clients.
        self.copies = Costly("copies")
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

        def begin(read: LongRead) -> Steps:
            view, mvcc = read.view, self._mvcc
            current, compacted = mvcc.revision(view), mvcc.compacted(view)
            revision = request.revision or current
            if 0 < request.revision <= compacted:
                raise errors.compacted()
            if revision > current:
                raise errors.future_revision()
            # As etcd: there is nothing at a negative revision, and its hash is answered.
            value = yield from hash_keys(mvcc, view, max(compacted, 0), max(revision, 0))
            said = pb.HashKVResponse(hash=value, compact_revision=compacted)
            call.reply(self._headed(said.SerializeToString()))

        run = self._desk.long_reads.run
        allowed = partial(run, LongRead(call, begin, run))
        self._desk.border.admit(
            call, Judge.need_root, allowed, partial(fail, call), may_be_stale=True
        )

    def defragment(self, call: Call, _body: bytes) -> None:
        """Defragment: give what the store's file does not use back to the file system."""

        def allowed() -> None:
            self._replica.files.defragment(emptily(call))

        self._desk.admit_root(call, allowed, may_be_stale=True)

    def downgrade(self, call: Call, body: bytes) -> None:
        """Downgrade: there is one version of the store, so there is none to go back to."""
        request = parse(call, pb.DowngradeRequest, body)
        if request is None:
            return

        def allowed() -> None:
            fail(call, _downgrade_refusal(request))

        self._desk.admit_root(call, allowed, may_be_stale=True)

    def snapshot(self, call: StreamCall) -> SnapshotStream:
        """Snapshot: the whole store as of now, and the SHA-256 of it behind it."""
        return SnapshotStream(self._desk, call, self.copies)

    def since(self, call: StreamCall) -> SinceStream:
        """Since, Roost's own: everything written behind a log position (incremental backup)."""
        return SinceStream(self._desk, call, self.copies)


def _downgrade_refusal(request: pb.DowngradeRequest) -> Refused:
    """Why nothing is downgraded (etcd: downgradeValidate, downgradeCancel)."""
    if request.action == pb.DowngradeRequest.CANCEL:
        return errors.no_downgrade()
    if request.action not in pb.DowngradeRequest.DowngradeAction.values():
        return errors.unknown_method()
    if not _VERSION.fullmatch(request.version):
        return errors.wrong_downgrade_version()
    return errors.invalid_downgrade_target()
