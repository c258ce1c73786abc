"""Whether the journal of a directory has ever followed a store.

From then on an empty store is one that was lost, and the first content may not be written again:
a member that begins anew has forgotten what it promised.
"""

from pathlib import Path

import msgspec

from roost.journal.disk import Disk
from roost.journal.errors import JournalDamaged
from roost.journal.manifest import Manifest
from roost.journal.twin import Twin


def has_lived(disk: Disk, directory: Path) -> bool:
    """Whether a journal is here that began behind a store.

    Term and vote are saved when it does, and then the manifest says so.

    Raises:
        JournalDamaged: a record cannot be read, or term and vote are gone.

    """
    if _load(disk, directory, "hard") is not None:
        return True
    # The floor is set when a journal begins behind its store, in the same step as the term, and
    # the term goes first: a floor without one means that the record was lost, not that it is new.
    held = _load(disk, directory, "catalog")
    if held is not None and msgspec.json.decode(held, type=Manifest).floor_index:
        fact = "term and vote are gone, and nobody else knows them: remove this member, add another"
        raise JournalDamaged(directory / "hard.a", 0, 0, fact)
    return False


def _load(disk: Disk, directory: Path, name: str) -> bytes | None:
    """What a record says; None when it was never written, or is not there."""
    # To look must leave no trace: opening a record makes its files, and files say "has lived".
    if not any(disk.exists(directory / f"{name}.{it}") for it in "ab"):
        return None
    twin = Twin(disk, directory, name)
    try:
        return twin.load()
    finally:
        twin.close()
