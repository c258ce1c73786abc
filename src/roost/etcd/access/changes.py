"""Changes of users and roles: the operations, each a plain function of a transaction.

Whoever may run them is decided by whoever registers them (`v3/auth.py`).  A change counts up the
revision of users and roles, by which a JWT grows old.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from roost.database.model import Long, Operation, Txn, Walk
from roost.etcd import errors
from roost.etcd.access.users import ENABLED_KEY, REVISION_KEY, ROOT, Auth
from roost.etcd.limits import PERMISSIONS_OF_ROLE_MAX, ROLES_OF_USER_MAX, ROW_BYTES_MAX
from roost.etcd.model.costs import BYTES_A_ROW_LOG2, Costs, now_or_long
from roost.etcd.model.mvcc import Mvcc
from roost.proto import auth_pb2, rpc_pb2

Asked = TypeVar("Asked", bound=Message)
# What is looked at in one step, of which a turn takes one or two.  Names in a row cost as well.
STEP_ROWS, STEP_BYTES, ROW_UNIT_BYTES = 100, 32 << 10, 256


class AuthOperations:
    """What changes users and roles, and turns authentication on and off."""

    def __init__(self, auth: Auth, mvcc: Mvcc) -> None:
        """Change what `auth` reads."""
        self._auth = auth
        self._mvcc = mvcc

    def by_name(self) -> dict[str, Operation]:
        """Every change of users and roles, by name; bodies are etcd's requests."""
        pb = rpc_pb2
        return {
            "etcd.auth_enable": self._operation(pb.AuthEnableRequest, self._enable),
            "etcd.auth_disable": self._operation(pb.AuthDisableRequest, self._disable),
            "etcd.user_add": self._operation(pb.AuthUserAddRequest, self._add_user),
            "etcd.user_delete": self._long_operation(pb.AuthUserDeleteRequest, self._delete_user),
            "etcd.user_password": self._long_operation(
                pb.AuthUserChangePasswordRequest, self._change_password
            ),
            "etcd.user_grant": self._operation(pb.AuthUserGrantRoleRequest, self._grant_role),
            "etcd.user_revoke": self._operation(pb.AuthUserRevokeRoleRequest, self._revoke_role),
            "etcd.role_add": self._operation(pb.AuthRoleAddRequest, self._add_role),
            "etcd.role_delete": self._long_operation(pb.AuthRoleDeleteRequest, self._delete_role),
            "etcd.role_grant": self._operation(
                pb.AuthRoleGrantPermissionRequest, self._grant_permission
            ),
            "etcd.role_revoke": self._operation(
                pb.AuthRoleRevokePermissionRequest, self._revoke_permission
            ),
        }

    def _long_operation(
        self, kind: type[Asked], change: Callable[[Txn, Asked], Costs[bool]]
    ) -> Callable[[Txn, bytes], bytes | Long]:
        """As `_operation`, for what looks at all users or tokens: they may take many turns."""

        def run(txn: Txn, body: bytes) -> bytes | Long:
            request = kind.FromString(body)

            def steps(its: Txn) -> Costs[bytes]:
                return self._counted(its, (yield from change(its, request)))

            return now_or_long(txn, steps)

        return run

    def _operation(
        self, kind: type[Asked], change: Callable[[Txn, Asked], bool]
    ) -> Callable[[Txn, bytes], bytes]:
        def run(txn: Txn, body: bytes) -> bytes:
            return self._counted(txn, change(txn, kind.FromString(body)))

        return run

    def _counted(self, txn: Txn, change_count: int) -> bytes:
        """Count a change of users and roles, if there was one; the answer is keys' revision."""
        if change_count:
            revision = self._auth.revision(txn) + 1
            txn.put(self._auth.tree, REVISION_KEY, revision.to_bytes(8, "big"))
        return self._mvcc.revision(txn).to_bytes(8, "big")

    def _enable(self, txn: Txn, _request: rpc_pb2.AuthEnableRequest) -> bool:
        if self._auth.is_enabled(txn):
            return False
        root = self._auth.user(txn, ROOT)
        if root is None:
            raise errors.root_user_missing()
        if ROOT not in root.roles:
            raise errors.root_role_missing()
        self._auth.may_be_enabled = True
        txn.put(self._auth.tree, ENABLED_KEY, b"")
        return False  # as etcd: nobody's rights have changed

    def _disable(self, txn: Txn, _request: rpc_pb2.AuthDisableRequest) -> bool:
        if not self._auth.is_enabled(txn):
            return False
        txn.delete(self._auth.tree, ENABLED_KEY)
        txn.delete_range(self._auth.tokens, b"")
        return True

    def _put_user(self, txn: Txn, user: auth_pb2.User) -> None:
        row = user.SerializeToString(deterministic=True)
        txn.put(self._auth.users, user.name, _bounded(txn, row, "a user and its roles"))

    def _put_role(self, txn: Txn, role: auth_pb2.Role) -> None:
        row = role.SerializeToString(deterministic=True)
        txn.put(self._auth.roles, role.name, _bounded(txn, row, "a role's permissions"))

    def _add_user(self, txn: Txn, request: rpc_pb2.AuthUserAddRequest) -> bool:
        if not request.name:
            raise errors.user_empty()
        if self._auth.user(txn, request.name) is not None:
            raise errors.user_exists()
        options = auth_pb2.UserAddOptions(no_password=request.options.no_password)
        password = b"" if options.no_password else request.hashedPassword.encode()
        user = auth_pb2.User(name=request.name.encode(), password=password, options=options)
        self._put_user(txn, user)
        return True

    def _delete_user(self, txn: Txn, request: rpc_pb2.AuthUserDeleteRequest) -> Costs[bool]:
        if request.name == ROOT and self._auth.is_enabled(txn):
            raise errors.invalid_auth_management()
        self._auth.known_user(txn, request.name)
        txn.delete(self._auth.users, request.name.encode())
        yield from self._drop_tokens(txn, request.name)
        return True

    def _change_password(
        self, txn: Txn, request: rpc_pb2.AuthUserChangePasswordRequest
    ) -> Costs[bool]:
        user = self._auth.known_user(txn, request.name)
        user.password = b"" if user.options.no_password else request.hashedPassword.encode()
        self._put_user(txn, user)
        yield from self._drop_tokens(txn, request.name)
        return True

    def _drop_tokens(self, txn: Txn, name: str) -> Costs[None]:
        """Take away all tokens of a user."""
        walk, owner = Walk(txn, self._auth.tokens, b"", None), name.encode()
        while not walk.is_done:
            tokens = walk.take(STEP_ROWS)
            for digest, user in tokens:
                if user == owner:
                    txn.delete(self._auth.tokens, digest)
            yield walk.cost

    def _grant_role(self, txn: Txn, request: rpc_pb2.AuthUserGrantRoleRequest) -> bool:
        user = self._auth.known_user(txn, request.user)
        if request.role != ROOT:
            self._auth.known_role(txn, request.role)
        txn.cost += len(user.roles)
        if request.role in user.roles:
            return False
        if len(user.roles) >= ROLES_OF_USER_MAX:
            raise errors.too_many("roles of a user", ROLES_OF_USER_MAX)
        user.roles[:] = sorted([*user.roles, request.role])
        self._put_user(txn, user)
        return True

    def _revoke_role(self, txn: Txn, request: rpc_pb2.AuthUserRevokeRoleRequest) -> bool:
        if request.name == ROOT and request.role == ROOT and self._auth.is_enabled(txn):
            raise errors.invalid_auth_management()
        user = self._auth.known_user(txn, request.name)
        txn.cost += len(user.roles)
        if request.role not in user.roles:
            raise errors.role_not_granted()
        user.roles.remove(request.role)
        self._put_user(txn, user)
        return True

    def _add_role(self, txn: Txn, request: rpc_pb2.AuthRoleAddRequest) -> bool:
        if not request.name:
            raise errors.role_empty()
        if self._auth.role(txn, request.name) is not None:
            raise errors.role_exists()
        self._put_role(txn, auth_pb2.Role(name=request.name.encode()))
        return True

    def _delete_role(self, txn: Txn, request: rpc_pb2.AuthRoleDeleteRequest) -> Costs[bool]:
        """Take a role away, and from all that have it: a row of theirs names up to a thousand."""
        if request.role == ROOT and self._auth.is_enabled(txn):
            raise errors.invalid_auth_management()
        self._auth.known_role(txn, request.role)
        txn.delete(self._auth.roles, request.role.encode())
        walk = Walk(txn, self._auth.users, b"", None)
        while not walk.is_done:
            rows = walk.take(STEP_ROWS, STEP_BYTES)
            cost = walk.cost
            for _, row in rows:
                user = auth_pb2.User.FromString(row)
                cost += len(row) // ROW_UNIT_BYTES
                if request.role in user.roles:
                    user.roles.remove(request.role)
                    self._put_user(txn, user)
            yield cost
        return True

    def _grant_permission(self, txn: Txn, request: rpc_pb2.AuthRoleGrantPermissionRequest) -> bool:
        if not request.HasField("perm"):
            raise errors.permission_not_given()
        role, asked = self._auth.known_role(txn, request.name), request.perm
        txn.cost += len(role.keyPermission)
        place, is_held = _place_of(role, asked.key, asked.range_end)
        if is_held:
            role.keyPermission[place].permType = asked.permType
        else:
            if len(role.keyPermission) >= PERMISSIONS_OF_ROLE_MAX:
                raise errors.too_many("permissions of a role", PERMISSIONS_OF_ROLE_MAX)
            role.keyPermission.insert(place, asked)
        self._put_role(txn, role)
        return True

    def _revoke_permission(
        self, txn: Txn, request: rpc_pb2.AuthRoleRevokePermissionRequest
    ) -> bool:
        role = self._auth.known_role(txn, request.role)
        txn.cost += len(role.keyPermission)
        place, is_held = _place_of(role, request.key, request.range_end)
        if not is_held:
            raise errors.permission_not_granted()
        del role.keyPermission[place]
        self._put_role(txn, role)
        return True


def _bounded(txn: Txn, row: bytes, what: str) -> bytes:
    """A row that was made anew, which counts, if it is one that can be read in a step."""
    if len(row) > ROW_BYTES_MAX:
        raise errors.too_many(f"bytes of {what}", ROW_BYTES_MAX)
    txn.cost += len(row) >> BYTES_A_ROW_LOG2
    return row


def _place_of(role: auth_pb2.Role, key: bytes, range_end: bytes) -> tuple[int, bool]:
    """Where a role has a permission, or would have it, and whether it has.

    They are in the order of their keys, as we and etcd write them: of thousands few are looked at.
    """
    held = role.keyPermission
    place = bisect_left(held, key, key=lambda it: it.key)
    while place < len(held) and held[place].key == key:
        if held[place].range_end == range_end:
            return place, True
        place += 1
    return place, False
