"""etcd's data in a new store of ours: what is read is what etcd would answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from roost.etcd.access.users import Auth
from roost.etcd.model import leases
from roost.etcd.model.costs import at_once
from roost.etcd.model.mvcc import COMPACTING_KEY, Mvcc
from roost.etcd.model.wire import decode_key_value
from roost.moving import EtcdFileDamaged, EtcdOrigin, Taken, importing, open_etcd
from roost.moving import backend as etcd
from roost.restoring import bootstrap_models
from roost.store import Store, StoreConfig, stack
from tests.moving.files import LEASE, Rows, everything, put, save


@contextmanager
def imported(root: Path, rows: dict[bytes, Rows] | None = None) -> Iterator[tuple[Store, Taken]]:
    """A store that was made of a file."""
    file = save(root / "etcd.db", rows or everything())
    directory = root / "store"
    directory.mkdir()
    with open_etcd(file) as source:
        origin = EtcdOrigin(source, bootstrap_models)
        store = origin.make_store(directory)
    try:
        assert origin.taken is not None
        yield store, origin.taken
    finally:
        store.close()


def test_keys_are_what_they_were_at_every_revision_that_is_kept(tmp_path: Path) -> None:
    with imported(tmp_path) as (store, taken):
        mvcc, view = Mvcc(store), store.view
        assert (mvcc.revision(view), mvcc.compacted(view), mvcc.key_count(view)) == (6, 3, 3)
        now = [decode_key_value(it) for _, it in view.iterate(mvcc.kv)]
        assert [tuple(it[:5]) for it in now] == [
            (b"a", 2, 4, 2, b"3"), (b"b\0", 3, 3, 1, b"1"), (b"lost", 6, 6, 1, b""),
        ]  # fmt: skip
        before = at_once(mvcc.at(view, b"c", 4))
        assert before is not None
        assert decode_key_value(before).value == b"2"
        assert at_once(mvcc.at(view, b"c", 5)) is None
        # What is compacted and still there is removed by the first leader.
        assert view.get(mvcc.meta, COMPACTING_KEY) == b""
    assert taken == Taken(
        revision=6, compacted=3, key_count=3, history_count=6, lease_count=1, user_count=1,
        role_count=1, is_auth_enabled=True,
    )  # fmt: skip


def test_what_is_durable_does_not_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was to be freed by turns, and an import has none: it took as much as the file has."""
    monkeypatch.setattr(importing, "StoreConfig", partial(StoreConfig, layer_bytes_max=1))
    monkeypatch.setattr(stack, "FREED_COUNT", 1)
    with imported(tmp_path) as (store, _):
        assert store.durable_index > 1, "it was flushed on the way"
        assert store.old_count == 0


def test_leases_come_with_what_is_left_of_them_and_their_keys(tmp_path: Path) -> None:
    with imported(tmp_path) as (store, _):
        mvcc, view = Mvcc(store), store.view
        assert leases.get(mvcc, view, LEASE) == leases.Lease(60, 5)
        assert at_once(leases.first_key(mvcc, view, LEASE, b"")) == b"b\0"
        # The lease of another key is gone: the key says so, and goes with nobody.
        assert list(view.iterate(mvcc.lease_keys)) == [(LEASE + b"b\0", b"")]
        txn = store.begin()
        leases.revoke(mvcc, txn, LEASE)
        assert txn.get(mvcc.kv, b"b\0") is None


def test_users_and_roles_count_as_they_did(tmp_path: Path) -> None:
    with imported(tmp_path) as (store, _):
        auth, view = Auth(store), store.view
        assert (auth.is_enabled(view), auth.revision(view)) == (True, 7)
        assert auth.known_user(view, "ada").password == b"$2a$"
        assert auth.known_role(view, "reader").keyPermission[0].key == b"a"


def test_an_empty_store_begins_as_ours_does(tmp_path: Path) -> None:
    with imported(tmp_path, dict.fromkeys(etcd.BUCKETS, ())) as (store, taken):
        mvcc = Mvcc(store)
        assert (mvcc.revision(store.view), mvcc.compacted(store.view)) == (1, -1)
        assert not Auth(store).is_enabled(store.view)
        assert (taken.key_count, taken.compacted) == (0, 0)


def test_where_all_was_deleted_and_compacted_the_revision_is_kept(tmp_path: Path) -> None:
    rows: dict[bytes, Rows] = dict.fromkeys(etcd.BUCKETS, ())
    rows[etcd.META] = [(etcd.FINISHED, etcd.revision_key(90, 0))]
    with imported(tmp_path, rows) as (store, _):
        assert Mvcc(store).revision(store.view) == 90


def test_many_rows_make_many_entries(tmp_path: Path) -> None:
    rows = everything()
    rows[etcd.KEY] = [
        put(it, b"k%d" % (it % 3000), bytes(100), created=it, lease=int.from_bytes(LEASE, "big"))
        for it in range(2, 9000)
    ]
    with imported(tmp_path, dict(rows)) as (store, taken):
        assert (taken.key_count, taken.history_count) == (3000, 8998)
        assert store.view.count(Mvcc(store).lease_keys) == 3000
        assert store.applied_index > 3


def test_a_file_that_is_damaged_behind_good_rows_leaves_no_store_open(tmp_path: Path) -> None:
    rows = everything()
    rows[etcd.KEY].append(put(7, b"x", b"", version=0))
    said = pytest.raises(EtcdFileDamaged, match=r"etcd\.db: revision 7 .* nothing of it was taken")
    with said, imported(tmp_path, dict(rows)):
        pass
