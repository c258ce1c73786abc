"""Our keys in a file of etcd's: of a store that was made of one, the same rows again."""

import random
from pathlib import Path

import pytest

from roost.etcd.model.mvcc import COMPACTING_KEY, Mvcc
from roost.moving import EtcdFileRefused, NotForEtcd, look_at, write_etcd_file
from roost.moving import backend as etcd
from roost.moving.backend import Backend
from roost.moving.bolt import BoltFile
from roost.store import InlineKeeper, Store, StoreConfig
from tests.moving.files import everything, read
from tests.moving.test_taking import imported


def rows_of(path: Path) -> dict[bytes, list[tuple[bytes, bytes]]]:
    data = path.read_bytes()[:-32]
    return {name: [(it.key, it.value) for it in rows] for name, rows in read(data).items()}


def test_what_was_taken_is_given_back_row_by_row(tmp_path: Path) -> None:
    file = tmp_path / "back.db"
    with imported(tmp_path) as (store, _):
        given = write_etcd_file(store.view, file, tmp_path / "part")
    before, after = everything(), rows_of(file)
    # Its log begins anew; and what is to be removed is said, not what was.
    before[etcd.META] = [(etcd.SCHEDULED, etcd.revision_key(3, 0))]
    assert after == before
    assert (given.revision, given.compacted, given.key_count) == (6, 3, 3)
    assert (given.lease_count, given.user_count, given.role_count) == (1, 1, 1)
    assert given.left_out == ()
    told = look_at(file)
    assert (told.revision, told.history_count, told.digest) == (6, 6, given.digest)
    assert [it.name for it in tmp_path.iterdir() if it.name == "part"] == []


def test_a_compaction_that_is_done_is_said_to_be_done(tmp_path: Path) -> None:
    with imported(tmp_path) as (store, _):
        txn = store.begin()
        txn.delete(Mvcc(store).meta, COMPACTING_KEY)
        store.apply(store.applied_index + 1, txn.encode(), 1)
        write_etcd_file(store.view, tmp_path / "back.db", tmp_path / "part")
    said = etcd.revision_key(3, 0)
    meta = rows_of(tmp_path / "back.db")[etcd.META]
    assert meta == [(etcd.FINISHED, said), (etcd.SCHEDULED, said)]


def test_trees_that_etcd_has_no_place_for_are_named(tmp_path: Path) -> None:
    with imported(tmp_path) as (store, _):
        txn = store.begin()
        txn.put(txn.tree("people").id, b"ada", b"1815")
        txn.tree("nobody")
        store.apply(store.applied_index + 1, txn.encode(), 1)
        given = write_etcd_file(store.view, tmp_path / "back.db", tmp_path / "part")
    assert given.left_out == ("people",)


def test_a_store_without_keys_of_etcds_is_refused(tmp_path: Path) -> None:
    store = Store.open(config=StoreConfig(), keeper=InlineKeeper(tmp_path))
    with pytest.raises(NotForEtcd):
        write_etcd_file(store.view, tmp_path / "etcd.db", tmp_path / "part")
    store.close()
    assert not (tmp_path / "part").exists()


@pytest.mark.slow
def test_a_flipped_bit_without_a_digest_is_damage_or_another_value(tmp_path: Path) -> None:
    with imported(tmp_path) as (store, _):
        write_etcd_file(store.view, tmp_path / "etcd.db", tmp_path / "part")
    data = (tmp_path / "etcd.db").read_bytes()[:-32]
    dice = random.Random(20)
    refused = 0
    for _ in range(1000):
        changed = bytearray(data)
        at = dice.randrange(len(data) // 4096) * 4096 + int(dice.expovariate(0.01)) % 4096
        changed[at] ^= 1 << dice.randrange(8)
        try:
            held = Backend(BoltFile(bytes(changed), len(changed)))
            list(held.revisions())
            held.leases()
            held.users()
        except EtcdFileRefused:
            refused += 1
    assert refused > 100
