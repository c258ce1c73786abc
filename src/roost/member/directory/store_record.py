"""Which directory holds a member's store, and what is known of it: the record `store.a .b`.

It names the snapshot that the store began with, says whether the store must not be used any more
or must be looked at first, and remembers the other members: whoever must fetch a store anew
cannot read in it whom to ask.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from roost.journal import Disk, JournalDamaged, Twin, peek_record
from roost.member.errors import StoreDamaged

_PREFIX = "db."


class StoreRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a store without opening it; `index` 0: it began with no snapshot.

    `damage` is why it must not be used any more, `suspicion` why it must be read first; `trials`
    is how often nothing was found then.  `peers` are the URLs of the other members.
    """

    number: int = 1
    index: int = 0
    term: int = 0
    damage: str = ""
    suspicion: str = ""
    trials: int = 0
    peers: tuple[str, ...] = ()

    @property
    def directory(self) -> str:
        """The directory's name."""
        return f"{_PREFIX}{self.number}"

    def successor(self, data_dir: Path, index: int, term: int) -> "StoreRecord":
        """The record of a store that takes this one's place, in a directory never used."""
        number = max(self.number, newest_number(data_dir)) + 1
        return StoreRecord(number=number, index=index, term=term, peers=self.peers)


@dataclass(frozen=True, slots=True)
class Moving:
    """A store that is being rewritten in a directory of its own, which the record will name."""

    directory: Path
    began_s: float


@dataclass(slots=True)
class RecordFile:
    """The open record; close it.  `is_whole`: both copies say the same."""

    twin: Twin
    record: StoreRecord
    is_whole: bool

    def save(self, record: StoreRecord) -> None:
        """Make `record` the one that counts, durably."""
        self.twin.save(msgspec.json.encode(record))
        self.record, self.is_whole = record, True

    def close(self) -> None:
        """Close both files."""
        self.twin.close()


def newest_number(data_dir: Path) -> int:
    """The highest N of the directories db.N; 0 when there is none."""
    names = [path.name.removeprefix(_PREFIX) for path in data_dir.glob(f"{_PREFIX}*")]
    return max((int(name) for name in names if name.isdigit()), default=0)


def open_record(disk: Disk, data_dir: Path) -> RecordFile:
    """Open the record of a member's directory; one that was never written is that of db.1.

    Raises:
        StoreDamaged: it was written, and cannot be read.

    """
    twin = Twin(disk, data_dir, "store")
    try:
        held = twin.load()
    except JournalDamaged as damage:
        twin.close()
        raise _unreadable(damage) from damage
    return RecordFile(twin, _decode(held), is_whole=held is not None and not twin.is_damaged)


def read_record(disk: Disk, data_dir: Path) -> StoreRecord:
    """Read the record, as `open_record` does, and leave no trace."""
    try:
        return _decode(peek_record(disk, data_dir, "store"))
    except JournalDamaged as damage:
        raise _unreadable(damage) from damage


def _decode(held: bytes | None) -> StoreRecord:
    return StoreRecord() if held is None else msgspec.json.decode(held, type=StoreRecord)


def _unreadable(damage: JournalDamaged) -> StoreDamaged:
    return StoreDamaged(f"nobody can say which store it is: {damage.fact}")


def renew_record(disk: Disk, data_dir: Path) -> RecordFile:
    """Open the record of a store that will be replaced, whatever became of the old one."""
    try:
        return open_record(disk, data_dir)
    except StoreDamaged:
        return RecordFile(Twin(disk, data_dir, "store"), StoreRecord(), is_whole=False)


def change_record(disk: Disk, data_dir: Path, **changes: object) -> StoreRecord:
    """Change some fields of the record of a member that is not running, durably."""
    file = renew_record(disk, data_dir)
    try:
        file.save(msgspec.structs.replace(file.record, **changes))
    finally:
        file.close()
    return file.record
