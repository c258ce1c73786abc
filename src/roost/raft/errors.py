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
    TRANSFERRING = "leadership is being transferred"
    LOG_FULL = "too many uncommitted bytes"
    NOT_READY = "not a member of the configuration"


class ProposalDropped(CallerFault):
    """The proposal was not appended; nothing of it will ever commit."""

    def __init__(self, reason: DropReason) -> None:
        """Keep the reason for callers that react to it."""
        super().__init__(reason.value)
        self.reason = reason


class MalformedMessage(PeerFault):
    """Bytes from a peer are no message of ours."""


class LogLost(PeerFault):
    """The leader says we hold entries that our log does not have: storage lost them."""
