"""What a store that nobody uses says of itself: how far it goes, where it began, who votes.

The journal is opened with that, and a directory is judged by it before anything is changed.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from roost.journal import OsDisk, has_lived, load_identity
from roost.member.cluster.roster import CONFIGURATION_KEY
from roost.member.directory.store_record import read_record
from roost.member.errors import StoreDamaged
from roost.member.machine.world import World
from roost.raft import Configuration
from roost.store import (
    BOOTSTRAP_INDEX,
    StoreCorrupt,
    StoreError,
    View,
    read_applied,
    read_metadata,
)
from roost.store.base import environment
from roost.store.base_reader import BaseReader


@dataclass(frozen=True, slots=True)
class Peeked:
    """What a store that nobody uses says of itself.

    `applied` is the index and term up to which it has everything, `begins_at` the entry it began
    with, and `is_alone` whether its member has no other voters.
    """

    applied: tuple[int, int] | None = None
    begins_at: int = BOOTSTRAP_INDEX
    is_alone: bool = True


def peek_store(data_dir: Path, world: World, own_id: int) -> Peeked:
    """Look at the store of a member that is not running.

    Raises:
        StoreDamaged: it cannot be read, is not there any more, or was found to be damaged before.
        DeviceFault: the journal has lost what nobody else knows.

    """
    record = read_record(world.disk, data_dir)
    if record.damage:
        raise StoreDamaged(record.damage)
    directory = data_dir / record.directory
    path = directory / "data.mdb"
    must_be_there = bool(record.index) or has_lived(world.disk, data_dir)
    try:
        applied = read_applied(directory) if path.exists() else None
        encoded = read_metadata(path, CONFIGURATION_KEY) if applied else None
    except StoreCorrupt as error:
        if must_be_there:
            raise StoreDamaged(str(error)) from error
        shutil.rmtree(directory)  # a crash before the bootstrap was durable
        return Peeked()
    if encoded is None:
        if must_be_there:
            fact = "does not say whose it is" if applied else "is not there"
            raise StoreDamaged(f"{record.directory}/{path.name} {fact}")
        return Peeked()
    return Peeked(applied, record.index or BOOTSTRAP_INDEX, _is_alone(encoded, own_id))


def has_begun(data_dir: Path) -> bool:
    """Whether a directory is a member's that has its first content, whatever became of that.

    Without it, a crash came between the two, and its next start is still a first one.

    Raises:
        DeviceFault: what says so cannot be read.

    """
    disk = OsDisk()
    if load_identity(disk, data_dir) is None:
        return False
    record = read_record(disk, data_dir)
    if record.damage or record.index or has_lived(disk, data_dir):
        return True
    directory = data_dir / record.directory
    try:
        return (directory / "data.mdb").exists() and read_applied(directory)[0] > 0
    except StoreCorrupt:
        return False  # what was being made when the crash came


@dataclass(frozen=True, slots=True)
class StoreFile:
    """What a member's store holds on the disk: everything up to the entry at `index`."""

    view: View
    index: int


@contextmanager
def open_store_file(data_dir: Path) -> Iterator[StoreFile]:
    """Read a member's store, whether the member runs or not; what is only in memory is not there.

    Raises:
        StoreError: it is not there, or cannot be read.

    """
    directory = data_dir / read_record(OsDisk(), data_dir).directory
    if not (directory / "data.mdb").exists():
        raise StoreError(f"{data_dir} is no directory of a member: {directory.name}/data.mdb is "
                         "not there")  # fmt: skip
    with open_file_in(directory) as file:
        yield file


@contextmanager
def open_file_in(directory: Path) -> Iterator[StoreFile]:
    """Read the store in a directory that there is; as `open_store_file`.

    Raises:
        StoreError: it cannot be read.

    """
    reader = BaseReader(environment(directory, is_writer=False))
    try:
        yield StoreFile(View([], reader), reader.applied()[0])
    finally:
        reader.close()


def _is_alone(encoded: bytes, own_id: int) -> bool:
    configuration = msgspec.json.decode(encoded, type=Configuration)
    return configuration.all_voters() in ((own_id,), ())


def is_alone_in(directory: Path, own_id: int) -> bool:
    """Whether a store that can be read says that its member has no other voters."""
    encoded = read_metadata(directory / "data.mdb", CONFIGURATION_KEY)
    return encoded is not None and _is_alone(encoded, own_id)
