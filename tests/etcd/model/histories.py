"""Keys with a history, and the same history as plain dicts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from roost.etcd.model.costs import at_once
from roost.etcd.model.mvcc import Mvcc, Writer
from roost.etcd.model.rows import OldRows
from roost.etcd.model.wire import decode_key_value
from roost.store import Txn

# Keys of which some are beginnings of others, and some hold what escaping is about.
KEYS = [b"\0", b"\0\0", b"\0\1", b"\0\xff", b"a", b"a\0", b"a\0\1", b"a\1", b"ab", b"\xff"]
# One write: a key, and whether it is put rather than deleted.
Write = tuple[bytes, bool]
WRITES = st.tuples(st.sampled_from(KEYS), st.booleans())
TRANSACTIONS = st.lists(st.lists(WRITES, min_size=1, max_size=4), max_size=12)
# As clients may write: etcd refuses to write a key twice at one revision.
PLAIN_TRANSACTIONS = st.lists(
    st.lists(WRITES, min_size=1, max_size=4, unique_by=lambda it: it[0]), max_size=12
)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key, as etcd tells it."""

    create_revision: int
    mod_revision: int
    version: int
    value: bytes


State = dict[bytes, Version]


@dataclass
class History:
    """What a transaction of the store was told, and each state that it went through."""

    mvcc: Mvcc
    txn: Txn
    states: list[State] = field(default_factory=lambda: [{}, {}])  # by revision; the first is 1
    deletes: list[int] = field(default_factory=list)  # the revision of each

    @property
    def revision(self) -> int:
        return len(self.states) - 1

    def write(self, transactions: Sequence[Sequence[Write]]) -> None:
        for writes in transactions:
            self._write_one(writes)

    def _write_one(self, writes: Sequence[Write]) -> None:
        """One operation; deletes of what is not there write nothing, as in etcd."""
        writer = Writer(self.mvcc, self.txn)
        state, revision = dict(self.states[-1]), self.revision + 1
        for place, (key, is_put) in enumerate(writes):
            old = self.txn.get(self.mvcc.kv, key)
            if is_put:
                value = b"%d.%d" % (revision, place)
                writer.put(key, value, 0, old)
                held = state.get(key)
                state[key] = Version(
                    held.create_revision if held else revision,
                    revision,
                    held.version + 1 if held else 1,
                    value,
                )
            elif old is not None:
                writer.delete(key, old)
                del state[key]
                self.deletes.append(revision)
        if writer.revision == revision:
            self.states.append(state)

    def told_at(self, revision: int) -> State:
        """What single reads at a revision find."""
        found = {key: at_once(self.mvcc.at(self.txn, key, revision)) for key in KEYS}
        return {key: version_of(it) for key, it in found.items() if it is not None}

    def range_at(self, first: bytes, stop: bytes | None, revision: int) -> list[bytes]:
        """What a read of a range at a revision finds: the keys, in the order in which they came."""
        found: list[list[bytes]] = []
        for reverse in (False, True):
            rows = OldRows(self.mvcc, self.txn, first, stop, revision, reverse=reverse)
            found.append([])
            while not rows.is_done:
                found[-1] += [decode_key_value(it).key for _, it in rows.take(2)]
        assert found[0] == found[1][::-1], "there and back"
        return found[0]


def version_of(encoded: bytes) -> Version:
    """A version as it is written."""
    kv = decode_key_value(encoded)
    return Version(kv.create_revision, kv.mod_revision, kv.version, kv.value)
