"""Users, roles and permissions in the replicated state (etcd: server/auth).

    $etcd.auth     b"enabled"             -> b"" while requests must say who they are for
                   b"revision"            -> u64, counts the changes
    $etcd.users    name                   -> authpb.User; the password is a bcrypt hash
    $etcd.roles    name                   -> authpb.Role
    $etcd.tokens   SHA-256 of the token   -> name of the user it was given to

Authorisation is decided where an operation runs, on the state that it sees, so that a right that
was taken away is gone for every operation behind it (etcd #14571).
"""

from functools import lru_cache

from roost.database.model import Changes, Store, Txn, View
from roost.etcd import errors
from roost.etcd.access.permitted import Remembered
from roost.proto import auth_pb2, rpc_pb2

AUTH_TREE, USERS_TREE = "$etcd.auth", "$etcd.users"
ROLES_TREE, TOKENS_TREE = "$etcd.roles", "$etcd.tokens"
ENABLED_KEY, REVISION_KEY = b"enabled", b"revision"
ROOT = "root"
FIRST_REVISION = 1


def bootstrap(txn: Txn) -> None:
    """Make the trees of an empty store."""
    for name in (USERS_TREE, ROLES_TREE, TOKENS_TREE):
        txn.tree(name)
    txn.put(txn.tree(AUTH_TREE).id, REVISION_KEY, FIRST_REVISION.to_bytes(8, "big"))


# So many bytes of the names of roles are read as fast as a row is found: 2 to the power of that.
_ROLES_A_ROW_LOG2 = 11
# The roles of so many users are remembered whose rows are no longer than this.
_REMEMBERED_MAX, _REMEMBERED_BYTES_MAX = 4096, 1024


def _read_roles(row: bytes) -> tuple[str, ...]:
    return tuple(auth_pb2.User.FromString(row).roles)


_remembered_roles = lru_cache(_REMEMBERED_MAX)(_read_roles)


class Auth:
    """What is written of users and roles; what changes it is in `changes.py`."""

    def __init__(self, store: Store) -> None:
        """Look the trees up; they were made by `bootstrap`."""
        self.tree = store.tree(AUTH_TREE).id
        self.users = store.tree(USERS_TREE).id
        self.roles = store.tree(ROLES_TREE).id
        self.tokens = store.tree(TOKENS_TREE).id
        # What says who may do what.
        self.trees = frozenset((self.tree, self.users, self.roles))
        self.permitted = Remembered()
        # Another one whenever what is applied of these trees has changed.
        self.number = 0
        self._view = store.view
        self.read_again()

    def read_again(self) -> None:
        """A snapshot has replaced everything.

        While `may_be_enabled` is false nobody has to look further.  It goes to true before an
        operation that enables is even proposed, and back when the opposite is applied.
        """
        self.number += 1
        self.may_be_enabled = self.is_enabled(self._view)

    def on_applied(self, changes: Changes) -> None:
        """Notice whether authentication was turned on or off."""
        self.number += 1
        for _, _, key, value in changes.of_tree(self.tree):
            if key == ENABLED_KEY:
                self.may_be_enabled = value is not None

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

    def roles_of(self, view: View, name: str) -> tuple[tuple[str, ...], int] | None:
        """The names of a user's roles, and what it took to read them, in rows.

        None when there is no user of that name.
        """
        row = view.get(self.users, name.encode())
        if row is None:
            return None
        if len(row) <= _REMEMBERED_BYTES_MAX:
            return _remembered_roles(row), 1
        return _read_roles(row), 1 + (len(row) >> _ROLES_A_ROW_LOG2)

    def role(self, view: View, name: str) -> auth_pb2.Role | None:
        """A role; None when there is none of that name."""
        row = view.get(self.roles, name.encode()) if name else None
        return None if row is None else auth_pb2.Role.FromString(row)

    def known_user(self, view: View, name: str) -> auth_pb2.User:
        """A user that must be there.

        Raises:
            Refused: there is none of that name.

        """
        user = self.user(view, name)
        if user is None:
            raise errors.user_not_found()
        return user

    def known_role(self, view: View, name: str) -> auth_pb2.Role:
        """A role that must be there.

        Raises:
            Refused: there is none of that name.

        """
        role = self.role(view, name)
        if role is None:
            raise errors.role_not_found()
        return role

    def get_user(self, view: View, request: rpc_pb2.AuthUserGetRequest) -> bytes:
        """The AuthUserGetResponse without its header."""
        user = self.known_user(view, request.name)
        return rpc_pb2.AuthUserGetResponse(roles=user.roles).SerializeToString()

    def get_role(self, view: View, request: rpc_pb2.AuthRoleGetRequest) -> bytes:
        """The AuthRoleGetResponse without its header."""
        role = self.known_role(view, request.role)
        return rpc_pb2.AuthRoleGetResponse(perm=role.keyPermission).SerializeToString()
