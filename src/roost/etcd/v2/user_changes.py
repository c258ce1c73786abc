"""Changes of v2's users and roles, as one operation where the cluster leads.

What is looked at, in which order, and what is said is etcd's (v2auth: auth.go); there the member
that is asked reads, decides and writes, so two who change one user at once lose a change.
"""

import msgspec

from roost.database.model import Txn
from roost.etcd.model.alarms import Alarms
from roost.etcd.v2.json_text import quoted
from roost.etcd.v2.nodes import Trees
from roost.etcd.v2.users import (
    GUEST,
    GUEST_ROLE,
    ROLES_MAX,
    ROOT,
    ROW_BYTES_MAX,
    Names,
    Patterns,
    Role,
    User,
    Users,
    role_key,
    user_key,
)

CHANGE_USERS = "etcd.v2_users"


class PutUser(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Make a user, or change one.  `password` is a hash, empty when none was given."""

    name: str
    password: bytes
    roles: Names | None
    grant: Names = ()
    revoke: Names = ()


class DeleteUser(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Take a user away."""

    name: str


class PutRole(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Make a role, or with `grant` or `revoke` change one."""

    name: str
    patterns: Patterns
    grant: Patterns | None = None
    revoke: Patterns | None = None


class DeleteRole(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Take a role away; whoever had it keeps its name."""

    name: str


class SetEnabled(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Judge requests from now on, or no more."""

    is_on: bool


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What is answered: a status, and JSON, or a text that says what is wrong."""

    status: int
    body: bytes = b""
    text: str = ""


UserChange = PutUser | DeleteUser | PutRole | DeleteRole | SetEnabled
NOT_ALLOWED = Told(401, text="Insufficient credentials")


def encode(asked: UserChange) -> bytes:
    """The body of the operation."""
    return msgspec.msgpack.encode(asked)


def encode_told(told: Told) -> bytes:
    """The answer of the operation."""
    return msgspec.msgpack.encode(told)


def decode_told(answer: bytes) -> Told:
    """What came of it."""
    return msgspec.msgpack.decode(answer, type=Told)


def names_json(names: Names | None) -> bytes:
    """A list, as Go writes one."""
    if names is None:
        return b"null"
    return b"[" + b",".join(quoted(it.encode()) for it in names) + b"]"


def user_json(user: User) -> bytes:
    """A user with the names of its roles."""
    named = quoted(user.name.encode())
    return b'{"user":%b,"roles":%b}' % (named, names_json(user.roles))


def role_json(role: Role) -> bytes:
    """A role."""
    read, write = names_json(role.patterns.read), names_json(role.patterns.write)
    kv = b'{"read":%b,"write":%b}' % (read, write)
    return b'{"role":%b,"permissions":{"kv":%b}}' % (quoted(role.name.encode()), kv)


class _Refused(Exception):
    """An answer that says no."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.told = Told(status, text="auth: " + text)


class UserOperations:
    """The operation, over one store."""

    def __init__(self, trees: Trees, users: Users, alarms: Alarms) -> None:
        """Change what `users` reads."""
        self._tree = trees.meta
        self._users = users
        self._alarms = alarms

    def change(self, txn: Txn, body: bytes) -> bytes:
        """Operation: body is a `UserChange`."""
        asked = msgspec.msgpack.decode(body, type=UserChange)
        if self._alarms.raised:
            self._alarms.check_sound()
        self._alarms.take_space(4 * len(body))
        try:
            return encode_told(self._changed(txn, asked))
        except _Refused as refusal:
            return encode_told(refusal.told)

    def _changed(self, txn: Txn, asked: UserChange) -> Told:
        if isinstance(asked, PutUser):
            return self._put_user(txn, asked)
        if isinstance(asked, PutRole):
            return self._put_role(txn, asked)
        if isinstance(asked, DeleteUser):
            return self._delete_user(txn, asked.name)
        if isinstance(asked, DeleteRole):
            return self._delete_role(txn, asked.name)
        return self._enable(txn) if asked.is_on else self._disable(txn)

    def _write(self, txn: Txn, key: bytes, row: User | Role) -> None:
        encoded = msgspec.msgpack.encode(row)
        if len(encoded) > ROW_BYTES_MAX:
            raise _Refused(400, f"{row.name} would take more than {ROW_BYTES_MAX} bytes")
        txn.put(self._tree, key, encoded)
        self._users.count_change(txn)

    def _put_user(self, txn: Txn, asked: PutUser) -> Told:
        old = self._users.user(txn, asked.name)
        is_change = bool(asked.grant or asked.revoke)
        if is_change or (old is not None and not asked.roles):
            if old is None:
                raise _Refused(404, f"User {asked.name} does not exist.")
            user, status = _merged_user(old, asked), 200
        else:
            user = self._new_user(old, asked)
            # etcd says 201 only when no roles were given.
            status = 200 if asked.roles else 201
        if len(user.roles or ()) > ROLES_MAX:
            raise _Refused(400, f"User {asked.name} would have more than {ROLES_MAX} roles")
        self._write(txn, user_key(user.name), user)
        return Told(status, user_json(user))

    def _new_user(self, old: User | None, asked: PutUser) -> User:
        if not asked.password:
            raise _Refused(400, f"Cannot create user {asked.name} with an empty password")
        if old is not None:
            raise _Refused(409, f"User {asked.name} already exists.")
        user = User(asked.name, asked.password, asked.roles)
        # Root's role is written with it.
        return user if asked.name != ROOT else User(ROOT, asked.password, user.all_roles)

    def _delete_user(self, txn: Txn, name: str) -> Told:
        if name == ROOT and self._users.is_enabled(txn):
            raise _Refused(403, "Cannot delete root user while auth is enabled.")
        if self._users.user(txn, name) is None:
            raise _Refused(404, f"User {name} does not exist")
        txn.delete(self._tree, user_key(name))
        self._users.count_change(txn)
        return Told(200)

    def _put_role(self, txn: Txn, asked: PutRole) -> Told:
        _check_not_root(asked.name)
        old = self._users.role(txn, asked.name)
        if not _says_something(asked.grant) and not _says_something(asked.revoke):
            if old is not None:
                raise _Refused(409, f"Role {asked.name} already exists.")
            role, status = Role(asked.name, asked.patterns), 201
        else:
            if old is None:
                raise _Refused(404, f"Role {asked.name} does not exist.")
            role, status = _merged_role(old, asked), 200
        self._write(txn, role_key(role.name), role)
        return Told(status, role_json(role))

    def _delete_role(self, txn: Txn, name: str) -> Told:
        _check_not_root(name)
        if self._users.role(txn, name) is None:
            raise _Refused(404, f"Role {name} doesn't exist.")
        txn.delete(self._tree, role_key(name))
        self._users.count_change(txn)
        return Told(200)

    def _enable(self, txn: Txn) -> Told:
        if self._users.is_enabled(txn):
            raise _Refused(409, "already enabled")
        if self._users.user(txn, ROOT) is None:
            raise _Refused(409, "No root user available, please create one")
        if self._users.role(txn, GUEST) is None:
            self._write(txn, role_key(GUEST), GUEST_ROLE)
        self._users.count_change(txn, is_on=True)
        return Told(200)

    def _disable(self, txn: Txn) -> Told:
        if not self._users.is_enabled(txn):
            raise _Refused(409, "already disabled")
        self._users.count_change(txn, is_on=False)
        return Told(200)


def _check_not_root(name: str) -> None:
    if name == ROOT:
        raise _Refused(403, f"Cannot modify role {name}: is root role.")


def _says_something(patterns: Patterns | None) -> bool:
    return patterns is not None and not patterns.is_empty


def _merged_user(old: User, asked: PutUser) -> User:
    """A user after a change.

    Raises:
        _Refused: it cannot be made, or changes nothing.

    """
    held = User(old.name, old.password, old.all_roles if old.name == ROOT else old.roles)
    roles = set(held.roles or ())
    for role in asked.grant:
        if role in roles:
            raise _Refused(409, f"Granting duplicate role {role} for user {old.name}")
        roles.add(role)
    for role in asked.revoke:
        if role not in roles:
            raise _Refused(409, f"Revoking ungranted role {role} for user {old.name}")
        roles.remove(role)
    user = User(old.name, asked.password or held.password, _sorted(roles))
    if user == held:
        raise _Refused(400, "User not updated. Use grant/revoke/password to update the user.")
    return user


def _merged_role(old: Role, asked: PutRole) -> Role:
    """A role after a change.

    Raises:
        _Refused: it cannot be made, or changes nothing.

    """
    patterns = old.patterns
    if asked.grant is not None:
        patterns = Patterns(
            _granted(patterns.read, asked.grant.read, "read"),
            _granted(patterns.write, asked.grant.write, "write"),
        )
    if asked.revoke is not None:
        patterns = Patterns(
            _revoked(patterns.read, asked.revoke.read),
            _revoked(patterns.write, asked.revoke.write),
        )
    if patterns == old.patterns:
        raise _Refused(400, "Role not updated. Use grant/revoke to update the role.")
    return Role(old.name, patterns)


def _granted(held: Names | None, more: Names | None, kind: str) -> Names:
    found = set(held or ())
    for it in more or ():
        if it in found:
            raise _Refused(409, f"Granting duplicate {kind} permission {it}")
        found.add(it)
    return _sorted(found)


def _revoked(held: Names | None, less: Names | None) -> Names:
    return _sorted(set(held or ()) - set(less or ()))


def _sorted(names: set[str]) -> Names:
    """In the order of their bytes, as Go has it."""
    return tuple(sorted(names, key=str.encode))
