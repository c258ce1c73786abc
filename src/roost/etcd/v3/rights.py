"""What requests of v3 need of whoever sends them (etcd: server/auth).

Each walks a request to its ends: both branches of a transaction at any depth, what `prev_kv`,
`ignore_value` and `ignore_lease` would show of a key, and the keys that hang on a lease.
"""

from functools import partial

from roost.etcd import errors
from roost.etcd.access.judge import Checking, First, Judge
from roost.etcd.model import leases
from roost.etcd.model.costs import Costs
from roost.etcd.model.mvcc import Mvcc
from roost.proto import rpc_pb2 as pb


class Rights:
    """The checks of requests about keys and leases."""

    def __init__(self, mvcc: Mvcc) -> None:
        """Look at leases there."""
        self._mvcc = mvcc

    def check_range(self, judge: Judge, request: pb.RangeRequest) -> Costs[None]:
        """Range."""
        return judge.need_read(request.key, request.range_end)

    def _put(self, judge: Judge, request: pb.PutRequest) -> Costs[None]:
        yield from judge.need_write(request.key)
        if request.prev_kv or request.ignore_value or request.ignore_lease:
            yield from judge.need_read(request.key)
        if request.lease:
            yield from self._need_lease_keys(judge, request.lease)

    def check_txn(self, judge: Judge, request: pb.TxnRequest) -> Costs[None]:
        """Txn: all it could do, whichever branch it takes."""
        for compare in request.compare:
            yield from judge.need_read(compare.key, compare.range_end)
        for operation in (*request.success, *request.failure):
            match operation.WhichOneof("request"):
                case "request_range":
                    yield from self.check_range(judge, operation.request_range)
                case "request_put":
                    yield from self._put(judge, operation.request_put)
                case "request_delete_range":
                    yield from need_delete(judge, operation.request_delete_range)
                case "request_txn":
                    yield from self.check_txn(judge, operation.request_txn)
                case _:
                    raise errors.permission_denied()

    def put(self, judge: Judge, body: bytes) -> Costs[None]:
        """Put."""
        return self._put(judge, pb.PutRequest.FromString(body))

    def delete_range(self, judge: Judge, body: bytes) -> Costs[None]:
        """DeleteRange."""
        return need_delete(judge, pb.DeleteRangeRequest.FromString(body))

    def txn(self, judge: Judge, body: bytes) -> Costs[None]:
        """Txn."""
        return self.check_txn(judge, pb.TxnRequest.FromString(body))

    def lease_revoke(self, judge: Judge, body: bytes) -> Costs[None]:
        """LeaseRevoke deletes keys."""
        return self._need_lease_keys(judge, pb.LeaseRevokeRequest.FromString(body).ID)

    def lease_renew(self, judge: Judge, body: bytes) -> Costs[None]:
        """LeaseKeepAlive keeps keys there."""
        return self._need_lease_keys(judge, pb.LeaseKeepAliveRequest.FromString(body).ID)

    def lease_time_to_live(self, judge: Judge, body: bytes) -> Checking:
        """LeaseTimeToLive may name keys (CVE-2023-32082)."""
        request = pb.LeaseTimeToLiveRequest.FromString(body)
        if not request.keys:
            return None
        return judge.need_read_all(self._keys_of(judge, request.ID))

    def _need_lease_keys(self, judge: Judge, lease_id: int) -> Costs[None]:
        """The user must have the right to write every key of a lease."""
        return judge.need_write_all(self._keys_of(judge, lease_id))

    def _keys_of(self, judge: Judge, lease_id: int) -> First:
        return partial(leases.first_key, self._mvcc, judge.view, leases.name_of(lease_id))


def need_delete(judge: Judge, request: pb.DeleteRangeRequest) -> Costs[None]:
    """DeleteRange, alone or in a transaction."""
    yield from judge.need_write(request.key, request.range_end)
    if request.prev_kv:
        yield from judge.need_read(request.key, request.range_end)


def get_user(judge: Judge, request: pb.AuthUserGetRequest) -> None:
    """UserGet: root, or the user itself."""
    if request.name != judge.name:
        judge.need_root()


def get_role(judge: Judge, request: pb.AuthRoleGetRequest) -> None:
    """RoleGet: root, or a user who has the role."""
    if request.role not in judge.roles:
        judge.need_root()
