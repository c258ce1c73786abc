"""What has happened to this member of late, in words; the page shows it, and keeps none itself.

Full?  The last COUNT_MAX are kept; older ones are in the log.
"""

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from roost.database import events
from roost.database.events import Event

COUNT_MAX = 200


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One event; `at_s` is seconds since 1970, by this member's clock."""

    number: int
    at_s: float
    kind: str
    text: str


def _name(member_id: int, name: str = "") -> str:
    return name or f"{member_id:x}"


def _why(why: str) -> str:
    return {"behind": "it lacked entries that are no longer in the log"}.get(why, f"it is {why}")


def text_of(event: Event) -> str:
    """An event as a sentence; nothing for those that are no news: every commit is one."""
    match event:
        case events.RoleChanged(before=before, role=role, term=term):
            return f"this member was {before} and is {role} in term {term}"
        case events.LeaderChanged(leader_id=0, term=term):
            return f"nobody is known to lead in term {term}"
        case events.LeaderChanged(leader_id=leader, leader=name, term=term):
            return f"{_name(leader, name)} leads in term {term}"
        case events.MemberAdded(member_id=member, name=name, is_learner=is_learner):
            how = "as a learner" if is_learner else "as a voter"
            return f"{_name(member, name)} was added {how}"
        case events.MemberRemoved(member_id=member, name=name):
            return f"{_name(member, name)} was removed"
        case events.MemberReplaced(member_id=member, replaced_id=old, replaced=name):
            return f"{member:x} took the place of {_name(old, name)}"
        case events.SnapshotSent(member_id=member, why=why, bytes_count=size):
            return f"{size:,} bytes of a snapshot were sent to {member:x}: {_why(why)}"
        case events.SnapshotReceived(member_id=member, why=why, bytes_count=size):
            return f"a snapshot of {size:,} bytes came from {member:x}: {_why(why)}"
        case events.HeartbeatLate(leader_id=leader, leader=name, silent_ms=silent_ms):
            return f"{_name(leader, name)}, who leads, was silent for {silent_ms} ms"
        case events.ConflictTruncated(first_index=first, last_index=last):
            return f"entries {first} to {last} were never committed, and were replaced"
        case events.DiskSlow(took_ms=took_ms):
            return f"the journal's disk took {took_ms:.0f} ms, longer than a heartbeat"
        case events.ObserverOverrun(tree=tree):
            return f"an observer of {tree or 'all trees'} is too slow, and has lost changes"
        case events.AlarmRaised(member_id=member, alarm=alarm):
            return f"alarm {alarm} was raised for {member:x}"
        case events.AlarmCleared(member_id=member, alarm=alarm):
            return f"alarm {alarm} of {member:x} is over"
        case events.CountersAdministered(act=act, who=who, outcome=outcome):
            return f"counters: {act}, asked for by {who}: {outcome}"
        case _:  # a new term is told with its leader, and commits are no news
            return ""


class Happenings:
    """The last of one member."""

    def __init__(self, wall_s: Callable[[], float]) -> None:
        """Nothing has happened; `wall_s` is the date."""
        self._wall_s = wall_s
        self._kept: deque[Happening] = deque(maxlen=COUNT_MAX)
        self._count = 0
        # Called when there is another one.
        self.on_news: Callable[[], None] = lambda: None

    def note(self, event: Event) -> None:
        """Something has happened."""
        if not (text := text_of(event)):
            return
        self._count += 1
        kind = type(event).__name__
        self._kept.append(Happening(number=self._count, at_s=self._wall_s(), kind=kind, text=text))
        self.on_news()

    def after(self, number: int) -> Sequence[Happening]:
        """Those behind a number, the oldest first; 0 = all that are kept."""
        return [it for it in self._kept if it.number > number]
