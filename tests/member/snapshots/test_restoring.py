"""A new cluster made of backups: the same on each first member, and nobody of the old one's."""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest

from roost.journal import Identity, Journal
from roost.member import MemberConfig
from roost.member.cluster.roster import Roster, read_configuration
from roost.member.directory.home import open_home
from roost.member.errors import BackupDamaged, NotAMember, RestoreRefused
from roost.member.snapshots import restoring
from roost.member.snapshots.backup import Backup, read_backup, write_checked, write_increment
from roost.member.snapshots.files import ENTRY_HEAD
from roost.member.snapshots.restoring import Amendment, restore
from roost.raft import HardState
from roost.store import CATALOG_ID, GUID_KEY, METADATA_ID, StoreConfig, Txn, stack
from tests.member.directory.homes import HomeWorld, close, open_at, snapshot_of, write

URLS = {name: (f"http://{name}:2380",) for name in ("a", "b", "c")}


def page(home_entries: Iterable[tuple[int, bytes]], term: int = 2) -> bytes:
    """A page of an increment: entries that write, of one term."""
    return b"".join(
        ENTRY_HEAD.pack(index, term, 1, len(payload)) + payload for index, payload in home_entries
    )


class Old:
    """A member of the cluster that was, and the backups that were made of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = open_at(root, "old")
        self.tree = self.home.store.tree("things").id
        self._payloads: list[tuple[int, bytes]] = []
        write(self.home, 3, b"saved")

    def put(self, key: bytes, value: bytes) -> None:
        index = self.home.store.applied_index + 1
        txn = self.home.store.begin()
        txn.put(self.tree, key, value)
        payload = txn.encode()
        self._payloads.append((index, payload))
        self.home.store.apply(index, payload, 2)

    def full(self, name: str = "full.db") -> Backup:
        self.home.store.flush()
        copy = self.root / "copy.mdb"
        snapshot_of(self.home, copy)
        content = copy.read_bytes()
        copy.unlink()
        return write_checked(self.root / name, [content, hashlib.sha256(content).digest()])

    def since(self, base: Backup, name: str) -> Backup:
        """An increment of what was put behind a backup."""
        told = [it for it in self._payloads if it[0] > base.index]
        return write_increment(self.root / name, base, [page(told)] if told else [])


@pytest.fixture
def old(tmp_path: Path) -> Iterable[Old]:
    made = Old(tmp_path)
    yield made
    close(made.home)


def config(root: Path, name: str = "a", **changes: object) -> MemberConfig:
    made = MemberConfig(
        name=name,
        data_dir=root / f"new-{name}",
        initial_cluster=URLS,
        advertise_peer_urls=URLS["a"],
        listen_peer_urls=URLS["a"],
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's fields


def no_bootstrap(_txn: Txn) -> None:
    raise AssertionError("what was restored has its content already")


class New:
    """What a restored member finds when it starts."""

    def __init__(self, told: MemberConfig) -> None:
        def fail(error: BaseException) -> None:
            raise error

        home = open_home(
            replace(told, advertise_peer_urls=URLS[told.name]),
            no_bootstrap,
            world=HomeWorld(),
            on_store_failure=fail,
        )
        store = home.store
        self.rows = dict(store.view.iterate(store.tree("things").id))
        self.position = store.applied_index, store.applied_term
        self.hard_state = home.journal.hard_state
        self.identity = home.identity
        self.guid = store.view.get(METADATA_ID, GUID_KEY)
        self.configuration = read_configuration(store.view)
        roster = Roster(store, store.view)
        self.names = sorted(it.name for it in roster.records())
        self.removed = store.view.count(roster.removed_id)
        self.counts = {
            name.decode(): store.view.count(int.from_bytes(tree, "big"))
            for name, tree in store.view.scan(CATALOG_ID)
        }
        close(home)


# As data models say it; one of them has not written anything.
OF_A_CLUSTER = ("$alarms", "$facts")


def make(
    told: MemberConfig, files: Sequence[Backup], amendment: Amendment | None = None
) -> Identity:
    paths = [it.path for it in files]
    return restore(told, paths, HomeWorld(), cluster_trees=OF_A_CLUSTER, amendment=amendment)


def test_all_that_was_saved_is_there_behind_one_more_entry(old: Old, tmp_path: Path) -> None:
    """That entry is what makes it another cluster; its log begins behind it."""
    full = old.full()
    old.put(b"later", b"1")
    first = old.since(full, "1.inc")
    old.put(b"later", b"2")
    second = old.since(first, "2.inc")
    for number, (files, later) in enumerate(
        [([full], None), ([full, first], b"1"), ([full, first, second], b"2")]
    ):
        root = tmp_path / str(number)
        root.mkdir()
        told = config(root)
        identity = make(told, files)
        journal = Journal.open(told.data_dir, identity=identity, config=HomeWorld().journal_config)
        assert (journal.first_index, journal.last_index) == (
            files[-1].index + 2, files[-1].index + 1,
        )  # fmt: skip
        journal.close()
        new = New(told)
        assert (new.rows[b"key"], new.rows.get(b"later")) == (b"saved", later)
        assert new.position == (files[-1].index + 1, 2)


def test_an_increment_in_which_nothing_was_written_is_one(old: Old, tmp_path: Path) -> None:
    full = old.full()
    none = old.since(full, "none.inc")
    old.put(b"later", b"1")
    make(config(tmp_path), [full, none, old.since(none, "1.inc")])
    assert New(config(tmp_path)).rows[b"later"] == b"1"


def test_what_increments_write_does_not_stay_in_memory(
    old: Old, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a flush had made durable was to be freed by turns, and a restore has none."""
    monkeypatch.setattr(restoring, "StoreConfig", partial(StoreConfig, layer_bytes_max=1000))
    monkeypatch.setattr(stack, "FREED_COUNT", 1)
    full = old.full()
    for number in range(30):
        old.put(b"later %d" % number, bytes(100))
    increment = old.since(full, "1.inc")
    directory = tmp_path / "made"
    directory.mkdir()
    store = restoring.Backups([full.path, increment.path]).make_store(directory)
    assert store.durable_index > full.index, "it was flushed on the way"
    assert store.old_count == 0
    store.close()


def test_first_members_agree_on_everything_but_who_they_are(old: Old, tmp_path: Path) -> None:
    full = old.full()
    identities = [make(config(tmp_path, name), [full]) for name in URLS]
    news = [New(config(tmp_path, name)) for name in URLS]
    assert len({it.cluster_id for it in identities}) == 1
    assert sorted(news[0].configuration.voters) == sorted(it.member_id for it in identities)
    assert len({it.member_id for it in identities}) == 3
    for new in news:
        assert (new.position, new.guid, new.configuration) == (
            news[0].position, news[0].guid, news[0].configuration,
        )  # fmt: skip
        assert new.names == sorted(URLS)
        assert new.configuration.version == new.position[0], "of the entry that wrote it"
        assert (new.hard_state or HardState()).vote == 0, "nobody has voted in it"


def test_nobody_of_the_old_cluster_or_of_another_restored_one_is_listened_to(
    old: Old, tmp_path: Path
) -> None:
    """The cluster id is what greetings compare; it is made of members, backups and amendment."""
    full = old.full()
    old.put(b"later", b"1")
    increment = old.since(full, "1.inc")
    amendment = Amendment("amended", lambda txn: txn.put(old.tree, b"amended", b""))
    ways = [
        make(config(tmp_path / "1"), [full]),
        make(config(tmp_path / "2"), [full, increment]),
        make(config(tmp_path / "3"), [old.full("newer.db")]),
        make(config(tmp_path / "4", initial_cluster_token="t"), [full]),
        make(config(tmp_path / "5"), [full], amendment=amendment),
    ]
    ids = {it.cluster_id for it in ways}
    assert len(ids) == len(ways)
    assert old.home.identity.cluster_id not in ids
    assert make(config(tmp_path / "6"), [full]).cluster_id == ways[0].cluster_id


def test_who_was_and_what_was_wrong_with_the_old_cluster_is_forgotten(
    old: Old, tmp_path: Path
) -> None:
    store = old.home.store
    txn = store.begin()
    roster = Roster(store, store.view)
    [record] = roster.records()
    roster.put(txn, msgspec.structs.replace(record, id=record.id + 1, name="another"))
    roster.remove(txn, record.id + 2)
    for name in ("$alarms", "$beside"):
        txn.put(txn.tree(name).id, b"row", b"")
    store.apply(store.applied_index + 1, txn.encode(), 2)
    make(config(tmp_path), [old.full()])
    new = New(config(tmp_path))
    assert (new.names, new.removed) == (sorted(URLS), 0)
    assert (new.counts["$alarms"], new.counts["$beside"]) == (0, 1)
    assert "$facts" not in new.counts, "a tree that was not there is not made to be emptied"


def test_an_amendment_is_written_into_the_same_entry(old: Old, tmp_path: Path) -> None:
    amendment = Amendment("amended", lambda txn: txn.put(old.tree, b"amended", b"yes"))
    full = old.full()
    make(config(tmp_path), [full], amendment=amendment)
    new = New(config(tmp_path))
    assert (new.rows[b"amended"], new.position[0]) == (b"yes", full.index + 1)


def untouched(told: MemberConfig) -> bool:
    """Nothing is where the member's directory would be."""
    return not told.data_dir.exists()


def test_files_that_do_not_follow_each_other_are_refused(old: Old, tmp_path: Path) -> None:
    full = old.full()
    old.put(b"1", b"1")
    first = old.since(full, "1.inc")
    old.put(b"2", b"2")
    second, newer = old.since(first, "2.inc"), old.full("newer.db")
    told = config(tmp_path)
    for files in ([], [first], [full, second], [full, second, first], [full, newer],
                  [full, first, first]):  # fmt: skip
        with pytest.raises(RestoreRefused):
            make(told, files)
        assert untouched(told)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"cluster_id": 0xBAD}, "is of cluster bad, and .* of"), ({"term": 1}, "another history")],
)
def test_an_increment_of_another_cluster_is_refused_though_its_numbers_fit(
    old: Old, tmp_path: Path, changes: dict[str, int], words: str
) -> None:
    """Clusters of the same members may save into one directory, and count their entries alike."""
    full = old.full()
    old.put(b"1", b"1")
    assert full.cluster_id == old.home.store.guid.int
    theirs = old.since(replace(full, **changes), "1.inc")  # type: ignore[arg-type]  # numbers
    told = config(tmp_path)
    with pytest.raises(RestoreRefused, match=words):
        make(told, [full, theirs])
    assert untouched(told)


def test_a_member_that_is_not_named_is_refused(old: Old, tmp_path: Path) -> None:
    told = config(tmp_path, "stranger", data_dir=tmp_path / "new")
    with pytest.raises(NotAMember, match="stranger"):
        make(told, [old.full()])
    assert untouched(told)


def test_a_directory_that_holds_something_is_never_written_to(old: Old, tmp_path: Path) -> None:
    told, full = config(tmp_path), old.full()
    told.data_dir.mkdir()
    make(told, [full])
    before = sorted(told.data_dir.rglob("*"))
    with pytest.raises(RestoreRefused, match="not empty"):
        make(told, [full])
    assert sorted(told.data_dir.rglob("*")) == before
    assert New(told).rows[b"key"] == b"saved"


def test_what_an_interrupted_restore_left_is_no_hindrance(old: Old, tmp_path: Path) -> None:
    """All is made beside the directory, which appears when it is whole."""
    told = config(tmp_path)
    left = tmp_path / "new-a.restoring" / "db.1"
    left.mkdir(parents=True)
    (left / "data.mdb").write_bytes(b"half")
    make(told, [old.full()])
    assert not left.parent.exists()
    assert New(told).rows[b"key"] == b"saved"


def test_a_file_that_changed_or_broke_off_is_refused(old: Old, tmp_path: Path) -> None:
    """Where a byte changes: in the store, in an increment, or in the digest that tells of it."""
    full = old.full()
    old.put(b"later", b"1")
    increment = old.since(full, "1.inc")
    told = config(tmp_path)
    for file in (full, increment):
        content = file.path.read_bytes()
        for place in (30, len(content) // 2, len(content) - 1):
            changed = bytearray(content)
            changed[place] ^= 1
            file.path.write_bytes(changed)
            with pytest.raises(BackupDamaged, match="digest"):
                make(told, [full, increment])
        file.path.write_bytes(content[:-1])
        with pytest.raises(BackupDamaged):
            make(told, [full, increment])
        file.path.write_bytes(content)
        assert untouched(told)


def test_a_store_whose_damage_was_saved_with_it_is_refused(old: Old, tmp_path: Path) -> None:
    """The digest holds: it is of the bytes.  What they mean is read before anybody rests on it."""
    full = old.full()
    content = bytearray(full.path.read_bytes()[:-32])
    place = content.index(b"saved")
    content[place] ^= 1
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(bytes(content) + hashlib.sha256(content).digest())
    told = config(tmp_path)
    with pytest.raises(BackupDamaged, match="the store in the backup is damaged"):
        make(told, [read_backup(damaged)])
    assert untouched(told)


def test_restoring_leaves_the_backups_as_they_were(old: Old, tmp_path: Path) -> None:
    full = old.full()
    before = full.path.read_bytes()
    make(config(tmp_path), [full])
    assert full.path.read_bytes() == before
    shutil.rmtree(config(tmp_path).data_dir)
    make(config(tmp_path), [full])
