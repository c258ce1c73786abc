"""Who may do what: one check for each kind of request (security.md 4.1; etcd: server/auth).

A `Judge` knows one caller and one state.  The checks walk a request to its ends: both branches of
a transaction at any depth, what `prev_kv`, `ignore_value` and `ignore_lease` would show of a key,
and the keys that hang on a lease.  Nothing that is not permitted here is allowed.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache

from roost.etcd import errors
from roost.etcd.access.users import ROOT, Auth
from roost.etcd.model import leases
from roost.etcd.model.mvcc import Mvcc, range_stop
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.store import View

# From a key to before another; None is the end of all keys.
Interval = tuple[bytes, bytes | None]
_READS = (auth_pb2.Permission.READ, auth_pb2.Permission.READWRITE)
_WRITES = (auth_pb2.Permission.WRITE, auth_pb2.Permission.READWRITE)


@lru_cache(maxsize=4096)
def _roles_of(user_row: bytes) -> tuple[str, ...]:
    return tuple(auth_pb2.User.FromString(user_row).roles)


@lru_cache(maxsize=4096)
def _intervals(role_rows: tuple[bytes, ...], kinds: tuple[int, ...]) -> tuple[Interval, ...]:
    """What roles permit, in order, touching parts made one.  A function of what is written."""
    found: list[Interval] = []
    for row in role_rows:
        held = auth_pb2.Role.FromString(row).keyPermission
        found += [(it.key, range_stop(it.key, it.range_end)) for it in held if it.permType in kinds]
    merged: list[Interval] = []
    for first, stop in sorted(found, key=lambda it: it[0]):
        if stop is not None and stop <= first:
            continue
        if merged:
            held_first, held_stop = merged[-1]
            if held_stop is None or first <= held_stop:
                longer = None if held_stop is None or stop is None else max(held_stop, stop)
                merged[-1] = (held_first, longer)
                continue
        merged.append((first, stop))
    return tuple(merged)


class Judge:
    """Says what one user may do, by one state."""

    __slots__ = ("_rows", "auth", "mvcc", "name", "roles", "view")

    def __init__(self, auth: Auth, mvcc: Mvcc, view: View, name: str) -> None:
        """Judge the user of that name.

        Raises:
            Refused: nobody was named, or there is no such user.

        """
        if not name:
            raise errors.user_empty()
        row = view.get(auth.users, name.encode())
        if row is None:
            raise errors.permission_denied()
        self.auth, self.mvcc, self.view, self.name = auth, mvcc, view, name
        self.roles = _roles_of(row)
        self._rows: tuple[bytes, ...] | None = None

    @property
    def is_root(self) -> bool:
        """Whether the user may do everything."""
        return ROOT in self.roles

    def need_root(self) -> None:
        """Only root may do this.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        if not self.is_root:
            raise errors.permission_denied()

    def need_read(self, key: bytes, range_end: bytes = b"") -> None:
        """The user must have the right to read a range.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        self._need(_READS, key, range_end)

    def need_write(self, key: bytes, range_end: bytes = b"") -> None:
        """The user must have the right to write a range.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        self._need(_WRITES, key, range_end)

    def _need(self, kinds: tuple[int, ...], key: bytes, range_end: bytes) -> None:
        if self.is_root:
            return
        if self._rows is None:
            rows = (self.view.get(self.auth.roles, it.encode()) for it in self.roles)
            self._rows = tuple(row for row in rows if row is not None)
        if not covers(_intervals(self._rows, kinds), key, range_stop(key, range_end)):
            raise errors.permission_denied()

    def need_lease_keys(self, lease_id: int) -> None:
        """The user must have the right to write every key of a lease.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        if not self.is_root:
            for key in leases.keys_of(self.mvcc, self.view, leases.name_of(lease_id)):
                self.need_write(key)


def covers(intervals: Iterable[Interval], first: bytes, stop: bytes | None) -> bool:
    """Whether one of the intervals, which do not touch, holds all from `first` to `stop`."""
    if stop is not None and stop <= first:
        stop = first + b"\0"  # an empty range names its first key
    for held_first, held_stop in intervals:
        if held_first <= first and (held_stop is None or first < held_stop):
            return held_stop is None or (stop is not None and stop <= held_stop)
    return False


Check = Callable[[Judge, bytes], None]


def anybody(_judge: Judge, _body: bytes) -> None:
    """Whoever is somebody."""


def somebody(_judge: Judge) -> None:
    """Whoever is somebody; for reads."""


def root(judge: Judge, _body: bytes) -> None:
    """Root only."""
    judge.need_root()


def check_range(judge: Judge, request: pb.RangeRequest) -> None:
    """Range."""
    judge.need_read(request.key, request.range_end)


def _check_put(judge: Judge, request: pb.PutRequest) -> None:
    judge.need_write(request.key)
    if request.prev_kv or request.ignore_value or request.ignore_lease:
        judge.need_read(request.key)
    if request.lease:
        judge.need_lease_keys(request.lease)


def _check_delete(judge: Judge, request: pb.DeleteRangeRequest) -> None:
    judge.need_write(request.key, request.range_end)
    if request.prev_kv:
        judge.need_read(request.key, request.range_end)


def check_txn(judge: Judge, request: pb.TxnRequest) -> None:
    """Txn: all it could do, whichever branch it takes."""
    for compare in request.compare:
        judge.need_read(compare.key, compare.range_end)
    for operation in (*request.success, *request.failure):
        match operation.WhichOneof("request"):
            case "request_range":
                check_range(judge, operation.request_range)
            case "request_put":
                _check_put(judge, operation.request_put)
            case "request_delete_range":
                _check_delete(judge, operation.request_delete_range)
            case "request_txn":
                check_txn(judge, operation.request_txn)
            case _:
                raise errors.permission_denied()


def put(judge: Judge, body: bytes) -> None:
    """Put."""
    _check_put(judge, pb.PutRequest.FromString(body))


def delete_range(judge: Judge, body: bytes) -> None:
    """DeleteRange."""
    _check_delete(judge, pb.DeleteRangeRequest.FromString(body))


def txn(judge: Judge, body: bytes) -> None:
    """Txn."""
    check_txn(judge, pb.TxnRequest.FromString(body))


def lease_revoke(judge: Judge, body: bytes) -> None:
    """LeaseRevoke deletes keys."""
    judge.need_lease_keys(pb.LeaseRevokeRequest.FromString(body).ID)


def lease_renew(judge: Judge, body: bytes) -> None:
    """LeaseKeepAlive keeps keys there."""
    judge.need_lease_keys(pb.LeaseKeepAliveRequest.FromString(body).ID)


def lease_time_to_live(judge: Judge, body: bytes) -> None:
    """LeaseTimeToLive may name keys (CVE-2023-32082)."""
    request = pb.LeaseTimeToLiveRequest.FromString(body)
    if request.keys and not judge.is_root:
        for key in leases.keys_of(judge.mvcc, judge.view, leases.name_of(request.ID)):
            judge.need_read(key)


def get_user(judge: Judge, request: pb.AuthUserGetRequest) -> None:
    """UserGet: root, or the user itself."""
    if request.name != judge.name:
        judge.need_root()


def get_role(judge: Judge, request: pb.AuthRoleGetRequest) -> None:
    """RoleGet: root, or a user who has the role."""
    if request.role not in judge.roles:
        judge.need_root()
