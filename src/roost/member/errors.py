"""What can go wrong with a member as a whole: its start and its configuration."""

from roost.errors import CallerFault, DeviceFault, PeerFault


class BadMemberConfig(CallerFault):
    """The settings given to a member contradict each other or name nothing usable."""


class NotAMember(BadMemberConfig):
    """`name` with its advertised peer URLs is not in the initial cluster."""


class CannotJoin(BadMemberConfig):
    """No member of the running cluster lets this one in."""


class MemberRemoved(BadMemberConfig):
    """The directory is of a member that was removed from the cluster for good."""


class SnapshotFailed(DeviceFault):
    """A copy of the store could not be made."""


class MalformedForward(PeerFault):
    """A forwarded request or its answer does not follow the format in `forwarding`."""


class StoreDamaged(DeviceFault):
    """What the store holds is not what was written; nobody is served from it any more."""


class CannotRebuild(DeviceFault):
    """The store is damaged, and no other member sends its own."""


class NothingToLose(CallerFault):
    """`roost repair` was told to drop what is not damaged, or not there."""


class RestoreRefused(CallerFault):
    """The files do not follow each other, or the directory is in use."""


class BackupDamaged(CallerFault):
    """A file is no backup, or not what was saved."""


class BackupFailed(DeviceFault):
    """A backup could not be written; the text says why, and the next one is tried in time."""


class RolledBack(DeviceFault):
    """The directory is an old state or a copy of one that the cluster has seen since.

    What it promised after that it does not know any more, so it must never vote again: remove the
    member and add a new one.
    """


class DirectoryLost(BadMemberConfig):
    """The directory is new, but its member has lived in another one before.

    What it promised there it does not know here, so it must not take part.
    """


class StoreBehindJournal(StoreDamaged):
    """The journal was trimmed past what the store holds: entries in between are gone."""
