"""Requests of etcd's log carried out on a store that was made of etcd's, as etcd would.

Roost replicates what was written, etcd what was asked for.  So what an entry comes to is decided
here, by the same operations that serve Roost's clients, each on the state that the one before it
left.  What etcd looks at when it applies a request is looked at again: who asks and what that user
may do, by users of which revision, alarms that stop writing, leases, compares.  A request that is
refused has changed nothing, here as there.

We differ from etcd in one thing: a lease has 2 s at least, for how long an election may take, by
which etcd knows more, is a flag and stands in no file.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import bcrypt
from google.protobuf.message import DecodeError

from roost.database.model import Long, Txn
from roost.errors import ModelRefused, Refused
from roost.etcd import errors
from roost.etcd.access.changes import AuthOperations
from roost.etcd.access.judge import Judge
from roost.etcd.access.users import Auth
from roost.etcd.limits import Limits
from roost.etcd.model import leases
from roost.etcd.model.alarms import CORRUPT, NOSPACE, Alarms
from roost.etcd.model.costs import Costs, at_once
from roost.etcd.model.kv import KvOperations
from roost.etcd.model.leases import Lease, name_of
from roost.etcd.model.mvcc import Mvcc
from roost.etcd.model.plans import has_put
from roost.etcd.v3.rights import need_delete
from roost.moving.errors import EtcdFileDamaged, EtcdFileRefused
from roost.moving.fields import each_field, fields_of, number_of
from roost.moving.requests import V3Request
from roost.proto import rpc_pb2 as pb
from roost.store import Store

# Numbers of requests in an entry.
_PUT, _DELETE_RANGE, _TXN, _COMPACTION = 4, 5, 6, 7
_LEASE_GRANT, _LEASE_REVOKE, _ALARM, _LEASE_CHECKPOINT = 8, 9, 10, 11
_USER_ADD, _USER_PASSWORD = 1100, 1103
# What etcd says of its members and versions, and reads that went through the log.
_NOTHING = frozenset({0, 3, 1012, 1013, 1102, 1106, 1107, 1202, 1300, 1301, 1302})
_OF_USERS = {
    1000: "etcd.auth_enable",
    1011: "etcd.auth_disable",
    _USER_ADD: "etcd.user_add",
    1101: "etcd.user_delete",
    _USER_PASSWORD: "etcd.user_password",
    1104: "etcd.user_grant",
    1105: "etcd.user_revoke",
    1200: "etcd.role_add",
    1201: "etcd.role_delete",
    1203: "etcd.role_grant",
    1204: "etcd.role_revoke",
}
# Turning it on needs nobody: there is nobody yet.
_NEEDS_ROOT = frozenset(_OF_USERS) - {1000}
_ANSWER_BYTES_MAX = 1 << 62
_BCRYPT_COST = 10
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPT64 = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_WHERE = Path("wal")
AlarmKey = tuple[int, int]


class Replay:
    """Carries out requests of v3, one after another."""

    def __init__(self, store: Store, raised: set[AlarmKey], digest: str) -> None:
        """`raised` are the alarms of that etcd; `digest` tells its store from others."""
        self._mvcc = mvcc = Mvcc(store)
        self._raised = raised
        self._digest = digest
        # Ours are another cluster's, and there are none: etcd's are looked at here.
        self._kv = KvOperations(mvcc, Alarms(store), answer_bytes_max=_ANSWER_BYTES_MAX)
        self._auth = Auth(store)
        self._of_users = AuthOperations(self._auth, mvcc).by_name()
        self._of: dict[int, Callable[[Txn, bytes], bytes | Long]] = {
            _PUT: self._kv.put,
            _DELETE_RANGE: self._kv.delete_range,
            _TXN: self._kv.txn,
            _COMPACTION: self._kv.compact,
            _LEASE_GRANT: self._grant,
            _LEASE_REVOKE: self._revoke,
            _ALARM: self._alarm,
            _LEASE_CHECKPOINT: self._checkpoint,
            **{it: self._of_users[name] for it, name in _OF_USERS.items()},
        }
        self.done_count = 0
        self.refused_count = 0

    def carry_out(self, txn: Txn, request: V3Request) -> None:
        """Do what an entry asks for, unless etcd would refuse it.

        Raises:
            EtcdFileDamaged: it is none of etcd's.
            EtcdFileRefused: this Roost does not know such a request, or cannot do it.

        """
        if request.field in _NOTHING:
            return
        run = self._of.get(request.field)
        if run is None:
            raise EtcdFileRefused(
                f"entry {request.index} of the log asks for what this Roost does not know (request "
                f"{request.field}): start that etcd once and save a snapshot"
            )
        mark = txn.savepoint()
        may = False
        try:
            self._check(txn, request)
            may = True
            _whole(run(txn, self._body_of(request)), txn)
        except Refused as refusal:
            txn.rollback(mark)
            # Of what is refused by its size etcd knows nothing: it was done there.
            if may and isinstance(refusal, ModelRefused) and errors.is_bound_of_ours(refusal):
                raise EtcdFileRefused(f"entry {request.index} of the log: {refusal}") from refusal
            self.refused_count += 1
        except (ValueError, DecodeError) as error:
            # What is no message of that kind.
            raise EtcdFileDamaged(f"entry {request.index} of the log: {error}") from error
        else:
            self.done_count += 1

    def _body_of(self, request: V3Request) -> bytes:
        """The request, with a hash where it has a password."""
        if request.field == _USER_ADD:
            added = pb.AuthUserAddRequest.FromString(request.body)
            added.hashedPassword = self._hashed(request, added.hashedPassword, added.password)
            return added.SerializeToString()
        if request.field == _USER_PASSWORD:
            asked = pb.AuthUserChangePasswordRequest.FromString(request.body)
            asked.hashedPassword = self._hashed(request, asked.hashedPassword, asked.password)
            return asked.SerializeToString()
        return request.body

    def _hashed(self, request: V3Request, hashed: str, password: str) -> str:
        """A hash as it is kept: from etcd 3.5 on the log has it, in base64.

        3.4's log has the password.  The salt is drawn from what only this store has, so that every
        first member comes to the same.
        """
        if hashed:
            try:
                return base64.b64decode(hashed, validate=True).decode("ascii")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise ValueError("a password's hash is none") from error
        if not password:
            return ""
        seed = hashlib.sha256(f"{self._digest} {request.index}".encode()).digest()[:16]
        salt = base64.b64encode(seed).rstrip(b"=").translate(bytes.maketrans(_BASE64, _BCRYPT64))
        salted = b"$2b$%d$%b" % (_BCRYPT_COST, salt)
        return bcrypt.hashpw(password.encode()[:72], salted).decode("ascii")

    def _check(self, txn: Txn, request: V3Request) -> None:
        """Refuse what etcd refuses when it applies it."""
        kinds = {kind for _, kind in self._raised}
        if CORRUPT in kinds and request.field not in (_ALARM, *_OF_USERS):
            raise errors.corrupt()
        if NOSPACE in kinds and _takes_room(request):
            raise errors.no_space()
        if not self._auth.is_enabled(txn):
            return
        if request.field in _NEEDS_ROOT:
            Judge(self._auth, txn, request.user).need_root()
        elif request.field in (_PUT, _DELETE_RANGE, _TXN, _LEASE_REVOKE):
            self._check_rights(txn, request)

    def _check_rights(self, txn: Txn, request: V3Request) -> None:
        """What a user may do with keys, as etcd asks of it and no more (etcd: apply_auth.go)."""
        judge, body = Judge(self._auth, txn, request.user), request.body
        if request.auth_revision < self._auth.revision(txn):
            raise errors.auth_old_revision()
        if request.field == _PUT:
            put = pb.PutRequest.FromString(body)
            at_once(judge.need_write(put.key))
            if put.prev_kv:
                at_once(judge.need_read(put.key))
            if put.lease:
                self._need_lease_keys(judge, put.lease)
        elif request.field == _DELETE_RANGE:
            at_once(need_delete(judge, pb.DeleteRangeRequest.FromString(body)))
        elif request.field == _TXN:
            at_once(_need_txn(judge, pb.TxnRequest.FromString(body)))
        else:
            self._need_lease_keys(judge, pb.LeaseRevokeRequest.FromString(body).ID)

    def _need_lease_keys(self, judge: Judge, lease_id: int) -> None:
        first = partial(leases.first_key, self._mvcc, judge.view, name_of(lease_id))
        at_once(judge.need_write_all(first))

    def _grant(self, txn: Txn, body: bytes) -> bytes:
        request, mvcc = pb.LeaseGrantRequest.FromString(body), self._mvcc
        name = name_of(request.ID)
        if request.TTL > leases.TTL_S_MAX or not request.ID:
            raise errors.lease_ttl_too_large()
        if leases.get(mvcc, txn, name) is not None:
            raise errors.lease_exists()
        leases.put(mvcc, txn, name, Lease(max(request.TTL, Limits().lease_ttl_min_s), 0))
        return b""

    def _revoke(self, txn: Txn, body: bytes) -> bytes | Long:
        return leases.revoke(self._mvcc, txn, name_of(pb.LeaseRevokeRequest.FromString(body).ID))

    def _checkpoint(self, txn: Txn, body: bytes) -> bytes:
        """Write down what was left of leases; one that was renewed since begins anew."""
        for tag, value in each_field(body, _WHERE):
            if tag != 1 or isinstance(value, int):
                continue
            fields = fields_of(value, _WHERE)
            name = name_of(number_of(fields, 1, _WHERE))
            remaining_s = number_of(fields, 2, _WHERE)
            lease = leases.get(self._mvcc, txn, name)
            if lease is not None and remaining_s <= lease.ttl_s:
                leases.put(self._mvcc, txn, name, Lease(lease.ttl_s, remaining_s))
        return b""

    def _alarm(self, _txn: Txn, body: bytes) -> bytes:
        """Alarms say what is refused from then on; they stay with the cluster that was."""
        request = pb.AlarmRequest.FromString(body)
        alarm = (request.memberID, int(request.alarm))
        if request.action == pb.AlarmRequest.ACTIVATE:
            self._raised.add(alarm)
        elif request.action == pb.AlarmRequest.DEACTIVATE:
            self._raised.discard(alarm)
        return b""


def _whole(answer: bytes | Long, txn: Txn) -> None:
    """Do all of an operation that says that it is long."""
    if isinstance(answer, Long):
        for _ in answer.run(txn):
            pass


def _takes_room(request: V3Request) -> bool:
    """Whether a store that is full refuses it (etcd: applierV3Capped)."""
    if request.field == _TXN:
        return has_put(pb.TxnRequest.FromString(request.body))
    return request.field in (_PUT, _LEASE_GRANT)


def _need_txn(judge: Judge, request: pb.TxnRequest) -> Costs[None]:
    """Etcd looks at both branches, and at none within them."""
    for compare in request.compare:
        yield from judge.need_read(compare.key, compare.range_end)
    for operation in (*request.success, *request.failure):
        match operation.WhichOneof("request"):
            case "request_range":
                asked = operation.request_range
                yield from judge.need_read(asked.key, asked.range_end)
            case "request_put":
                yield from judge.need_write(operation.request_put.key)
            case "request_delete_range":
                yield from need_delete(judge, operation.request_delete_range)
            case _:
                pass
