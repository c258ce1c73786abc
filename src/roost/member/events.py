"""What happens to a member, as values; and who hears of it.

We are the member that tells; the others go by their ids, and by their names as far as these are
known.  What is told is what this member sees, in the order in which it sees it.  Nobody waits for
those who hear: they must return at once.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RoleChanged:
    """We became something else: follower, pre-candidate, candidate or leader."""

    before: str
    role: str
    term: int


@dataclass(frozen=True, slots=True)
class LeaderChanged:
    """Another member leads; 0 and no name = nobody is known to."""

    leader_id: int
    leader: str
    term: int


@dataclass(frozen=True, slots=True)
class TermChanged:
    """A new term began here."""

    before: int
    term: int


@dataclass(frozen=True, slots=True)
class MemberAdded:
    """A member was added; it has no name before it has started."""

    member_id: int
    name: str
    peer_urls: tuple[str, ...]
    is_learner: bool


@dataclass(frozen=True, slots=True)
class MemberRemoved:
    """A member was removed for good."""

    member_id: int
    name: str


@dataclass(frozen=True, slots=True)
class MemberReplaced:
    """A member took another one's place, in one step."""

    member_id: int
    peer_urls: tuple[str, ...]
    replaced_id: int
    replaced: str


@dataclass(frozen=True, slots=True)
class Committed:
    """Everything up to `index` is committed, and durable here; it is being applied."""

    index: int


@dataclass(frozen=True, slots=True)
class SnapshotSent:
    """We sent our trees to another one, `bytes_count` of them in this go.

    `why`: "behind", it needs entries that the log has no more; "joining", it is new.
    """

    member_id: int
    why: str
    bytes_count: int


@dataclass(frozen=True, slots=True)
class SnapshotReceived:
    """We have the trees of another member, whole; `why` as in SnapshotSent."""

    member_id: int
    why: str
    bytes_count: int


@dataclass(frozen=True, slots=True)
class HeartbeatLate:
    """The leader has not been heard for 80 % of the election timeout; once for each silence."""

    leader_id: int
    leader: str
    silent_ms: int


@dataclass(frozen=True, slots=True)
class ConflictTruncated:
    """Entries from `first_index` to `last_index` were another leader's and never committed.

    They were replaced by those of the leader that was elected.
    """

    first_index: int
    last_index: int


@dataclass(frozen=True, slots=True)
class DiskSlow:
    """To write the journal took longer than a heartbeat; told once, until it is faster again."""

    took_ms: float


@dataclass(frozen=True, slots=True)
class ObserverOverrun:
    """An observer of changes of `tree`, "" = of all, is too slow: it loses what it is not told."""

    tree: str
    index: int


@dataclass(frozen=True, slots=True)
class AlarmRaised:
    """Something is wrong with a member, and all know it: NOSPACE, CORRUPT or LOST_ENTRIES.

    COUNTERS_BEHIND and COUNTERS_DIVERGE are what this member alone sees of another one's counters.
    """

    member_id: int
    alarm: str


@dataclass(frozen=True, slots=True)
class AlarmCleared:
    """An alarm is over."""

    member_id: int
    alarm: str


@dataclass(frozen=True, slots=True)
class CountersAdministered:
    """Somebody had something done to counters here; `outcome` is "done", or why it was not."""

    act: str
    who: str
    outcome: str


Event = (
    RoleChanged
    | LeaderChanged
    | TermChanged
    | MemberAdded
    | MemberRemoved
    | MemberReplaced
    | Committed
    | SnapshotSent
    | SnapshotReceived
    | HeartbeatLate
    | ConflictTruncated
    | DiskSlow
    | ObserverOverrun
    | AlarmRaised
    | AlarmCleared
    | CountersAdministered
)
Tell = Callable[[Event], None]


class News:
    """Those who hear of what happens to one member."""

    def __init__(self) -> None:
        """There are none."""
        self._hearers: list[Tell] = []
        self._commit_hearers_count = 0

    @property
    def is_heard(self) -> bool:
        """Whether anybody hears of commits, of which there are many."""
        return self._commit_hearers_count > 0

    def hear(self, hearer: Tell, *, wants_commits: bool = True) -> None:
        """Call `hearer(event)` for each event; it returns at once, and raises nothing.

        One that does not want commits is told of them as long as somebody else does.
        """
        self._hearers.append(hearer)
        self._commit_hearers_count += wants_commits

    def forget(self, hearer: Tell) -> None:
        """Call it no more; it wanted commits."""
        self._hearers.remove(hearer)
        self._commit_hearers_count -= 1

    def tell(self, event: Event) -> None:
        """Something happened."""
        for hearer in tuple(self._hearers):
            hearer(event)


def untold(event: Event) -> None:
    """Who hears of nothing yet."""
    del event
