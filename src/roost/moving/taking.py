"""etcd's keys, leases and users, written into the trees of a new store.

Revisions, versions and leases of keys stay what they were, so that a watch, a cache or a compare
that was made of etcd's answers goes on with Roost's.  Revisions that are compacted and still there
are written too: the first leader removes them, as after any compaction.

Alarms and members are those of the cluster that was, and stay there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from roost.etcd.access.users import (
    AUTH_TREE,
    ENABLED_KEY,
    FIRST_REVISION,
    REVISION_KEY,
    ROLES_TREE,
    USERS_TREE,
)
from roost.etcd.model import leases
from roost.etcd.model.mvcc import (
    COMPACTED_KEY,
    COMPACTING_KEY,
    HISTORY_TREE,
    KV_TREE,
    LEASE_KEYS_TREE,
    LEASES_TREE,
    META_TREE,
    REVISIONS_TREE,
    TOMBSTONE,
    decode_now,
    encode_now,
    escape,
    revision_bytes,
)
from roost.etcd.model.mvcc import (
    REVISION_KEY as NOW_KEY,
)
from roost.etcd.model.wire import encode_key_value, encode_tombstone, read_origin
from roost.moving.backend import Backend, Revision, Users
from roost.moving.replay import Replay
from roost.moving.requests import V3Request, request_of
from roost.moving.source import EtcdLog, EtcdStore
from roost.moving.v2_replay import V2Taken, v2_replay
from roost.store import Store, Txn, Walk

# What one write set of the new store holds at most: it is built in memory.
_ROWS_MAX, _BYTES_MAX = 4096, 4 << 20


@dataclass(frozen=True, slots=True)
class Taken:
    """What was written."""

    revision: int
    compacted: int
    key_count: int
    history_count: int
    lease_count: int
    user_count: int
    role_count: int
    is_auth_enabled: bool
    # What the log had to add to the store, of both interfaces; and bytes of an end that was torn.
    replayed_count: int = 0
    torn_bytes: int = 0
    v2: V2Taken = field(default_factory=V2Taken)


class Taking:
    """Fills the trees of a store that has just been bootstrapped."""

    def __init__(self, store: Store, bootstrap: Callable[[Txn], None], beside: Path) -> None:
        """Write behind what the store has.

        `bootstrap` makes the trees of another new store, which v2's tree is made in, `beside` this.
        """
        self._store = store
        self._bootstrap = bootstrap
        self._beside = beside
        self._kv = store.tree(KV_TREE).id
        self._revisions = store.tree(REVISIONS_TREE).id
        self._history = store.tree(HISTORY_TREE).id
        self._txn = self._begin()

    def _begin(self) -> Txn:
        txn = self._store.begin()
        txn.gather()
        return txn

    def _end_part(self) -> None:
        """Apply what was written, as the next entry."""
        self._end(self._txn)
        self._txn = self._begin()

    def _end(self, txn: Txn) -> None:
        store = self._store
        store.apply(store.applied_index + 1, txn.encode(), store.applied_term)
        store.free_all()

    def take(self, source: EtcdStore) -> Taken:
        """Write all that is in a store of etcd's, and what its log has to add.

        Raises:
            EtcdFileDamaged: it is not as etcd leaves it.
            EtcdFileRefused: the log asks for what cannot be done here.

        """
        taken = self._take_store(source.backend)
        return taken if source.log is None else self._take_log(source, source.log, taken)

    def _take_store(self, backend: Backend) -> Taken:
        held = backend.leases()
        tree = self._store.tree(LEASES_TREE).id
        for name, lease in held.items():
            self._txn.put(tree, name, leases.encode(lease))
        revision, history_count = self._take_history(backend.revisions())
        revision = max(revision, backend.compacted)
        key_count = self._take_lease_keys(set(held))
        self._write_now(revision, backend.compacted, key_count)
        users = backend.users()
        self._take_users(users)
        self._end_part()
        return Taken(
            revision=revision,
            compacted=backend.compacted,
            key_count=key_count,
            history_count=history_count,
            lease_count=len(held),
            user_count=len(users.users),
            role_count=len(users.roles),
            is_auth_enabled=users.is_enabled,
        )

    def _take_log(self, source: EtcdStore, log: EtcdLog, taken: Taken) -> Taken:
        """Carry out what stands in the log behind the store, and behind the state of v2."""
        backend, files = source.backend, log.files()
        replay = Replay(self._store, backend.alarms(), source.digest)
        since = 0 if log.snapshot is None else log.snapshot.index
        with v2_replay(self._bootstrap, self._beside, log.snapshot) as v2:
            for entry in files.entries(min(since, backend.consistent_index)):
                if entry.index > since:
                    v2.take(entry, log.directory)
                request = request_of(entry, log.directory)
                if entry.index <= backend.consistent_index or request is None:
                    continue
                if isinstance(request, V3Request):
                    replay.carry_out(self._txn, request)
                    if self._txn.size_bytes >= _BYTES_MAX:
                        self._end_part()
            self._end_part()
            v2_taken = v2.give(self._store, self._begin, self._end)
        return self._with_log(taken, replay.done_count, files.torn_bytes, v2_taken)

    def _with_log(self, taken: Taken, done_count: int, torn_bytes: int, v2: V2Taken) -> Taken:
        """What there is, when the log has had its say."""
        taken = replace(taken, replayed_count=done_count, torn_bytes=torn_bytes, v2=v2)
        if not done_count:
            return taken
        view, tree = self._store.view, self._store.tree
        now = view.get(tree(META_TREE).id, NOW_KEY)
        assert now is not None, "it was written when the store was taken"
        revision, key_count = decode_now(now)
        compacted = view.get(tree(META_TREE).id, COMPACTED_KEY) or b""
        return replace(
            taken,
            revision=revision,
            compacted=int.from_bytes(compacted, "big"),
            key_count=key_count,
            history_count=self._count(REVISIONS_TREE),
            lease_count=self._count(LEASES_TREE),
            user_count=self._count(USERS_TREE),
            role_count=self._count(ROLES_TREE),
            is_auth_enabled=view.get(tree(AUTH_TREE).id, ENABLED_KEY) is not None,
        )

    def _count(self, name: str) -> int:
        """How many rows a tree has."""
        walk = Walk(self._store.view, self._store.tree(name).id, b"", None, keys_only=True)
        count = 0
        while not walk.is_done:
            count += len(walk.take(_ROWS_MAX))
        return count

    def _take_history(self, revisions: Iterator[Revision]) -> tuple[int, int]:
        """Write each revision; return the last, 1 where there is none, and how many there were."""
        main, count, row_count = 1, 0, 0
        for held in revisions:
            self._take_revision(held)
            main, count, row_count = held.main, count + 1, row_count + 1
            if row_count >= _ROWS_MAX or self._txn.size_bytes >= _BYTES_MAX:
                self._end_part()
                row_count = 0
        self._end_part()
        return main, count

    def _take_revision(self, held: Revision) -> None:
        txn = self._txn
        where = revision_bytes(held.main, held.sub)
        if held.put is None:
            txn.delete(self._kv, held.key)
            txn.put(self._revisions, where, encode_tombstone(held.key, held.main))
            txn.put(self._history, escape(held.key) + where, TOMBSTONE)
            return
        it = held.put
        encoded = encode_key_value(
            it.key, it.create_revision, it.mod_revision, it.version, it.value, it.lease
        )
        txn.put(self._kv, it.key, encoded)
        txn.put_same(self._revisions, where, encoded)
        txn.put(self._history, escape(it.key) + where, b"")

    def _take_lease_keys(self, held: set[bytes]) -> int:
        """Write which keys go with which lease; return how many keys live.

        A key whose lease is gone stays as it is, as in etcd: it says so, and goes with nobody.
        """
        count = 0
        tree = self._store.tree(LEASE_KEYS_TREE).id
        walk = Walk(self._store.view, self._kv, b"", None)
        while not walk.is_done:
            rows = walk.take(_ROWS_MAX)
            count += len(rows)
            for key, encoded in rows:
                name = leases.name_of(read_origin(encoded).lease)
                if name in held:
                    self._txn.put(tree, name + key, b"")
            self._end_part()
        return count

    def _write_now(self, revision: int, compacted: int, key_count: int) -> None:
        meta, txn = self._store.tree(META_TREE).id, self._txn
        txn.put_latest(meta, NOW_KEY, encode_now(revision, key_count))
        if compacted:
            txn.put(meta, COMPACTED_KEY, compacted.to_bytes(8, "big"))
            txn.put(meta, COMPACTING_KEY, b"")

    def _take_users(self, held: Users) -> None:
        """Write users and roles, and whether they count."""
        txn, store = self._txn, self._store
        auth = store.tree(AUTH_TREE).id
        for name, user in held.users.items():
            txn.put(store.tree(USERS_TREE).id, name, user.SerializeToString())
        for name, role in held.roles.items():
            txn.put(store.tree(ROLES_TREE).id, name, role.SerializeToString())
        revision = max(held.revision, FIRST_REVISION)
        txn.put(auth, REVISION_KEY, revision.to_bytes(8, "big"))
        if held.is_enabled:
            txn.put(auth, ENABLED_KEY, b"")
