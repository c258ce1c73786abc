"""The data directory of one member: opened and checked, or made new.

    <data-dir>/            0700; the journal's files lie here, see `roost.journal`
               store.a .b  where the store is, and what is known of it, see `store_record`
               db.N/       the store, see `roost.store`; any other db.* is a leftover
               snapshots/  copies being sent, and one being fetched; emptied at each start

A directory without an identity is new: the member's id comes from the initial cluster.  A
directory with one keeps it, and the initial cluster is not read again, as with etcd.  The store
is bootstrapped before the identity is written, so a crash in between starts over.

A snapshot is installed in this order, each step durable before the next (checklist 110):

    1  the fetched file becomes db.N/data.mdb, N never used before
    2  `store` names db.N: from here on the snapshot counts
    3  the journal begins behind it
    4  the old db.* goes

A store that cannot be read, or is not there although the journal has followed one, is damage
(`StoreDamaged`): `opening` has it fetched anew.  It never counts as an empty one.

After a crash behind step 2 the next start finds a journal that does not reach the store's
snapshot, and does step 3 again; before it, the old store is the one that counts.
"""

import asyncio
import logging
import shutil
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from roost.errors import RoostError
from roost.journal import (
    Identity,
    Journal,
    OsDisk,
    check_private,
    load_identity,
    lock_directory,
)
from roost.member.cluster.roster import (
    MemberRecord,
    Roster,
    bootstrap_roster,
    cluster_id_of,
    first_records,
    own_record,
    read_configuration,
)
from roost.member.config import MemberConfig, added_anew
from roost.member.directory.peek import Peeked, peek_store
from roost.member.directory.store_record import (
    Moving,
    RecordFile,
    StoreRecord,
    open_record,
    renew_record,
)
from roost.member.errors import (
    DefragmentationRunning,
    MemberRemoved,
    NotAMember,
    StoreBehindJournal,
    StoreDamaged,
    StoreReplaced,
)
from roost.member.machine.world import World
from roost.peer import Life
from roost.raft import Configuration
from roost.store import (
    BOOTSTRAP_INDEX,
    Keeper,
    Store,
    StoreBroken,
    StoreConfig,
    StoreCorrupt,
    StoreForeign,
    Txn,
)

logger = logging.getLogger(__name__)
SNAPSHOTS = "snapshots"


def directory_of(identity: Identity) -> int:
    """When a member's directory was made, in microseconds: no other one of it is made then."""
    return max(1, int(identity.created * 1e6))


@dataclass(slots=True)
class Home:
    """The open files of one member."""

    data_dir: Path
    identity: Identity
    journal: Journal
    store: Store
    keeper: Keeper
    configuration: Configuration
    record_file: RecordFile
    world: World
    _on_moved: Callable[[RoostError | None], None] | None = None
    moving: Moving | None = None

    @property
    def record(self) -> StoreRecord:
        """What is known of the store."""
        return self.record_file.record

    def life(self, number: int) -> Life:
        """Which life of its member this is; `number` is the process's own."""
        incarnation = self.identity.incarnation + self.journal.starts
        return Life(directory_of(self.identity), incarnation, number)

    @property
    def store_directory(self) -> Path:
        """Where LMDB is now."""
        return self.data_dir / self.record.directory

    @property
    def snapshot_directory(self) -> Path:
        """For copies on their way."""
        return self.data_dir / SNAPSHOTS

    def watch_keeper(self, loop: asyncio.AbstractEventLoop, on_news: Callable[[], None]) -> None:
        """Have the loop call `on_news` after each answer of the keeper."""
        self.keeper.watch(loop, on_news)

    def install(self, fetched: Path, index: int, term: int) -> Path:
        """Put a fetched, synced and verified snapshot in place of the store, and of the journal.

        Returns the directory of the old store, which may go.

        Raises:
            DeviceFault, OSError: the device failed; the process must end.

        """
        old = self.store_directory
        record = self.record.successor(self.data_dir, index, term)
        _place(self.data_dir, fetched, record)
        self.record_file.save(record)
        assert self.record.index == index, "the snapshot counts before the journal lets go"
        self.journal.begin_behind(index, term)
        keeper = self.world.make_keeper(self.store_directory)
        self.store.switch(keeper)
        self.keeper = keeper
        self.configuration = read_configuration(self.store.view)
        on_moved, self._on_moved, self.moving = self._on_moved, None, None
        if on_moved is not None:
            on_moved(StoreReplaced("a snapshot has replaced the store"))
        return old

    def defragment(
        self, done: Callable[[RoostError | None], None], *, on_left: Callable[[Path], object]
    ) -> None:
        """Have the store rewritten in a directory of its own, without the pages it does not use.

        The record names it before anything else is written there: a crash before that leaves the
        old one, which the journal still follows.  `on_left(directory)` says what may go.
        """
        if self._on_moved is not None:
            done(DefragmentationRunning("the store is being rewritten"))
            return
        self._on_moved = done
        old, held = self.store_directory, self.record
        record = held.successor(self.data_dir, held.index, held.term)
        self.moving = moving = Moving(self.data_dir / record.directory, self.world.clock_s())

        def moved(index: int, _term: int) -> None:
            self.record_file.save(record)
            self._on_moved = self.moving = None
            on_left(old)
            logger.info("the store was defragmented at entry %d", index)
            done(None)

        # What is only in memory yet, deletions above all, would be missing in the new one.
        self.store.make_durable(lambda: self.store.move(moving.directory, moved))

    def remember_peers(self, urls: Sequence[str]) -> None:
        """Keep where the other members are: a store that must be fetched cannot say it."""
        if self.record.peers == tuple(urls):
            return
        try:
            self.record_file.save(msgspec.structs.replace(self.record, peers=tuple(urls)))
        except OSError as error:
            self.store.on_failure(StoreBroken(f"the store's record: {error}"))

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Flush and close everything; the directory is clean afterwards."""
        self.keeper.unwatch(loop)
        self.close_files()

    def close_files(self) -> None:
        """Flush and close everything that no loop watches."""
        self.store.close()
        self.journal.close()
        self.record_file.close()


def _place(data_dir: Path, fetched: Path, record: StoreRecord) -> None:
    """Make the fetched file a store's directory, durably."""
    disk, directory = OsDisk(), data_dir / record.directory
    disk.make_directory(directory)
    fetched.rename(directory / "data.mdb")
    disk.sync_directory(directory)
    disk.sync_directory(data_dir)


def place_store(data_dir: Path, fetched: Path, index: int, term: int, world: World) -> None:
    """Give a directory that nobody has opened a snapshot as its store, its first or a new one."""
    with closing(renew_record(world.disk, data_dir)) as file:
        record = file.record.successor(data_dir, index, term)
        _place(data_dir, fetched, record)
        file.save(record)


def open_home(
    config: MemberConfig,
    bootstrap: Callable[[Txn], None],
    *,
    world: World,
    on_store_failure: Callable[[BaseException], None],
) -> Home:
    """Open the member's directory, or make it.

    Raises:
        NotAMember: the directory is new, and name and URLs are not in the initial cluster.
        StoreBehindJournal: entries between the store and the journal are gone.
        StoreDamaged: the store must be fetched anew, see `rebuild`.
        StoreSuspect: the store must be read first, see `opening`.
        MemberRemoved: the member was removed from its cluster.
        DeviceFault: see `roost.journal` and `roost.store`.

    """
    try:
        return _open_home(config, bootstrap, world=world, on_store_failure=on_store_failure)
    except StoreCorrupt as error:
        raise StoreDamaged(str(error)) from error


def _open_home(
    config: MemberConfig,
    bootstrap: Callable[[Txn], None],
    *,
    world: World,
    on_store_failure: Callable[[BaseException], None],
) -> Home:
    records = first_records(config)
    exists = world.has_directory(config.data_dir)
    lock = lock_directory(world.disk, config.data_dir) if exists else None
    try:
        if exists:
            check_private(world.disk, config.data_dir, is_strict=config.strict_permissions)
        identity = load_identity(world.disk, config.data_dir) if exists else None
        if identity is None:
            identity = _new_identity(config, records, world)
        seen = peek_store(config.data_dir, world, identity.member_id) if exists else Peeked()
    except BaseException:
        if lock is not None:
            lock.close()
        raise
    journal = Journal.open(
        config.data_dir,
        identity=identity,
        disk=world.disk,
        config=world.journal_config,
        held=seen.applied,
        begins_at=seen.begins_at,
        may_lose_tail=not seen.is_alone,
        lock=lock,
    )
    with ExitStack() as undo:
        undo.callback(journal.close)
        if seen.is_alone:
            _drop_doubtful(journal)
        file = open_record(world.disk, config.data_dir)
        undo.callback(file.close)
        record = file.record
        directory = config.data_dir / record.directory
        OsDisk().make_directory(directory)
        if not file.is_whole:
            file.save(record)
        _clear_leftovers(config.data_dir, record)
        keeper = world.make_keeper(directory)
        undo.callback(keeper.close)
        share = world.memory.share
        store_config = StoreConfig(
            layer_bytes_max=share(config.store_layer_bytes_max, 16),
            held_bytes_max=share(StoreConfig().held_bytes_max, 8),
        )
        store = Store.open(config=store_config, keeper=keeper)
        undo.callback(store.abandon)
        store.on_failure = on_store_failure
        if store.is_new:
            _bootstrap(store, journal, records, bootstrap, identity)
        _check_owner(store, identity)
        _match_journal(journal, store, record)
        if Roster(store, store.view).is_removed(identity.member_id):
            text = "the member has been permanently removed from the cluster"
            raise MemberRemoved(f"{text}: remove {config.data_dir}, {added_anew(config)}")
        configuration = read_configuration(store.view)
        undo.pop_all()
    return Home(config.data_dir, identity, journal, store, keeper, configuration, file, world)


def _drop_doubtful(journal: Journal) -> None:
    """Without peers: drop what a power cut left of the newest write, and nothing else.

    Raises:
        JournalDamaged: an entry is damaged that was durable once.

    """
    if not journal.damaged:
        return
    for index, fault in sorted(journal.damaged.items()):
        if fault.is_certain:
            raise journal.damage_at(index)
    text = "entries from %d on were being written when the power was cut, and are dropped"
    logger.warning(text, journal.first_damaged)
    journal.drop_from(journal.first_damaged)


def _bootstrap(
    store: Store,
    journal: Journal,
    records: Sequence[MemberRecord],
    bootstrap: Callable[[Txn], None],
    identity: Identity,
) -> None:
    """Write the first content, which is the same on every first member.

    Raises:
        NotAMember: these are not the first members that the directory was made for.

    """
    assert not journal.last_index, "a store that was lost is not begun anew"
    if cluster_id_of(it.id for it in records) != identity.cluster_id:
        text = "the directory was made for other first members, and has no data"
        raise NotAMember(f"{text}: start it as it was started then, or remove it")

    def write(txn: Txn) -> None:
        bootstrap_roster(txn, records)
        bootstrap(txn)

    store.bootstrap(write, guid=uuid.UUID(int=identity.cluster_id))


def _clear_leftovers(data_dir: Path, record: StoreRecord) -> None:
    """Remove what an interrupted installation or transfer left."""
    for path in data_dir.glob("db.*"):
        if path.name != record.directory:
            shutil.rmtree(path)
    shutil.rmtree(data_dir / SNAPSHOTS, ignore_errors=True)
    OsDisk().make_directory(data_dir / SNAPSHOTS)


def _check_owner(store: Store, identity: Identity) -> None:
    """Refuse the store of another cluster.

    Raises:
        StoreForeign: it is.

    """
    # A survivor that founded a new cluster had another id when its store was made.
    if store.guid.int not in (identity.cluster_id, identity.segment_cluster_id):
        text = f"the store is of cluster {store.guid.int:x}, the directory of"
        raise StoreForeign(f"{text} {identity.cluster_id:x}")


def _match_journal(journal: Journal, store: Store, record: StoreRecord) -> None:
    """See that the journal goes on where the store ends.

    Raises:
        StoreBehindJournal: it does not, and no crash we know of explains that.

    """
    index, term = store.applied_index, store.applied_term
    begins_here = record.index or BOOTSTRAP_INDEX
    if index < journal.first_index - 1:
        text = f"the store has entry {index}, the journal begins at {journal.first_index}"
        raise StoreBehindJournal(text)
    if index == begins_here and (journal.last_index < index or journal.term_at(index) != term):
        journal.begin_behind(index, term)  # an installation, or the bootstrap, was interrupted


def _new_identity(config: MemberConfig, records: Sequence[MemberRecord], world: World) -> Identity:
    own = own_record(config, records)
    return Identity(
        cluster_id=cluster_id_of(record.id for record in records),
        member_id=own.id,
        incarnation=world.new_incarnation(),
        created=world.wall_s(),
    )
