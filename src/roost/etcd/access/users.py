"""Users, roles and permissions in the replicated state (etcd: server/auth).

    auth     b"enabled"             -> b"" while requests must say who they are for
             b"revision"            -> u64, counts the changes
    users    name                   -> authpb.User; the password is a bcrypt hash
    roles    name                   -> authpb.Role
    tokens   SHA-256 of the token   -> name of the user it was given to

Authorisation is decided where an operation runs, on the state that it sees, so that a right that
was taken away is gone for every operation behind it (etcd #14571).
"""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from roost.etcd import errors
from roost.etcd.model.mvcc import Mvcc
from roost.proto import auth_pb2, rpc_pb2
from roost.store import Changes, Store, Txn, View

AUTH_TREE, USERS_TREE, ROLES_TREE, TOKENS_TREE = "auth", "users", "roles", "tokens"
ENABLED_KEY, REVISION_KEY = b"enabled", b"revision"
ROOT = "root"
FIRST_REVISION = 1
Asked = TypeVar("Asked", bound=Message)


def bootstrap(txn: Txn) -> None:
    """Make the trees of an empty store."""
    for name in (USERS_TREE, ROLES_TREE, TOKENS_TREE):
        txn.tree(name)
    txn.put(txn.tree(AUTH_TREE).id, REVISION_KEY, FIRST_REVISION.to_bytes(8, "big"))


class Auth:
    """What is written of users and roles, and the operations that change it."""

    def __init__(self, store: Store, mvcc: Mvcc) -> None:
        """Look the trees up; they were made by `bootstrap`."""
        self.tree = store.tree(AUTH_TREE).id
        self.users = store.tree(USERS_TREE).id
        self.roles = store.tree(ROLES_TREE).id
        self.tokens = store.tree(TOKENS_TREE).id
        # What says who may do what.
        self.trees = frozenset((self.tree, self.users, self.roles))
        self._mvcc = mvcc
        self._view = store.view
        self.read_again()

    def read_again(self) -> None:
        """A snapshot has replaced everything.

        While `may_be_enabled` is false nobody has to look further.  It goes to true before an
        operation that enables is even proposed, and back when the opposite is applied.
        """
        self.may_be_enabled = self.is_enabled(self._view)

    def on_applied(self, changes: Changes) -> None:
        """Notice whether authentication was turned on or off."""
        for _, tree_id, key, value in changes.writes:
            if tree_id == self.tree and key == ENABLED_KEY:
                self.may_be_enabled = value is not None

    # --- reading --------------------------------------------------------------------------------

    def is_enabled(self, view: View) -> bool:
        """Whether requests must say who they are for."""
        return view.get(self.tree, ENABLED_KEY) is not None

    def revision(self, view: View) -> int:
        """How often users and roles have changed."""
        return int.from_bytes(view.get(self.tree, REVISION_KEY) or b"", "big")

    def user(self, view: View, name: str) -> auth_pb2.User | None:
        """A user; None when there is none of that name."""
        row = view.get(self.users, name.encode()) if name else None
        return None if row is None else auth_pb2.User.FromString(row)

    def role(self, view: View, name: str) -> auth_pb2.Role | None:
        """A role; None when there is none of that name."""
        row = view.get(self.roles, name.encode()) if name else None
        return None if row is None else auth_pb2.Role.FromString(row)

    def _known_user(self, view: View, name: str) -> auth_pb2.User:
        user = self.user(view, name)
        if user is None:
            raise errors.user_not_found()
        return user

    def _known_role(self, view: View, name: str) -> auth_pb2.Role:
        role = self.role(view, name)
        if role is None:
            raise errors.role_not_found()
        return role

    def get_user(self, view: View, request: rpc_pb2.AuthUserGetRequest) -> bytes:
        """The AuthUserGetResponse without its header."""
        user = self._known_user(view, request.name)
        return rpc_pb2.AuthUserGetResponse(roles=user.roles).SerializeToString()

    def get_role(self, view: View, request: rpc_pb2.AuthRoleGetRequest) -> bytes:
        """The AuthRoleGetResponse without its header."""
        role = self._known_role(view, request.role)
        return rpc_pb2.AuthRoleGetResponse(perm=role.keyPermission).SerializeToString()

    def list_users(self, view: View) -> bytes:
        """The AuthUserListResponse without its header."""
        names = [name.decode() for name, _ in view.iterate(self.users)]
        return rpc_pb2.AuthUserListResponse(users=names).SerializeToString()

    def list_roles(self, view: View) -> bytes:
        """The AuthRoleListResponse without its header."""
        names = [name.decode() for name, _ in view.iterate(self.roles)]
        return rpc_pb2.AuthRoleListResponse(roles=names).SerializeToString()

    # --- operations -----------------------------------------------------------------------------

    def operations(self) -> dict[str, Callable[[Txn, bytes], bytes]]:
        """Every change of users and roles, by name; bodies are etcd's requests."""
        pb = rpc_pb2
        return {
            "etcd.auth_enable": self._operation(pb.AuthEnableRequest, self._enable),
            "etcd.auth_disable": self._operation(pb.AuthDisableRequest, self._disable),
            "etcd.user_add": self._operation(pb.AuthUserAddRequest, self._add_user),
            "etcd.user_delete": self._operation(pb.AuthUserDeleteRequest, self._delete_user),
            "etcd.user_password": self._operation(
                pb.AuthUserChangePasswordRequest, self._change_password
            ),
            "etcd.user_grant": self._operation(pb.AuthUserGrantRoleRequest, self._grant_role),
            "etcd.user_revoke": self._operation(pb.AuthUserRevokeRoleRequest, self._revoke_role),
            "etcd.role_add": self._operation(pb.AuthRoleAddRequest, self._add_role),
            "etcd.role_delete": self._operation(pb.AuthRoleDeleteRequest, self._delete_role),
            "etcd.role_grant": self._operation(
                pb.AuthRoleGrantPermissionRequest, self._grant_permission
            ),
            "etcd.role_revoke": self._operation(
                pb.AuthRoleRevokePermissionRequest, self._revoke_permission
            ),
        }

    def _operation(
        self, kind: type[Asked], change: Callable[[Txn, Asked], bool]
    ) -> Callable[[Txn, bytes], bytes]:
        def run(txn: Txn, body: bytes) -> bytes:
            if change(txn, kind.FromString(body)):
                revision = self.revision(txn) + 1
                txn.put(self.tree, REVISION_KEY, revision.to_bytes(8, "big"))
            return self._mvcc.revision(txn).to_bytes(8, "big")

        return run

    def _enable(self, txn: Txn, _request: rpc_pb2.AuthEnableRequest) -> bool:
        if self.is_enabled(txn):
            return False
        root = self.user(txn, ROOT)
        if root is None:
            raise errors.root_user_missing()
        if ROOT not in root.roles:
            raise errors.root_role_missing()
        self.may_be_enabled = True
        txn.put(self.tree, ENABLED_KEY, b"")
        return False  # as etcd: nobody's rights have changed

    def _disable(self, txn: Txn, _request: rpc_pb2.AuthDisableRequest) -> bool:
        if not self.is_enabled(txn):
            return False
        txn.delete(self.tree, ENABLED_KEY)
        txn.delete_range(self.tokens, b"")
        return True

    def _put_user(self, txn: Txn, user: auth_pb2.User) -> None:
        txn.put(self.users, user.name, user.SerializeToString(deterministic=True))

    def _put_role(self, txn: Txn, role: auth_pb2.Role) -> None:
        txn.put(self.roles, role.name, role.SerializeToString(deterministic=True))

    def _add_user(self, txn: Txn, request: rpc_pb2.AuthUserAddRequest) -> bool:
        if not request.name:
            raise errors.user_empty()
        if self.user(txn, request.name) is not None:
            raise errors.user_exists()
        options = auth_pb2.UserAddOptions(no_password=request.options.no_password)
        password = b"" if options.no_password else request.hashedPassword.encode()
        user = auth_pb2.User(name=request.name.encode(), password=password, options=options)
        self._put_user(txn, user)
        return True

    def _delete_user(self, txn: Txn, request: rpc_pb2.AuthUserDeleteRequest) -> bool:
        if request.name == ROOT and self.is_enabled(txn):
            raise errors.invalid_auth_management()
        self._known_user(txn, request.name)
        txn.delete(self.users, request.name.encode())
        self._drop_tokens(txn, request.name)
        return True

    def _change_password(self, txn: Txn, request: rpc_pb2.AuthUserChangePasswordRequest) -> bool:
        user = self._known_user(txn, request.name)
        user.password = b"" if user.options.no_password else request.hashedPassword.encode()
        self._put_user(txn, user)
        self._drop_tokens(txn, request.name)
        return True

    def _drop_tokens(self, txn: Txn, name: str) -> None:
        doomed = [digest for digest, user in txn.iterate(self.tokens) if user == name.encode()]
        for digest in doomed:
            txn.delete(self.tokens, digest)

    def _grant_role(self, txn: Txn, request: rpc_pb2.AuthUserGrantRoleRequest) -> bool:
        user = self._known_user(txn, request.user)
        if request.role != ROOT:
            self._known_role(txn, request.role)
        if request.role in user.roles:
            return False
        user.roles[:] = sorted([*user.roles, request.role])
        self._put_user(txn, user)
        return True

    def _revoke_role(self, txn: Txn, request: rpc_pb2.AuthUserRevokeRoleRequest) -> bool:
        if request.name == ROOT and request.role == ROOT and self.is_enabled(txn):
            raise errors.invalid_auth_management()
        user = self._known_user(txn, request.name)
        if request.role not in user.roles:
            raise errors.role_not_granted()
        user.roles.remove(request.role)
        self._put_user(txn, user)
        return True

    def _add_role(self, txn: Txn, request: rpc_pb2.AuthRoleAddRequest) -> bool:
        if not request.name:
            raise errors.role_empty()
        if self.role(txn, request.name) is not None:
            raise errors.role_exists()
        self._put_role(txn, auth_pb2.Role(name=request.name.encode()))
        return True

    def _delete_role(self, txn: Txn, request: rpc_pb2.AuthRoleDeleteRequest) -> bool:
        if request.role == ROOT and self.is_enabled(txn):
            raise errors.invalid_auth_management()
        self._known_role(txn, request.role)
        txn.delete(self.roles, request.role.encode())
        users = [auth_pb2.User.FromString(row) for _, row in txn.iterate(self.users)]
        for user in users:
            if request.role in user.roles:
                user.roles.remove(request.role)
                self._put_user(txn, user)
        return True

    def _grant_permission(self, txn: Txn, request: rpc_pb2.AuthRoleGrantPermissionRequest) -> bool:
        if not request.HasField("perm"):
            raise errors.permission_not_given()
        role, asked = self._known_role(txn, request.name), request.perm
        for held in role.keyPermission:
            if (held.key, held.range_end) == (asked.key, asked.range_end):
                held.permType = asked.permType
                break
        else:
            held_all = [*role.keyPermission, asked]
            del role.keyPermission[:]
            role.keyPermission.extend(sorted(held_all, key=lambda it: it.key))
        self._put_role(txn, role)
        return True

    def _revoke_permission(
        self, txn: Txn, request: rpc_pb2.AuthRoleRevokePermissionRequest
    ) -> bool:
        role = self._known_role(txn, request.role)
        kept = [
            it
            for it in role.keyPermission
            if (it.key, it.range_end) != (request.key, request.range_end)
        ]
        if len(kept) == len(role.keyPermission):
            raise errors.permission_not_granted()
        del role.keyPermission[:]
        role.keyPermission.extend(kept)
        self._put_role(txn, role)
        return True
