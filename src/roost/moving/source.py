"""Where etcd's data is: a snapshot's file, a store's file, or the directory of a member.

A snapshot is a store's file with its SHA-256 behind it, as `etcdctl snapshot save` leaves it.  A
directory is that of a member of etcd 3.4 to 3.6 which does not run:

    member/snap/db                          the store
    member/snap/<term>-<index>.snap         the state of members and of v2 at an entry
    member/snap/<index>.snap.db             a store that the leader has sent, not in place yet
    member/wal/                             see `wal`

A store alone may lack what was acknowledged last, and has nothing of v2.  So of a directory the log
is read, too: what stands behind the store is carried out (`replay`), and what stands behind the
state of v2 (`v2_replay`).
"""

import fcntl
import hashlib
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from roost.moving.backend import Backend
from roost.moving.bolt import MAGIC, PAGE, BoltFile
from roost.moving.errors import EtcdFileDamaged, EtcdFileRefused
from roost.moving.v2_snapshot import Snapshot, newest_snapshot
from roost.moving.wal import LogFiles

DIGEST_BYTES = 32
# bbolt's files end with a page, whose size is a multiple of that.
_SECTOR_BYTES = 512
_HASH_BYTES = 1 << 20
_START = "start that etcd once, so that it does what its log says, and stop it with SIGTERM; or "
_SAVE = "save what it has with `etcdctl snapshot save`, and import that file"


@dataclass(frozen=True, slots=True)
class EtcdLog:
    """What a directory has beside its store: the log, and the state of v2 at an entry, if any."""

    directory: Path
    snapshot: Snapshot | None

    def files(self) -> LogFiles:
        """The log, to be read once."""
        return LogFiles(self.directory)


@dataclass(frozen=True, slots=True)
class EtcdStore:
    """A store of etcd's, open for reading, and what tells it from others.

    `log` is there when it is that of a directory.
    """

    backend: Backend
    digest: str
    size_bytes: int
    log: EtcdLog | None = None


@dataclass(frozen=True, slots=True)
class EtcdHeld:
    """What a snapshot of etcd's holds."""

    path: Path
    revision: int
    compacted: int
    history_count: int
    size_bytes: int
    digest: str


def look_at(path: Path) -> EtcdHeld:
    """Read all of a snapshot, and say what it holds.

    Raises:
        EtcdFileRefused: it is none, or has no digest.
        EtcdFileDamaged: it is not what was saved.
        OSError: it cannot be read.

    """
    with open_etcd(path) as held:
        main, count = 1, 0
        for it in held.backend.revisions():
            main, count = it.main, count + 1
        held.backend.leases()
        held.backend.users()
        compacted = held.backend.compacted
        revision = max(main, compacted)
        return EtcdHeld(path, revision, compacted, count, held.size_bytes, held.digest)


def is_etcd_file(path: Path) -> bool:
    """Whether a file is bbolt's, by its first page; whole or not."""
    with path.open("rb") as file:
        head = file.read(PAGE.size + 4)
    return head[PAGE.size :] == MAGIC.to_bytes(4, "little")


@contextmanager
def open_etcd(path: Path, *, is_hash_checked: bool = True) -> Iterator[EtcdStore]:
    """Read a snapshot, or the directory of a member that does not run.

    Without `is_hash_checked` a file may be a store that has no digest.

    Raises:
        EtcdFileRefused: it cannot be taken.
        EtcdFileDamaged: it is not as etcd leaves it.
        OSError: it cannot be read.

    """
    if not path.is_dir():
        with _open_file(path, must_have_digest=is_hash_checked) as held:
            yield held
        return
    member = path / "member" if (path / "member").is_dir() else path
    store = member / "snap" / "db"
    if not store.is_file():
        raise EtcdFileRefused(f"{path} is no directory of an etcd: member/snap/db is not there")
    with _open_file(store, must_have_digest=False) as held:
        log = _log_of(path, member, held.backend.consistent_index)
        digest = hashlib.sha256(held.digest.encode())
        for file in sorted((*log.directory.glob("*.wal"), *store.parent.glob("*.snap"))):
            digest.update(_digest_of_file(file))
        yield replace(held, log=log, digest=digest.hexdigest())


def _digest_of_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


@contextmanager
def _open_file(path: Path, *, must_have_digest: bool) -> Iterator[EtcdStore]:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EtcdFileRefused(f"{path} is in use: {_SAVE}") from error
        size = path.stat().st_size
        if not size:
            raise EtcdFileRefused(f"{path} is empty")
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
            has_digest = size % _SECTOR_BYTES == DIGEST_BYTES
            length = size - DIGEST_BYTES if has_digest else size
            digest = _digest(data, length)
            try:
                if has_digest and data[length:] != digest.digest():
                    raise EtcdFileDamaged("the digest at its end is not that of the file")
                backend = Backend(BoltFile(data, length))
                if must_have_digest and not has_digest:
                    raise EtcdFileRefused(
                        "it has no digest at its end: it is the store of a member, and may lack "
                        "what was written last.  Import the member's directory, or "
                        f"{_SAVE}; --skip-hash-check takes it as it is"
                    )
                yield EtcdStore(backend, digest.hexdigest(), size)
            except EtcdFileDamaged as error:
                text = "look for another copy: nothing of it was taken"
                raise EtcdFileDamaged(f"{path}: {error}; {text}") from error
            except EtcdFileRefused as error:
                raise EtcdFileRefused(f"{path}: {error}") from error


def _digest(data: mmap.mmap, length: int) -> "hashlib._Hash":
    digest = hashlib.sha256()
    for begin in range(0, length, _HASH_BYTES):
        digest.update(data[begin : min(begin + _HASH_BYTES, length)])
    return digest


def _log_of(path: Path, member: Path, index: int) -> EtcdLog:
    """The log and the state of v2 of a directory whose store ends at entry `index`."""
    snapshot = newest_snapshot(member / "snap")
    if snapshot is not None and snapshot.index > index:
        raise EtcdFileRefused(
            f"{path}: its store ends at entry {index}, and a snapshot that it was sent goes up to "
            f"{snapshot.index}: {_START}{_SAVE}"
        )
    wal = member / "wal"
    if not wal.is_dir():
        raise EtcdFileRefused(
            f"{path}: member/wal is not there, where what was acknowledged last may stand.  With "
            f"--wal-dir it lies elsewhere: put a link to it there; or {_SAVE}"
        )
    return EtcdLog(wal, snapshot)
