"""Data directories with a store in them, opened without a member."""

from pathlib import Path

from roost.journal import JournalConfig
from roost.member import MemberConfig
from roost.member.directory.home import Home, open_home
from roost.member.machine.world import World
from roost.raft import Entry, EntryKind, HardState
from roost.sim.members.disk import SimDisk
from roost.store import InlineKeeper, Keeper, SnapshotFile, Txn
from tests.member.members import SEGMENT_BYTES, UnsyncedDisk


class HomeWorld(World):
    """Files that nothing syncs, and a keeper that needs no process."""

    def __init__(self) -> None:
        super().__init__(segment_bytes=SEGMENT_BYTES)
        self.disk = UnsyncedDisk()

    def make_keeper(self, directory: Path) -> Keeper:
        return InlineKeeper(directory, is_synced=False)

    async def sync_file(self, _descriptor: int) -> None:
        """Nothing is lost without it."""


class MemoryWorld(World):
    """The journal in memory, the store in this process."""

    def __init__(self, disk: SimDisk) -> None:
        super().__init__()
        self.disk = self.sim_disk = disk
        self.journal_config = JournalConfig(
            segment_bytes=32 << 10, slot_count=64, prepares_ahead=False
        )

    def make_keeper(self, directory: Path) -> Keeper:
        return InlineKeeper(directory, is_synced=False)

    def has_directory(self, path: Path) -> bool:
        return path in self.sim_disk.directories


def open_at(root: Path, name: str) -> Home:
    config = MemberConfig(
        name="m0",
        data_dir=root / name,
        initial_cluster={"m0": ("http://127.0.0.1:1",)},
        advertise_peer_urls=("http://127.0.0.1:1",),
        listen_peer_urls=("http://127.0.0.1:1",),
    )

    def bootstrap(txn: Txn) -> None:
        txn.tree("things")

    def fail(error: BaseException) -> None:
        raise error

    return open_home(config, bootstrap, world=HomeWorld(), on_store_failure=fail)


def write(home: Home, count: int, value: bytes) -> None:
    """Have `count` more entries, in the journal and the store."""
    tree = home.store.tree("things").id
    for _ in range(count):
        index = home.store.applied_index + 1
        txn = home.store.begin()
        txn.put(tree, b"key", value)
        payload = txn.encode()
        home.journal.persist(HardState(term=2), [Entry(index, 2, EntryKind.NORMAL, payload)])
        home.store.apply(index, payload, 2)
    home.store.flush()


def close(home: Home) -> None:
    home.store.close()
    home.journal.close()
    home.record_file.close()


def snapshot_of(home: Home, target: Path) -> SnapshotFile:
    assert isinstance(home.keeper, InlineKeeper)
    return home.keeper.copy(target)
