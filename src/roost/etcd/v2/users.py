"""Users and roles of v2: a base of its own beside v3's (record 0029; etcd: v2auth of 2.1 to 3.5).

    $v2   b"users"           -> u8 1 = requests are judged; u64 counts the changes
          b"user/" and name  -> msgpack of `User`
          b"role/" and name  -> msgpack of `Role`

They stand beside the tree, not in it: no request to keys can show or change them, and a change of
them takes no index (etcd keeps them as keys below a hidden directory).

A pattern permits the path that it is, or with `*` at its end all that begin with it; what asks for
a whole directory needs one with `*`.  Who says nothing of itself has the role `guest`.

Full?  A row takes ROW_BYTES_MAX, and a user has ROLES_MAX roles, so a request is judged in little
time; there are as many users as there is room in the store.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct

import msgspec

from roost.database.model import Txn, View
from roost.etcd.v2.nodes import Trees

NOW_KEY = b"users"
USER_PREFIX, ROLE_PREFIX = b"user/", b"role/"
ROOT, GUEST = "root", "guest"
ROW_BYTES_MAX, ROLES_MAX = 16 << 10, 32
EVERYTHING = ("/*",)
_NOW = Struct(">BQ")
Names = tuple[str, ...]


class User(msgspec.Struct, frozen=True, array_like=True):
    """Who may ask; the password is a bcrypt hash.  `roles` None is what etcd says null of."""

    name: str
    password: bytes
    roles: Names | None = None

    @property
    def all_roles(self) -> Names:
        """Root has its role, whatever was written of it."""
        held = self.roles or ()
        return (*held, ROOT) if self.name == ROOT and ROOT not in held else held


class Patterns(msgspec.Struct, frozen=True, array_like=True):
    """What may be read, and what written; None is what etcd says null of."""

    read: Names | None = None
    write: Names | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said of either."""
        return not (self.read or self.write)


class Role(msgspec.Struct, frozen=True, array_like=True):
    """What whoever has it may do."""

    name: str
    patterns: Patterns = Patterns()


ROOT_ROLE = Role(ROOT, Patterns(EVERYTHING, EVERYTHING))
GUEST_ROLE = Role(GUEST, Patterns(EVERYTHING, EVERYTHING))


def user_key(name: str) -> bytes:
    """Where a user stands."""
    return USER_PREFIX + name.encode()


def role_key(name: str) -> bytes:
    """Where a role stands; root's stands nowhere."""
    return ROLE_PREFIX + name.encode()


def decode_user(row: bytes) -> User:
    """Read a row."""
    return msgspec.msgpack.decode(row, type=User)


def decode_role(row: bytes) -> Role:
    """Read a row."""
    return msgspec.msgpack.decode(row, type=Role)


@dataclass(frozen=True, slots=True)
class _Permitted:
    """Patterns, so that one look for each length of a prefix is enough."""

    exact: frozenset[bytes]
    prefixes: frozenset[bytes]
    lengths: tuple[int, ...]

    def has(self, key: bytes, *, is_recursive: bool) -> bool:
        if not is_recursive and key in self.exact:
            return True
        return any(key[:it] in self.prefixes for it in self.lengths)


@lru_cache(maxsize=4096)
def _permitted(row: bytes, *, writes: bool) -> _Permitted:
    """What a role permits.  A function of what is written."""
    patterns = decode_role(row).patterns
    found = [it.encode() for it in (patterns.write if writes else patterns.read) or ()]
    prefixes = frozenset(it[:-1] for it in found if it.endswith(b"*"))
    exact = frozenset(it for it in found if it and not it.endswith(b"*"))
    return _Permitted(exact, prefixes, tuple(sorted({len(it) for it in prefixes})))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to do with a key, as it was asked for, or with all below it."""

    key: bytes
    writes: bool
    is_recursive: bool


class Users:
    """What is written of them; what changes it is in `user_changes`."""

    def __init__(self, trees: Trees, view: View) -> None:
        """Look at what is applied."""
        self._tree = trees.meta
        self._view = view
        self._row: bytes | None = None
        # The change that turned judging on here and may not be applied yet.
        self._enabling = 0
        # Whether requests are judged by what is applied here; and by what may be proposed here.
        self.is_on = self.may_be_on = False
        self.look()

    def look(self) -> bool:
        """See what is applied now; whether users or roles are others than before."""
        row = self._view.get(self._tree, NOW_KEY)
        if row == self._row:
            return False
        self._row = row
        is_on, revision = _NOW.unpack(row) if row else (False, 0)
        self.is_on = bool(is_on)
        self.may_be_on = self.is_on or revision < self._enabling
        return True

    def is_enabled(self, view: View) -> bool:
        """Whether requests are judged, by a state."""
        row = view.get(self._tree, NOW_KEY)
        return bool(row and row[0])

    def count_change(self, txn: Txn, *, is_on: bool | None = None) -> None:
        """Count one, which may turn judging on or off."""
        row = txn.get(self._tree, NOW_KEY)
        was_on, revision = _NOW.unpack(row) if row else (0, 0)
        now_on = bool(was_on) if is_on is None else is_on
        if is_on:
            # Before it is proposed: whoever asks behind it is judged.
            self._enabling, self.may_be_on = revision + 1, True
        txn.put(self._tree, NOW_KEY, _NOW.pack(now_on, revision + 1))

    def user(self, view: View, name: str) -> User | None:
        """A user; None when there is none of that name."""
        row = view.get(self._tree, user_key(name))
        return None if row is None else decode_user(row)

    def role(self, view: View, name: str) -> Role | None:
        """A role; None when there is none of that name."""
        if name == ROOT:
            return ROOT_ROLE
        row = view.get(self._tree, role_key(name))
        return None if row is None else decode_role(row)

    def knows(self, view: View, name: str, password: bytes) -> bool:
        """Whether somebody is still who was checked by that hash; empty is who is nobody."""
        if not name:
            return True
        user = self.user(view, name)
        return user is not None and user.password == password

    def is_root(self, view: View, name: str) -> bool:
        """Whether somebody may do everything."""
        user = self.user(view, name) if name else None
        return user is not None and ROOT in user.all_roles

    def may(self, view: View, name: str, wanted: Wanted) -> bool:
        """Whether somebody may do what is wanted; who has no name is a guest."""
        user = self.user(view, name) if name else None
        roles = (GUEST,) if not name else user.all_roles if user else ()
        if ROOT in roles and name:
            return True
        return any(
            _permitted(row, writes=wanted.writes).has(wanted.key, is_recursive=wanted.is_recursive)
            for row in self._role_rows(view, roles)
        )

    def _role_rows(self, view: View, names: Names) -> Iterator[bytes]:
        for name in names:
            row = view.get(self._tree, role_key(name))
            if row is not None:
                yield row
