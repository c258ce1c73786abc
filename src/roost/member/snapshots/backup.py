"""Backups: what `roost snapshot save` writes, and a new cluster made of it (D6).

A full backup is a copy of the store, LMDB's own file, with the SHA-256 of it behind it: what
`Maintenance.Snapshot` streams, to any client of etcd's.

An increment holds what was written behind a backup, integers little-endian:

     0  4x  magic b"RINC"     4  u32 format
     8  u64 index            16  u64 term      of the last entry of the backup it follows
    24      pages: u32 length, u32 crc32c, entries as `files` encodes them
            u32 0, u64 last index, u64 last term, 32x SHA-256 of everything before

A restored cluster goes on where the backup ends, as a new one: other members, and a cluster id
that is made of theirs and of the backup, so that nobody of the old cluster is ever listened to.
Every first member restores the same files; all begin with the same store behind the same entry.
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from struct import Struct

from crc32c import crc32c

from roost.journal import Identity, Journal, OsDisk
from roost.member.cluster.roster import (
    MEMBERS_TREE,
    REMOVED_TREE,
    bootstrap_roster,
    change_payload,
    cluster_id_of,
    initial_records,
)
from roost.member.config import MemberConfig
from roost.member.directory.store_record import StoreRecord, change_record
from roost.member.errors import BackupDamaged, NotAMember, RestoreRefused
from roost.member.machine.world import World
from roost.member.snapshots.files import decode_entries
from roost.raft import Entry, EntryKind, decode_change
from roost.store import (
    GUID_KEY,
    METADATA_ID,
    InlineKeeper,
    Store,
    StoreConfig,
    StoreError,
    Txn,
    read_applied_file,
    scrub,
)

DIGEST_BYTES = 32
_MAGIC, _FORMAT = b"RINC", 1
_HEAD = Struct("<4sIQQ")
_PAGE = Struct("<II")
_END = Struct("<IQQ")
_COPY_BYTES = 1 << 20
_PAGE_BYTES_MAX = 256 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """What a file holds: the log position it ends at, its size and its digest."""

    path: Path
    is_full: bool
    index: int
    term: int
    base_index: int
    size_bytes: int
    digest: str


# --- writing -------------------------------------------------------------------------------------


def part_of(path: Path) -> Path:
    """Where a backup is written before all of it is there."""
    return path.with_name(path.name + ".part")


class FileWriter:
    """A file that appears under its name only when it is whole; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Begin `path`.part."""
        self._path = path
        self._part = part_of(path)
        descriptor = os.open(self._part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self.size_bytes = 0
        self._digest = hashlib.sha256()

    def __enter__(self) -> "FileWriter":
        """Nothing more."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Close; what is not finished is removed."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        self._digest.update(data)
        self.size_bytes += len(data)

    def digest(self) -> bytes:
        """The SHA-256 of what was written so far."""
        return self._digest.digest()

    def finish(self) -> None:
        """Make it durable under its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._part.rename(self._path)
        directory = os.open(self._path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def write_full(path: Path, blobs: Iterable[bytes]) -> Backup:
    """Save what `Maintenance.Snapshot` streams; it must end with its digest.

    Raises:
        BackupDamaged: it does not.

    """
    with FileWriter(path) as file:
        for blob in blobs:
            file.write(blob)
        file.finish()
    try:
        return read_backup(path)
    except BackupDamaged:
        path.unlink()
        raise


def write_increment(path: Path, base: Backup, blobs: Iterable[bytes]) -> Backup:
    """Save what was written behind `base`.

    Raises:
        BackupDamaged: it does not follow it.

    """
    index, term = base.index, base.term
    with FileWriter(path) as file:
        file.write(_HEAD.pack(_MAGIC, _FORMAT, index, term))
        for blob in blobs:
            for entry in _decode(path, blob):
                if entry.index != index + 1:
                    raise BackupDamaged(f"entry {entry.index} was sent behind entry {index}")
                index, term = entry.index, entry.term
            file.write(_PAGE.pack(len(blob), crc32c(blob)) + blob)
        file.write(_END.pack(0, index, term))
        file.write(file.digest())
        file.finish()
    return read_backup(path)


# --- reading -------------------------------------------------------------------------------------


def read_backup(path: Path) -> Backup:
    """Check a file and say what it holds.

    Raises:
        BackupDamaged: it is no backup, or not what was saved.

    """
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
        file.seek(0)
        left = size - DIGEST_BYTES
        while left > 0 and (data := file.read(min(left, _COPY_BYTES))):
            digest.update(data)
            left -= len(data)
        if left or file.read() != digest.digest():
            raise BackupDamaged(f"{path}: the digest at its end is not that of the file")
    if head[:4] == _MAGIC:
        _, file_format, base_index, _ = _HEAD.unpack(head)
        if file_format != _FORMAT:
            raise BackupDamaged(f"{path}: format {file_format}, this version knows {_FORMAT}")
        with path.open("rb") as file:
            file.seek(size - DIGEST_BYTES - _END.size)
            _, index, term = _END.unpack(file.read(_END.size))
        return Backup(path, False, index, term, base_index, size, digest.hexdigest())
    try:
        index, term = read_applied_file(path)
    except StoreError as error:
        text = "it is no store of Roost's; etcd's own snapshots cannot be restored"
        raise BackupDamaged(f"{path}: {text} ({error})") from error
    return Backup(path, True, index, term, 0, size, digest.hexdigest())


def _entries_of(backup: Backup) -> Iterable[Entry]:
    with backup.path.open("rb") as file:
        file.seek(_HEAD.size)
        while True:
            length, crc = _PAGE.unpack(file.read(_PAGE.size))
            if not length:
                return
            if length > _PAGE_BYTES_MAX:
                raise BackupDamaged(f"{backup.path}: a page of {length} bytes")
            blob = file.read(length)
            if crc32c(blob) != crc:
                raise BackupDamaged(f"{backup.path}: a page has changed")
            yield from _decode(backup.path, blob)


def _decode(path: Path, blob: bytes) -> list[Entry]:
    try:
        return decode_entries(blob)
    except ValueError as error:
        raise BackupDamaged(f"{path}: {error}") from error


# --- restoring -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Amendment:
    """What a restored cluster begins with beside what was saved.

    All first members must be given the same one, so its `name` is part of the cluster id.
    """

    name: str
    write: Callable[[Txn], None]


def restore(
    config: MemberConfig,
    paths: Sequence[Path],
    world: World | None = None,
    *,
    amendment: Amendment | None = None,
) -> Identity:
    """Make a member's directory from a full backup and the increments that follow it.

    `config` says which members the new cluster has, and which of them this is.

    Raises:
        RestoreRefused: the directory holds something, or the files do not follow each other.
        BackupDamaged: a file is not what was saved.
        NotAMember: the member is not in the initial cluster.

    """
    world = world or World()
    if config.data_dir.exists() and any(config.data_dir.iterdir()):
        raise RestoreRefused(f'data-dir "{config.data_dir}" not empty or could not be read')
    backups = [read_backup(path) for path in paths]
    _check_chain(backups)
    records = initial_records(config.initial_cluster, config.initial_cluster_token)
    own = next((it for it in records if it.name == config.name), None)
    if own is None:
        raise NotAMember(f"--initial-cluster does not name {config.name}")
    made = config.data_dir.with_name(config.data_dir.name + ".restoring")
    shutil.rmtree(made, ignore_errors=True)
    OsDisk().make_directory(made)
    cluster_id = _new_cluster_id(cluster_id_of(it.id for it in records), backups, amendment)
    directory = made / StoreRecord().directory
    directory.mkdir(mode=0o700)
    _copy_store(backups[0], directory / "data.mdb")
    _check_store(directory)
    index, term = _go_on(directory, backups[1:], config, cluster_id, amendment)
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


def _check_chain(backups: Sequence[Backup]) -> None:
    if not backups or not backups[0].is_full:
        raise RestoreRefused("the first file must be a full snapshot")
    for before, after in pairwise(backups):
        if after.is_full or after.base_index != before.index:
            text = f"{after.path} follows entry {after.base_index}, {before.path} ends at"
            raise RestoreRefused(f"{text} {before.index}")


def _new_cluster_id(of_members: int, backups: Sequence[Backup], amendment: Amendment | None) -> int:
    """Another cluster's, whatever its members are called."""
    told = f"{of_members:x}/" + "/".join(it.digest for it in backups)
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
    directory: Path,
    increments: Sequence[Backup],
    config: MemberConfig,
    cluster_id: int,
    amendment: Amendment | None,
) -> tuple[int, int]:
    """Apply the increments, then the entry that makes it another cluster; return that entry."""
    try:
        store = Store.open(config=StoreConfig(), keeper=InlineKeeper(directory))
    except StoreError as error:
        raise BackupDamaged(str(error)) from error
    try:
        for backup in increments:
            for entry in _entries_of(backup):
                store.apply(entry.index, _payload_of(entry), entry.term)
        txn = store.begin()
        for name in (MEMBERS_TREE, REMOVED_TREE, "alarms"):
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


def _payload_of(entry: Entry) -> bytes:
    if entry.kind is EntryKind.CONFIGURATION:
        configuration, context = decode_change(entry.payload)
        return change_payload(context, configuration)
    return entry.payload if entry.kind is EntryKind.NORMAL else b""
