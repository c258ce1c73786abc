"""etcd's tree of v2: that of its last snapshot, with what the log asks for behind it.

It is made in a store of its own, by the operations that serve v2's clients, with etcd's own nodes
in it: they take indexes as keys do.  Then the keys below /1 go to where v2's keys stand here, and
users and roles below /2 to theirs (record 0029).  Indexes stay what they were; the history of
events is not taken, so whoever watches from an index that is past is told that it is cleared, and
reads anew.
"""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import TypeVar

import msgspec

from roost.etcd.model.alarms import Alarms
from roost.etcd.v2 import history, nodes
from roost.etcd.v2.changes import TreeOperations
from roost.etcd.v2.paths import ROOT, is_below, is_too_long, path_of
from roost.etcd.v2.users import (
    ROLES_MAX,
    ROW_BYTES_MAX,
    Patterns,
    Role,
    User,
    Users,
    role_key,
    user_key,
)
from roost.etcd.v2.users import (
    ROOT as ROOT_NAME,
)
from roost.etcd.v2.values import Change, Failed, Kind, Node, decode_outcome, encode
from roost.moving.errors import EtcdFileDamaged, EtcdFileRefused
from roost.moving.fields import fields_of, number_of
from roost.moving.requests import V2Request, request_of
from roost.moving.v2_snapshot import Snapshot
from roost.moving.wal import NORMAL, Entry
from roost.store import InlineKeeper, Long, Store, StoreConfig, Txn, Walk

KEYS, USERS = b"/1", b"/2"
_OWN = b"/0"
# etcd makes them, and lets nobody change them.
_FIXED = frozenset({ROOT, _OWN, KEYS})
_WHOLE_BYTES = 4 << 20
_ROWS = 1000
# Of changes of members.
_REMOVE = 1
# Numbers of requests of v3 that change a node of etcd's own: its version, a member's names.
_OF_MEMBERS = frozenset({1300, 1301})
T = TypeVar("T")


class _HeldUser(msgspec.Struct, frozen=True):
    """A user as etcd keeps it."""

    user: str
    password: str = ""
    roles: list[str] | None = None


class _HeldPatterns(msgspec.Struct, frozen=True):
    read: list[str] | None = None
    write: list[str] | None = None


class _HeldPermissions(msgspec.Struct, frozen=True):
    kv: _HeldPatterns = _HeldPatterns()


class _HeldRole(msgspec.Struct, frozen=True):
    """A role as etcd keeps it."""

    role: str
    permissions: _HeldPermissions = _HeldPermissions()


@dataclass(frozen=True, slots=True)
class V2Taken:
    """What was written of v2."""

    index: int = 0
    node_count: int = 0
    user_count: int = 0
    role_count: int = 0


class V2Replay:
    """etcd's tree, as it is made; see `v2_replay`."""

    def __init__(self, store: Store) -> None:
        """Begin with an empty tree, as etcd does."""
        self._store = store
        self._txn = store.begin()
        self._trees = trees = nodes.trees_of(store)
        self._now_ns = 0
        self._operations = TreeOperations(trees, Alarms(store), lambda: self._now_ns)
        for path in (_OWN, KEYS):
            self._put(path, Node(is_dir=True, created=0, modified=0, expires_ns=0, value=b""))

    def _put(self, path: bytes, node: Node) -> None:
        nodes.put(self._trees, self._txn, path, node)

    def _end_part(self) -> None:
        store = self._store
        store.apply(store.applied_index + 1, self._txn.encode(), store.applied_term)
        store.free_all()
        self._txn = store.begin()

    def _end_part_if_large(self) -> None:
        if self._txn.size_bytes >= _WHOLE_BYTES:
            self._end_part()

    def begin(self, snapshot: Snapshot) -> None:
        """Take what etcd wrote down last."""
        for path, node in snapshot.nodes():
            self._put(path, node)
            self._end_part_if_large()
        history.begin_at(self._trees, self._txn, snapshot.v2_index)

    def take(self, entry: Entry, path: Path) -> None:
        """Do what an entry does to the tree.

        Raises:
            EtcdFileDamaged: it is none of etcd's.
            EtcdFileRefused: it cannot be done here.

        """
        if entry.kind != NORMAL:
            # etcd keeps its members as nodes; one that goes is noted in another.
            self._skip(2 if number_of(fields_of(entry.data, path), 2, path) == _REMOVE else 1)
            return
        request = request_of(entry, path)
        if isinstance(request, V2Request):
            self.carry_out(request)
        elif request is not None and request.field in _OF_MEMBERS:
            self._skip(1)

    def _skip(self, count: int) -> None:
        held = history.now(self._trees, self._txn)
        history.begin_at(self._trees, self._txn, held.index + count)

    def carry_out(self, request: V2Request) -> bool:
        """Do what an entry asks for; whether that came to anything (etcd: apply_v2.go).

        Raises:
            EtcdFileDamaged: it is none of etcd's.
            EtcdFileRefused: it cannot be done here.

        """
        if request.method == b"SYNC":
            self._expire(request.time_ns)
            return True
        if request.method in (b"GET", b"QGET"):
            return True
        path = request.path
        if not path.startswith(ROOT) or not 0 <= request.expires_ns < 1 << 63:
            raise EtcdFileDamaged(f"a request of v2 for {path!r} is none")
        # etcd's tree looks at paths like that; it asks for its own `/2/users/` with a slash behind.
        path = ROOT + normpath(path).lstrip(ROOT)
        if is_too_long(path):
            raise EtcdFileRefused(f"a request of v2: the path {path!r} is too long, or too deep")
        kind = _kind_of(request)
        if kind is not Kind.POST and path in _FIXED:
            return False
        # The time to live that etcd has drawn a date of, as a date.
        self._now_ns = request.expires_ns
        change = Change(
            kind,
            path,
            value=request.value,
            is_dir=request.is_dir,
            ttl_s=0 if request.expires_ns else None,
            is_refresh=bool(request.refresh),
            prev_value=request.previous_value,
            prev_index=request.previous_index,
            is_recursive=request.is_recursive,
        )
        outcome = decode_outcome(self._whole(self._operations.change(self._txn, encode(change))))
        self._end_part_if_large()
        return not isinstance(outcome, Failed)

    def _expire(self, now_ns: int) -> None:
        """Take away what had run out by a date."""
        self._now_ns = now_ns
        stop = nodes.expiry_key(now_ns + 1, b"")
        while any(self._txn.iterate(self._trees.expiries, b"", stop)):
            self._whole(self._operations.expire(self._txn, b""))
            self._end_part_if_large()

    def _whole(self, answer: bytes | Long) -> bytes:
        if not isinstance(answer, Long):
            return answer
        steps = answer.run(self._txn)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                come_to: bytes = end.value
                return come_to

    def give(self, target: Store, begin: Callable[[], Txn], end: Callable[[Txn], None]) -> V2Taken:
        """Write the keys, users and roles into the trees of another store, part by part."""
        self._end_part()
        index = history.now(self._trees, self._store.view).index
        trees, txn = nodes.trees_of(target), begin()
        history.begin_at(trees, txn, index)
        node_count = 0
        walk = Walk(self._store.view, self._trees.nodes, b"", None)
        while not walk.is_done:
            for key, row in walk.take(_ROWS):
                path = path_of(key)
                if is_below(path, KEYS):
                    nodes.put(trees, txn, path[len(KEYS) :], nodes.decode(row))
                    node_count += 1
            if txn.size_bytes >= _WHOLE_BYTES:
                end(txn)
                txn = begin()
        user_count, role_count = self._give_users(Users(trees, target.view), trees.meta, txn)
        end(txn)
        return V2Taken(index, node_count, user_count, role_count)

    def _give_users(self, users: Users, tree: int, txn: Txn) -> tuple[int, int]:
        """Write users and roles as they are kept here."""
        held_users = [self._parsed(it, _HeldUser) for it in self._values(USERS + b"/users")]
        held_roles = [self._parsed(it, _HeldRole) for it in self._values(USERS + b"/roles")]
        for user in held_users:
            roles = None if user.roles is None else tuple(user.roles)
            if roles and len(roles) > ROLES_MAX:
                raise EtcdFileRefused(
                    f"v2's user {user.user!r} has {len(roles)} roles; here it may have {ROLES_MAX}"
                )
            self._put_row(txn, tree, user_key(user.user),
                          User(user.user, user.password.encode(), roles))  # fmt: skip
        for role in held_roles:
            if role.role == ROOT_NAME:
                continue  # it stands nowhere: it may do everything
            kv = role.permissions.kv
            patterns = Patterns(_names(kv.read), _names(kv.write))
            self._put_row(txn, tree, role_key(role.role), Role(role.role, patterns))
        enabled = nodes.get(self._trees, self._store.view, USERS + b"/enabled")
        if held_users or held_roles or enabled is not None:
            users.count_change(txn, is_on=enabled is not None and enabled.value == b"true")
        return len(held_users), len(held_roles)

    def _put_row(self, txn: Txn, tree: int, key: bytes, row: User | Role) -> None:
        encoded = msgspec.msgpack.encode(row)
        if len(encoded) > ROW_BYTES_MAX:
            raise EtcdFileRefused(
                f"v2's {row.name!r} takes {len(encoded)} bytes; users and roles may take "
                f"{ROW_BYTES_MAX} here: take patterns from it before it is moved"
            )
        txn.put(tree, key, encoded)

    def _values(self, directory: bytes) -> Iterator[Node]:
        walk = nodes.children(self._trees, self._store.view, directory)
        while not walk.is_done:
            for _, row in walk.take(_ROWS):
                yield nodes.decode(row)

    def _parsed(self, node: Node, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(node.value, type=kind)
        except msgspec.DecodeError as error:
            raise EtcdFileDamaged(f"a user or a role of v2 cannot be read: {error}") from error


@contextmanager
def v2_replay(
    bootstrap: Callable[[Txn], None], beside: Path, snapshot: Snapshot | None
) -> Iterator[V2Replay]:
    """Begin with a snapshot, if there is one, in a store `beside` that is gone at the end."""
    with tempfile.TemporaryDirectory(prefix=f"{beside.name}.v2.", dir=beside.parent) as scratch:
        store = Store.open(
            config=StoreConfig(), keeper=InlineKeeper(Path(scratch), is_synced=False)
        )
        try:
            store.bootstrap(bootstrap, guid=uuid.UUID(int=0))
            made = V2Replay(store)
            if snapshot is not None:
                made.begin(snapshot)
            yield made
        finally:
            store.close()


def _names(patterns: list[str] | None) -> tuple[str, ...] | None:
    return None if patterns is None else tuple(patterns)


def _kind_of(request: V2Request) -> Kind:
    """Which change a request is."""
    compares = bool(request.previous_index or request.previous_value)
    match request.method:
        case b"POST":
            return Kind.POST
        case b"DELETE":
            return Kind.COMPARE_DELETE if compares else Kind.DELETE
        case b"PUT":
            pass
        case _:
            raise EtcdFileDamaged(f"a request of v2 has the method {request.method!r}")
    if request.previous_exists is False:
        return Kind.CREATE
    if compares:
        return Kind.SWAP
    return Kind.UPDATE if request.previous_exists else Kind.SET
