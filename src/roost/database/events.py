"""What happens to a member, one type for each: what `Database.events` tells.

for event in db.events():
    match event:
        case events.LeaderChanged(leader=name): ...
"""

from roost.database.changes import Overrun
from roost.member.events import (
    AlarmCleared,
    AlarmRaised,
    Committed,
    ConflictTruncated,
    CountersAdministered,
    DiskSlow,
    Event,
    HeartbeatLate,
    LeaderChanged,
    MemberAdded,
    MemberRemoved,
    MemberReplaced,
    ObserverOverrun,
    RoleChanged,
    SnapshotReceived,
    SnapshotSent,
    TermChanged,
)

__all__ = [
    "AlarmCleared",
    "AlarmRaised",
    "Committed",
    "ConflictTruncated",
    "CountersAdministered",
    "DiskSlow",
    "Event",
    "HeartbeatLate",
    "LeaderChanged",
    "MemberAdded",
    "MemberRemoved",
    "MemberReplaced",
    "ObserverOverrun",
    "Overrun",
    "RoleChanged",
    "SnapshotReceived",
    "SnapshotSent",
    "TermChanged",
]
