"""What the journal can find or suffer.  All are faults of the device or of its keeper."""

from pathlib import Path

from roost.errors import DeviceFault


class JournalError(DeviceFault):
    """Base of everything the journal says."""


# Two facts that must not be mixed.  Broken is the device's present: it failed us just now, and all
# that we know of it is in doubt.  Damaged is its past: it works, and gives back other bytes than it
# was given.  The first ends the process, the second is a question to the other members.


class JournalBroken(JournalError):
    """A write or sync failed; nothing later can be trusted, the process must end.

    After a failed sync the page cache may have dropped our writes, so a retry that succeeds
    proves nothing (J15; Rebello et al., ATC'20).
    """


class JournalDamaged(JournalError):
    """Something that may have been acknowledged cannot be read back.

    A member without peers does not start: to drop it could lose an acknowledged write.
    """

    def __init__(self, path: Path, position: int, offset: int, fact: str) -> None:
        """Name the file, the slot's number, the frame's byte offset and what is wrong."""
        advice = "`roost repair` says what could be lost and what can be done"
        super().__init__(f"{path.name}: entry {position} at byte {offset}: {fact}; {advice}")
        self.path = path
        self.position = position
        self.offset = offset
        self.fact = fact


class WrongIdentity(JournalError):
    """The directory belongs to another member or cluster."""


class DirectoryLocked(JournalError):
    """Another process uses the directory."""


class UnsafePermissions(JournalError):
    """The directory or a file in it belongs to another user, or others may use it."""


class UnknownFormat(JournalError):
    """The files are of a format that this version does not know."""


class EntryTooLarge(JournalError):
    """An entry is larger than PAYLOAD_BYTES_MAX."""
