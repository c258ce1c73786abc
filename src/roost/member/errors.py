"""What can go wrong with a member: its start, its files, its cluster, and requests on their way.

Refusals and unknown outcomes have names here and no words for clients: those who answer clients
choose them by the name.  A member that forwards a request gets the name back with the answer
(`pipeline/forwarded.py`), so it says what the leader would have said.
"""

from roost.errors import CallerFault, DeviceFault, OutcomeUnknown, PeerFault, Refused


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
    """A forwarded request or its answer does not follow the format in `forwarded`."""


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


class BadPlace(CallerFault):
    """What was said to be a place for backups is none; the text says what one looks like."""


class NoBucket(CallerFault):
    """The bucket for backups does not exist; nobody but you makes it."""


class BucketRefused(CallerFault):
    """The store of a bucket does not take our credentials, or they may not do what is needed."""


class BucketUnreachable(DeviceFault):
    """The store of a bucket did not answer to the end; what was sent is not there as a backup."""


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


class MemberNotFound(Refused):
    """No member has that id."""


class MemberGone(MemberNotFound):
    """A member had that id, and was removed; nobody will have it again."""


class MemberExists(Refused):
    """The id that a new member would have is somebody's, or was."""


class PeerUrlsTaken(Refused):
    """Another member has one of these peer URLs."""


class BadPeerUrls(Refused):
    """A peer URL is none, or there is none."""


class TooManyPeerUrls(Refused):
    """A member has more peer URLs than may be said of one, or a longer one."""


class TooManyLearners(Refused):
    """The cluster has as many learners as it may."""


class NotALearner(Refused):
    """Only a learner can be promoted."""


class LearnerBehind(Refused):
    """The learner has not caught up with the leader."""


class TooFewStarted(Refused):
    """The started voters would be no majority after the change."""


class TooFewAlive(Refused):
    """The voters that can be reached would be no majority after the change."""


class ChangeNotTaken(Refused):
    """The consensus core takes no such change of the configuration, or not now."""


class MalformedChange(Refused):
    """The bytes are no request to change the cluster."""


class MalformedRecord(Refused):
    """A member said of itself what no member can say."""


class RequestTooLarge(Refused):
    """The request, or what it would write, is more than an entry or a frame holds."""


class OperationFailed(Refused):
    """A fault of ours in one operation; nothing of it is kept."""


class OtherHistory(Refused):
    """The log position is of another history than this member's."""


class HistoryTrimmed(Refused):
    """The journal does not reach back as far as was asked."""


class StoreReplaced(Refused):
    """A snapshot has replaced the store that was being rewritten."""


class DefragmentationRunning(Refused):
    """The store is being rewritten already."""


class LeadershipLost(OutcomeUnknown):
    """Leadership was lost between proposal and answer."""


class LeaderSilent(OutcomeUnknown):
    """The leader that was asked leads no more, and has not said what became of the request."""


class AnswerLate(OutcomeUnknown):
    """The answer did not come, or could not be shown, in time."""


class TransferLate(OutcomeUnknown):
    """Leadership has not moved in time; it may still."""


class AnswerTooLarge(OutcomeUnknown):
    """It was done, but no frame holds the answer."""
