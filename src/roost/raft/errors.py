"""What the core can say no with."""

from enum import Enum

from roost.errors import CallerFault, DeviceFault, PeerFault


class BadCoreConfig(CallerFault):
    """The core's settings contradict each other."""


class CorruptState(DeviceFault):
    """What storage gave at start cannot be the state of one node."""


class DropReason(Enum):
    """Why a proposal was not taken."""

    NO_LEADER = "no leader"
    NOT_LEADER = "not leader"
    # An election timeout at most, by whoever leads then.
    TRANSFERRING = "leadership is being transferred"
    # Until some are committed: a leader that no quorum answers must not fill its memory with hope.
    LOG_FULL = "too many uncommitted bytes"
    CHANGE_PENDING = "another change of the configuration is not applied yet"
    # To be worked out anew by whoever asked: the same words may mean something else by now.
    VERSION_CHANGED = "the configuration is not the one the change was meant for"
    NOT_CAUGHT_UP = "the learner has not caught up with the leader"


class ProposalDropped(CallerFault):
    """The proposal was not appended; nothing of it will ever commit."""

    def __init__(self, reason: DropReason) -> None:
        """Keep the reason for callers that react to it."""
        super().__init__(reason.value)
        self.reason = reason


class ChangeRefused(CallerFault):
    """The change of the configuration makes no sense, here or anywhere."""


class TransferRefused(CallerFault):
    """Leadership cannot go to that node."""


class MalformedMessage(PeerFault):
    """Bytes from a peer are no message of ours."""


class Contradiction(PeerFault):
    """A peer said what nobody can say who follows the rules; nothing was changed by it."""


class LogLost(DeviceFault):
    """Our storage lost entries: the leader counts on some that our log does not have.

    It is our own fault, not the leader's, so the node must end.  Only a node that does not tell
    its restarts (`life` 0) can say so; any other asks for what it lacks, or is fenced.
    """
