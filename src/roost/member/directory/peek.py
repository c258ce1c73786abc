"""What a store that nobody uses says of itself: how far it goes, where it began, who votes.

The journal is opened with that, and a directory is judged by it before anything is changed.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from roost.journal import has_lived
from roost.member.cluster.roster import CONFIGURATION_KEY
from roost.member.directory.store_record import read_record
from roost.member.errors import StoreDamaged
from roost.member.machine.world import World
from roost.raft import Configuration
from roost.store import BOOTSTRAP_INDEX, StoreCorrupt, read_applied, read_metadata


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


def _is_alone(encoded: bytes, own_id: int) -> bool:
    configuration = msgspec.json.decode(encoded, type=Configuration)
    return configuration.all_voters() in ((own_id,), ())


def is_alone_in(directory: Path, own_id: int) -> bool:
    """Whether a store that can be read says that its member has no other voters."""
    encoded = read_metadata(directory / "data.mdb", CONFIGURATION_KEY)
    return encoded is not None and _is_alone(encoded, own_id)
