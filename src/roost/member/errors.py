"""What can go wrong with a member as a whole: its start and its configuration."""

from roost.errors import CallerFault, DeviceFault, PeerFault


class BadMemberConfig(CallerFault):
    """The settings given to a member contradict each other or name nothing usable."""


class NotAMember(BadMemberConfig):
    """`name` with its advertised peer URLs is not in the initial cluster."""


class MalformedForward(PeerFault):
    """A forwarded request or its answer does not follow the format in `forwarding`."""


class StoreBehindJournal(DeviceFault):
    """The journal was trimmed past what the store holds: entries in between are gone."""
