"""Who is before whom in a line: held against a walk over all keys, whatever becomes of them."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from roost.errors import Refused
from roost.etcd.model import lines as lines_module
from roost.etcd.model.costs import at_once
from roost.etcd.model.lines import Lines, Now
from roost.etcd.model.mvcc import Mvcc, Writer
from roost.etcd.model.wire import read_origin
from roost.proto.ranges import prefix_end
from roost.store import Txn, View
from tests.etcd.replica import LocalReplica
from tests.steps import slices_of, steps_of


def last_before(view: View, kv: int, prefix: bytes, create_revision: int) -> bytes:
    """As etcd finds it (client/v3/concurrency/key.go, waitDeletes)."""
    found, highest = b"", 0
    for key, encoded in view.iterate(kv, prefix, prefix_end(prefix)):
        created = read_origin(encoded).create_revision
        if highest < created < create_revision:
            found, highest = key, created
    return found


class Line:
    """Keys come and go under a few prefixes, by transactions of which some are refused."""

    def __init__(self, seed: int) -> None:
        self.replica = LocalReplica()
        self.mvcc = Mvcc(self.replica.store)
        self.random = random.Random(seed)
        self.term = 2
        self.checked_count = 0
        self.proposed: list[bytes] = []

    @property
    def now(self) -> Now:
        view = self.replica.store.view
        return Now(self.term, view, self.mvcc.revision(view))

    def join(self, numbers: Iterable[int]) -> None:
        """Keys of one transaction, applied."""
        store = self.replica.store
        txn = store.begin()
        writer = Writer(self.mvcc, txn)
        for number in numbers:
            writer.put(b"a/%04d" % number, b"", 0, None)
        store.apply(store.applied_index + 1, txn.encode())

    def leave(self, numbers: Iterable[int]) -> None:
        """The same, deleted."""
        store = self.replica.store
        txn = store.begin()
        writer = Writer(self.mvcc, txn)
        for number in numbers:
            key = b"a/%04d" % number
            held = txn.get(self.mvcc.kv, key)
            assert held is not None, "it is there"
            writer.delete(key, held)
        store.apply(store.applied_index + 1, txn.encode())

    def key(self) -> bytes:
        return self.random.choice([b"a/", b"a/b/", b"c/"]) + b"%d" % self.random.randrange(12)

    def change(self, txn: Txn) -> None:
        writer = Writer(self.mvcc, txn)
        for _ in range(self.random.randint(1, 3)):
            key = self.key()
            held = txn.get(self.mvcc.kv, key)
            if held is None or self.random.random() < 0.2:
                writer.put(key, b"", 0, held)
            else:
                writer.delete(key, held)

    def check(self, view: View) -> None:
        kv, random_ = self.mvcc.kv, self.random
        for prefix in random_.sample([b"a/", b"a/b/", b"c/"], 2):
            revision = random_.randint(1, self.mvcc.revision(view) + 1)
            found = at_once(self.mvcc.lines.before(view, kv, prefix, revision, now=self.now))
            wanted = last_before(view, kv, prefix, revision)
            if found != wanted:  # of keys that one transaction created any will do
                assert found, f"{wanted!r} is before {revision}"
                made = [
                    read_origin(view.get(kv, it) or b"").create_revision for it in (found, wanted)
                ]
                assert made[0] == made[1], (found, wanted)
            self.checked_count += bool(wanted)

    def run(self) -> None:
        store = self.replica.store
        for _ in range(600):
            txn = store.begin()
            self.change(txn)
            self.check(txn)
            if self.random.random() < 0.4:  # proposed, and lost or committed with what followed
                payload = txn.encode()
                store.speculate(store.applied_index + 1 + len(self.proposed), txn, payload)
                self.proposed.append(payload)
            elif self.random.random() < 0.3:
                store.drop_speculative()
                self.proposed.clear()
            elif self.random.random() < 0.7:
                for payload in self.proposed:
                    store.apply(store.applied_index + 1, payload)
                self.proposed.clear()
            if self.random.random() < 0.02:
                self.term += 1


@contextmanager
def made(seed: int) -> Iterator[Line]:
    line = Line(seed)
    try:
        yield line
    finally:
        line.replica.close()


@pytest.fixture
def line() -> Iterator[Line]:
    with made(1) as it:
        yield it


def asked(line: Line, create_revision: int) -> bytes:
    view, kv = line.replica.store.view, line.mvcc.kv
    return at_once(line.mvcc.lines.before(view, kv, b"a/", create_revision, now=line.now))


@pytest.mark.parametrize("count_max", [2, 50_000])
@pytest.mark.parametrize("seed", range(6))
def test_who_is_before_is_who_a_walk_finds(
    seed: int, count_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "LINE_COUNT_MAX", count_max)
    with made(seed) as line:
        line.run()
        assert line.checked_count > 100


def test_a_line_of_any_keys_is_walked_over_in_steps_that_are_bounded(line: Line) -> None:
    """Whoever locks the prefix of a million keys once walked over them in one step."""
    mvcc, store = line.mvcc, line.replica.store
    for first in range(0, 20_000, 1000):
        txn = store.begin()
        writer = Writer(mvcc, txn)
        for number in range(first, first + 1000):
            writer.put(b"a/%d" % (number * 7919 % 20_000), b"", 0, None)
        store.apply(store.applied_index + 1, txn.encode())
    view = store.view
    walk = mvcc.lines.before(view, mvcc.kv, b"a/", 1 << 60, now=line.now)
    steps, found = slices_of(walk)
    assert max(steps) < 10_000
    assert len(steps) > 100
    made_at = [
        read_origin(view.get(mvcc.kv, it) or b"").create_revision
        for it in (found, last_before(view, mvcc.kv, b"a/", 1 << 60))
    ]
    assert made_at[0] == made_at[1]  # of keys that one transaction created any will do
    assert steps_of(lambda: asked(line, 1 << 60)) < 100


def test_what_others_created_while_they_led_counts(line: Line) -> None:
    mvcc, store = line.mvcc, line.replica.store

    def create(key: bytes, *, here: bool) -> int:
        txn = store.begin()
        writer = Writer(mvcc if here else Mvcc(store), txn)
        writer.put(key, b"", 0, None)
        store.apply(store.applied_index + 1, txn.encode())
        return writer.revision

    create(b"a/1", here=True)
    last = create(b"a/2", here=True)
    assert asked(line, last) == b"a/1"
    create(b"a/3", here=False)
    line.term += 2
    own = create(b"a/4", here=True)
    assert asked(line, own) == b"a/3"


def test_a_thousand_that_join_cost_a_look_each(line: Line) -> None:
    """Issue 14: of 2,000 Lock calls at once 1,818 failed; each walked over the whole line."""
    mvcc, store = line.mvcc, line.replica.store

    def join(numbers: range) -> None:
        for number in numbers:
            txn = store.begin()
            writer = Writer(mvcc, txn)
            writer.put(b"lock/%d" % number, b"", 0, None)
            at_once(mvcc.lines.before(txn, mvcc.kv, b"lock/", writer.revision, now=line.now))
            store.apply(store.applied_index + 1, txn.encode())

    first = steps_of(lambda: join(range(10)))
    join(range(10, 1000))
    assert steps_of(lambda: join(range(1000, 1010))) < 2 * first


def test_who_asks_when_thousands_are_gone_passes_them_in_steps_that_are_bounded(line: Line) -> None:
    """Issue 14: 50,000 were looked for in one step of the loop, in two states each."""
    mvcc = line.mvcc
    line.join(range(2000))
    assert asked(line, 99) == b"a/1999"
    line.leave(range(1, 2000))
    view = line.replica.store.view
    counts, found = slices_of(mvcc.lines.before(view, mvcc.kv, b"a/", 99, now=line.now))
    assert found == b"a/0000"
    assert max(counts) < 3 * sum(counts) / len(counts)
    assert len(counts) > 50
    assert mvcc.lines.entry_count == 1


def test_a_term_that_begins_while_they_are_passed_forgets_them_all(line: Line) -> None:
    mvcc = line.mvcc
    line.join(range(100))
    assert asked(line, 99) == b"a/0099"
    line.leave(range(100))
    view = line.replica.store.view
    asking = mvcc.lines.before(view, mvcc.kv, b"a/", 99, now=line.now)
    next(asking)
    line.term += 1
    assert asked(line, 99) == b""
    assert at_once(asking) == b""
    assert mvcc.lines.entry_count == 0


def test_a_key_of_a_million_slashes_costs_no_more_than_there_are_lines(line: Line) -> None:
    """Each of its slashes had all before it copied: with one lock held, it ended the leader."""
    mvcc, view = line.mvcc, line.replica.store.view
    for prefix in (b"a/", b"//"):
        at_once(mvcc.lines.before(view, mvcc.kv, prefix, 1, now=line.now))
    key = b"/" * 1_000_000
    assert steps_of(lambda: mvcc.lines.note_created(key, 7)) < 100
    assert mvcc.lines.entry_count == 1


def test_what_is_remembered_is_bounded(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "ENTRIES_MAX", 100)
    view, kv, lines = line.replica.store.view, line.mvcc.kv, Lines()
    for number in range(50):
        at_once(lines.before(view, kv, b"%d/" % number, 1, now=line.now))
        for revision in range(10):
            lines.note_created(b"%d/%d" % (number, revision), revision)
    assert lines.entry_count <= 110


def test_a_refusal_is_no_reason_to_wait_for_who_never_came(line: Line) -> None:
    mvcc, store = line.mvcc, line.replica.store
    txn = store.begin()
    writer = Writer(mvcc, txn)
    writer.put(b"a/1", b"", 0, None)
    store.apply(store.applied_index + 1, txn.encode())
    assert asked(line, 99) == b"a/1"
    with pytest.raises(Refused):
        refused(mvcc, store.begin())
    assert asked(line, 99) == b"a/1"


def refused(mvcc: Mvcc, txn: Txn) -> None:
    """Put a key, and find that it may not be."""
    Writer(mvcc, txn).put(b"a/2", b"", 0, None)
    raise Refused(9, "no")
