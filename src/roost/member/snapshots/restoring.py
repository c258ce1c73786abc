"""A new cluster made of backups.

It goes on where the newest of them ends, as another cluster: other members, and a cluster id that
is made of theirs and of the backup, so that nobody of the old cluster is ever listened to.  Every
first member restores the same files; all begin with the same store behind the same entry.
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from roost.journal import Identity, Journal, OsDisk
from roost.member.cluster.roster import (
    MEMBERS_TREE,
    REMOVED_TREE,
    bootstrap_roster,
    cluster_id_of,
    initial_records,
    write_set_of,
)
from roost.member.config import MemberConfig
from roost.member.directory.store_record import StoreRecord, change_record
from roost.member.errors import BackupDamaged, NotAMember, RestoreRefused
from roost.member.machine.world import World
from roost.member.snapshots.backup import DIGEST_BYTES, Backup, entries_of, read_backup
from roost.store import (
    CATALOG_ID,
    GUID_KEY,
    METADATA_ID,
    InlineKeeper,
    Store,
    StoreConfig,
    StoreError,
    Txn,
    View,
    scrub,
)

_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Amendment:
    """What a restored cluster begins with beside what was saved.

    All first members must be given the same one, so its `name` is part of the cluster id.
    """

    name: str
    write: Callable[[Txn], None]


class Origin(Protocol):
    """What the first members of a new cluster begin with: the same store, whoever makes it."""

    @property
    def name(self) -> str:
        """What tells it from every other; part of the cluster id."""

    def make_store(self, directory: Path) -> Store:
        """Make it in an empty directory, at the same log position on every member."""


class Backups:
    """A full backup, and the increments that follow it."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read and check them.

        Raises:
            RestoreRefused: they do not follow each other.
            BackupDamaged: one is not what was saved.

        """
        self._files = [read_backup(path) for path in paths]
        _check_chain(self._files)

    @property
    def name(self) -> str:
        """Their digests."""
        return "/".join(it.digest for it in self._files)

    def make_store(self, directory: Path) -> Store:
        """As `Origin`.

        Raises:
            BackupDamaged: what they hold is damaged.

        """
        _copy_store(self._files[0], directory / "data.mdb")
        _check_store(directory)
        try:
            store = Store.open(config=StoreConfig(), keeper=InlineKeeper(directory))
        except StoreError as error:
            raise BackupDamaged(str(error)) from error
        try:
            for backup in self._files[1:]:
                for entry in entries_of(backup):
                    store.apply(entry.index, write_set_of(entry), entry.term)
                    store.free_all()
        except BaseException:
            store.close()
            raise
        return store


@contextmanager
def open_backups(paths: Sequence[Path], scratch: Path) -> Iterator[View]:
    """What a full backup and its increments come to, to be read; `scratch` is made, and removed.

    Raises:
        RestoreRefused: they do not follow each other.
        BackupDamaged: one is not what was saved.

    """
    backups = Backups(paths)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    try:
        store = backups.make_store(scratch)
        try:
            yield store.view
        finally:
            store.close()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def restore(
    config: MemberConfig,
    paths: Sequence[Path],
    world: World | None = None,
    *,
    cluster_trees: Collection[str],
    amendment: Amendment | None = None,
) -> Identity:
    """Make a member's directory from a full backup and the increments that follow it.

    `config` says which members the new cluster has, and which of them this is.  What stands in
    `cluster_trees` is of the cluster that was, and is left out.

    Raises:
        RestoreRefused: the directory holds something, or the files do not follow each other.
        BackupDamaged: a file is not what was saved.
        NotAMember: the member is not in the initial cluster.

    """
    _check_empty(config)
    backups = Backups(paths)
    return begin_with(config, backups, world, cluster_trees=cluster_trees, amendment=amendment)


def unfinished(data_dir: Path) -> Path:
    """Where a directory is made; it gets its name when it is whole."""
    return data_dir.with_name(f"{data_dir.name}.restoring")


def begin_with(
    config: MemberConfig,
    origin: Origin,
    world: World | None = None,
    *,
    cluster_trees: Collection[str],
    amendment: Amendment | None = None,
) -> Identity:
    """Make a member's directory of what `origin` makes; as `restore`.

    Raises:
        RestoreRefused: the directory holds something.
        NotAMember: the member is not in the initial cluster.

    """
    world = world or World()
    _check_empty(config)
    records = initial_records(config.initial_cluster, config.initial_cluster_token)
    own = next((it for it in records if it.name == config.name), None)
    if own is None:
        raise NotAMember(f"--initial-cluster does not name {config.name}")
    made = unfinished(config.data_dir)
    shutil.rmtree(made, ignore_errors=True)
    OsDisk().make_directory(made)
    cluster_id = _new_cluster_id(cluster_id_of(it.id for it in records), origin.name, amendment)
    directory = made / StoreRecord().directory
    directory.mkdir(mode=0o700)
    store = origin.make_store(directory)
    index, term = _go_on(store, config, cluster_id, cluster_trees, amendment)
    change_record(world.disk, made, index=index, term=term)
    identity = Identity(
        cluster_id=cluster_id,
        member_id=own.id,
        incarnation=world.new_incarnation(),
        created=world.wall_s(),
    )
    journal = Journal.open(made, identity=identity, disk=world.disk, config=world.journal_config)
    journal.begin_behind(index, term)
    journal.close()
    if config.data_dir.exists():
        config.data_dir.rmdir()
    made.rename(config.data_dir)
    world.disk.sync_directory(config.data_dir.absolute().parent)
    return identity


def _check_empty(config: MemberConfig) -> None:
    if config.data_dir.exists() and any(config.data_dir.iterdir()):
        text = f'data-dir "{config.data_dir}" not empty: name a directory that is not there'
        raise RestoreRefused(f"{text} yet, or an empty one")


def _check_chain(backups: Sequence[Backup]) -> None:
    if not backups or not backups[0].is_full:
        named = f", and {backups[0].path} is an increment" if backups else ""
        text = f"the first file must be a full snapshot{named}: then its increments, in order"
        raise RestoreRefused(text)
    for before, after in pairwise(backups):
        if after.is_full or after.base_index != before.index:
            text = f"{after.path} follows entry {after.base_index}, {before.path} ends at"
            raise RestoreRefused(f"{text} {before.index}")
        if after.base_term != before.term:
            text = f"{after.path} follows an entry of term {after.base_term}, and {before.path}"
            raise RestoreRefused(f"{text} ends with one of term {before.term}: another history")
        if after.cluster_id != before.cluster_id:
            text = f"{after.path} is of cluster {after.cluster_id:x}, and {before.path} of"
            raise RestoreRefused(f"{text} {before.cluster_id:x}: restore what one has saved")


def _new_cluster_id(of_members: int, origin: str, amendment: Amendment | None) -> int:
    """Another cluster's, whatever its members are called."""
    told = f"{of_members:x}/{origin}"
    if amendment is not None:
        told += f"/{amendment.name}"
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big") or 1


def _copy_store(backup: Backup, target: Path) -> None:
    left = backup.size_bytes - DIGEST_BYTES
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with backup.path.open("rb") as source, os.fdopen(descriptor, "wb") as file:
        while left > 0:
            data = source.read(min(left, _COPY_BYTES))
            file.write(data)
            left -= len(data)
        file.flush()
        os.fsync(file.fileno())


def _check_store(directory: Path) -> None:
    report = scrub(directory)
    if report.fault:
        raise BackupDamaged(f"the store in the backup is damaged: {report.fault}")


def _go_on(
    store: Store,
    config: MemberConfig,
    cluster_id: int,
    cluster_trees: Collection[str],
    amendment: Amendment | None,
) -> tuple[int, int]:
    """Apply the entry that makes it another cluster, and close it; return that entry."""
    try:
        txn = store.begin()
        for name in (MEMBERS_TREE, REMOVED_TREE, *cluster_trees):
            if txn.get(CATALOG_ID, name.encode()) is not None:
                txn.delete_range(txn.tree(name).id, b"")
        index, term = store.applied_index + 1, store.applied_term
        records = initial_records(config.initial_cluster, config.initial_cluster_token)
        bootstrap_roster(txn, records, version=index)
        txn.put(METADATA_ID, GUID_KEY, uuid.UUID(int=cluster_id).bytes)
        if amendment is not None:
            amendment.write(txn)
        store.apply(index, txn.encode(), term)
    finally:
        store.close()
    return index, term
