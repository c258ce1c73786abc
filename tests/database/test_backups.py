"""Backups by the face of a database: saved while it is written to, restored, and refused."""

import asyncio
from pathlib import Path
from threading import Thread

import pytest

import roost
from roost.children import Ended
from roost.member import BackupDamaged, RestoreRefused, open_backups, part_of, save
from roost.member.directory.store_record import StoreRecord
from roost.member.errors import BackupFailed, NotAMember
from roost.member.snapshots.files import Files
from roost.store import CATALOG_ID, InlineKeeper, Store, StoreConfig, View
from roost.testing.patience import wait_until
from roost.testing.ports import free_ports
from tests.database.databases import Databases, with_databases

pytestmark = pytest.mark.slow


def test_what_was_acknowledged_is_in_a_backup_and_in_what_is_made_of_it(tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    with roost.open(None) as db:
        tree = db.tree("t", key=int, value=int)
        tree.update({it: it for it in range(100)})

        def go_on() -> None:
            for it in range(100, 200):
                tree[it] = it

        later = Thread(target=go_on)
        later.start()
        saved = db.snapshot(file)
        later.join()
        newer = db.snapshot(str(file))
    assert saved.path == newer.path == file
    assert (saved.is_full, newer.index > saved.index) == (True, True)
    assert [it.name for it in tmp_path.iterdir()] == ["monday.db"]
    made = roost.restore(file, tmp_path / "made")
    assert made.data_dir == tmp_path / "made"
    with roost.open(made.data_dir) as db:
        assert dict(db.tree("t", key=int, value=int)) == {it: it for it in range(200)}
        db.tree("t", key=int, value=int)[200] = 200
    with pytest.raises(RestoreRefused, match="not empty"):
        roost.restore([file], tmp_path / "made")


def counted_by(view: View) -> int:
    """Rows that say who counts."""
    tree = view.get(CATALOG_ID, b"$counters")
    return 0 if tree is None else view.count(int.from_bytes(tree, "big"))


def test_who_counted_in_the_cluster_that_was_is_nobody_in_the_one_that_is_made(
    tmp_path: Path,
) -> None:
    file = tmp_path / "b"
    with roost.open(None) as db:
        db.counters.increment("visits")

        def is_known() -> bool:
            db.snapshot(file)
            with open_backups([file], tmp_path / "scratch") as view:
                return counted_by(view) > 0

        wait_until(is_known)
    made = roost.restore(file, tmp_path / "made")
    place = made.data_dir / StoreRecord().directory
    store = Store.open(config=StoreConfig(), keeper=InlineKeeper(place))
    assert counted_by(store.view) == 0
    store.close()


def test_a_cluster_is_made_of_one_backup(tmp_path: Path) -> None:
    with roost.open(None) as db:
        db.tree("t")[b"a"] = b"1"
        db.snapshot(tmp_path / "b")
    ports = free_ports(2)
    members = {f"m{it}": f"127.0.0.1:{port}" for it, port in enumerate(ports)}
    made = [
        roost.restore(tmp_path / "b", tmp_path / it, name=it, members=members) for it in members
    ]
    assert made[0].cluster_id == made[1].cluster_id
    assert made[0].member_id != made[1].member_id
    opened: dict[str, roost.Database] = {}

    def begin(name: str) -> None:
        opened[name] = roost.open(tmp_path / name, name=name, members=members)

    threads = [Thread(target=begin, args=(name,)) for name in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with opened["m0"] as one, opened["m1"] as two:
        assert two.tree("t")[b"a"] == b"1"
        one.tree("t")[b"b"] = b"2"
        assert two.tree("t")[b"b"] == b"2"
    with pytest.raises(NotAMember):
        roost.restore(tmp_path / "b", tmp_path / "m9", name="m9", members=members)


def test_a_file_that_is_no_backup_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(bytes(10_000))
    with pytest.raises(BackupDamaged):
        roost.restore(tmp_path / "b", tmp_path / "made")
    with pytest.raises(FileNotFoundError):
        roost.restore(tmp_path / "none", tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_backup_that_cannot_be_written_says_why_and_the_database_goes_on(tmp_path: Path) -> None:
    with roost.open(None) as db:
        with pytest.raises(BackupFailed, match="No such file"):
            db.snapshot(tmp_path / "none" / "b")
        (tmp_path / "a directory").mkdir()
        with pytest.raises(BackupFailed, match="directory"):
            db.snapshot(tmp_path / "a directory")
        db.tree("t")[b"a"] = b"1"
    assert [it.name for it in tmp_path.iterdir()] == ["a directory"]
    with pytest.raises(roost.Closed):
        db.snapshot(tmp_path / "b")


async def _write_half(_module: str, _copy: str, path: str) -> Ended:
    part_of(Path(path)).touch()
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


async def _die(*_arguments: str) -> Ended:
    return Ended(-9, b"")


def test_who_does_not_wait_for_a_backup_leaves_no_part_of_one(tmp_path: Path) -> None:
    async def story(cluster: Databases) -> None:
        files: Files = cluster.databases[0]._embedded.member.files
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await save(files, tmp_path / "b", run_process=_write_half)
        with pytest.raises(BackupFailed, match="ended with -9"):
            await save(files, tmp_path / "b", run_process=_die)

    with_databases(tmp_path / "members", story, size=1)
    assert [it.name for it in tmp_path.iterdir()] == ["members"]
