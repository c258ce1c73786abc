"""What the leader believes of one peer (checklist 83-97).

    PROBE      the match point is unknown: one append on its way at a time
    REPLICATE  appends are sent optimistically, within the in-flight window
    SNAPSHOT   the log the peer needs is gone; nothing but the offer of a snapshot is sent until
               the peer has one, or says that it could not get it

           accepted                       entries gone
    PROBE ----------> REPLICATE     any ----------------> SNAPSHOT
      ^                  |                                   |
      +--- refused, lost +                                   |
      +------------------------- fetch failed ---------------+---- accepted ----> REPLICATE

Invariant, always: match_index < next_index.  The match point is what the peer has said that it
holds, and commits are counted with it; the next one is our guess of what to send, and costs only
messages when it is wrong.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum

from roost.raft.messages import SnapshotOffer


class ProgressState(Enum):
    """How entries are sent to a peer."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class ProgressStatistics:
    """A frozen view of one peer's progress."""

    match_index: int
    next_index: int
    state: ProgressState
    is_active: bool
    inflight_count: int
    inflight_bytes: int


class Progress:
    """One peer's match point, window and state."""

    __slots__ = (
        "acked_index",
        "has_stepped_back",
        "heard_tick",
        "inflight_bytes",
        "inflights",
        "is_active",
        "is_nudge_due",
        "is_probe_sent",
        "match_index",
        "next_index",
        "offer",
        "read_token",
        "sent_commit",
        "session",
        "state",
    )

    def __init__(self, next_index: int, session: int = 0) -> None:
        """Nothing is known yet; a new peer counts as active (checklist 47)."""
        assert next_index > 0, "next is above match"
        # Only what the peer says in this session counts: 0 for those who were there when we were
        # elected, else the version that brought it, or the life that it began since.
        self.session = session
        # What it was offered, in SNAPSHOT only.
        self.offer: SnapshotOffer | None = None
        # The peer's log equals ours up to here, durably.  0 = nothing is known.  Grows within a
        # session, and only by an accepted append: neither a heartbeat's answer nor a hint of where
        # logs may agree proves anything (checklist 82).
        self.match_index = 0
        # What the peer said it held before it restarted; 0 once it holds that again.
        self.acked_index = 0
        # It has shown since that it holds less than that: its disk lost what it had acknowledged.
        self.has_stepped_back = False
        # The next entry to send.  In REPLICATE it runs ahead of the answers.
        self.next_index = next_index
        self.state = ProgressState.PROBE
        # Whether it answered since the quorum was last checked; see `timers`.
        self.is_active = True
        # When it last answered, in ticks of our core; 0 = not since we lead, or since it came.
        self.heard_tick = 0
        # In PROBE: one append is on its way; nothing goes until it, or a heartbeat, is answered.
        self.is_probe_sent = False
        # The next answer to a heartbeat may have something sent again; once a tick.
        self.is_nudge_due = False
        # The commit index that it was told with an append; at most our own.
        self.sent_commit = 0
        # The newest read token that it echoed: it followed us after that was made.
        self.read_token = 0
        # (last index, bytes) of each append on its way, oldest first, and the sum of the bytes.
        # Empty but in REPLICATE.
        self.inflights: deque[tuple[int, int]] = deque()
        self.inflight_bytes = 0

    def note_heard(self, tick: int) -> None:
        """The peer answered, at our tick `tick`."""
        self.is_active = True
        self.heard_tick = tick

    def is_full(self, count_max: int, bytes_max: int) -> bool:
        """Whether the window takes no more; one message may overshoot the bytes."""
        # By count, so that a peer that is away costs few messages; by bytes, so that it costs
        # little memory.
        return len(self.inflights) >= count_max or self.inflight_bytes >= bytes_max

    def note_sent(self, last_index: int, size: int) -> None:
        """Entries up to `last_index` are on their way."""
        # One of these a message, not an entry: an answer names where a message ended, or more.
        self.inflights.append((last_index, size))
        self.inflight_bytes += size
        self.next_index = last_index + 1

    def become_probe(self) -> None:
        """Forget what is on its way and look for the match point again."""
        self.state = ProgressState.PROBE
        self.is_probe_sent = False
        # Back to what is known: all that was sent ahead may be lost.
        self.next_index = self.match_index + 1
        self.offer = None
        self._reset_window()

    def begin_session(self, session: int) -> None:
        """The peer has restarted: look for what it holds from where it was."""
        self.session = session
        # Remembered, so that it shows when it holds less; but not counted from here on.
        self.acked_index = max(self.acked_index, self.match_index)
        # It most likely holds what it held: begin there, and it costs one probe.  Where it has said
        # nothing yet, our guess stands: from the beginning of the log we would look for an entry
        # that nobody has, and have it fetch a whole snapshot instead.
        next_index = self.match_index + 1 if self.match_index else self.next_index
        self.match_index = 0
        self.become_probe()
        self.next_index = next_index

    def become_replicate(self) -> None:
        """The match point is known: send ahead."""
        self.state = ProgressState.REPLICATE
        self.offer = None
        self.is_probe_sent = False
        self.next_index = self.match_index + 1
        self._reset_window()

    def become_snapshot(self) -> None:
        """The peer needs entries that are gone."""
        self.state = ProgressState.SNAPSHOT
        self.offer = None
        self._reset_window()

    def pause_probe(self) -> None:
        """Nothing but heartbeats until the peer answers one."""
        self.become_probe()
        self.is_probe_sent = True

    def _reset_window(self) -> None:
        self.inflights.clear()
        self.inflight_bytes = 0

    def on_accepted(self, match_index: int) -> bool:
        """The peer holds everything up to `match_index`; say whether that is news."""
        # By the index, not by the message: one answer may stand for several appends, and those of
        # a window that was reset are not in it (checklist 90).
        inflights = self.inflights
        while inflights and inflights[0][0] <= match_index:
            self.inflight_bytes -= inflights.popleft()[1]
        if match_index <= self.match_index:
            return False
        self.match_index = match_index
        if match_index >= self.acked_index:
            self.acked_index = 0
            self.has_stepped_back = False
        # It may hold more than we sent: another leader of its past, or we before a restart, did.
        if self.next_index <= match_index:
            self.next_index = match_index + 1
        return True

    def on_rejected(self, prev_index: int, agree_index: int) -> bool:
        """The peer does not hold `prev_index`; say whether that is news (checklist 86, 87)."""
        if self.state is ProgressState.REPLICATE:
            # What it has accepted it does not refuse: that answer is older than the one we had.
            if prev_index <= self.match_index:
                return False
            # The hint is not taken: of what was sent ahead any may have been lost, and the match
            # point is a place where the logs are known to agree.
            self.become_probe()
            return True
        # There is one probe on its way.  An answer to anything else has been overtaken.
        if prev_index != self.next_index - 1 or prev_index <= self.match_index:
            return False  # stale
        if agree_index < self.acked_index:
            self.has_stepped_back = True
        # Always back, never forward, and never onto what is known to match.
        self.next_index = max(min(prev_index, agree_index + 1), self.match_index + 1)
        self.is_probe_sent = False
        return True

    def invariants(self, last_index: int) -> None:
        """What holds between any two calls of the core; the leader's log ends at `last_index`."""
        # What is known to be there is not sent again.
        assert 0 <= self.match_index < self.next_index, "match is below next"
        # `admission` has refused who says that it holds more.
        assert self.match_index <= last_index, "a peer holds only what we sent"
        assert self.next_index <= last_index + 1, "next is at most the end of the log"
        is_ahead = self.state is ProgressState.REPLICATE
        # A window in another state would be one that no answer ever frees.
        assert is_ahead or not self.inflights, "only in step entries are sent ahead"
        is_offered = self.offer is not None
        assert not is_offered or self.state is ProgressState.SNAPSHOT, "offered while it needs it"
        assert self.inflight_bytes >= 0, "only what was sent is answered"

    def statistics(self) -> ProgressStatistics:
        """A frozen view."""
        return ProgressStatistics(
            self.match_index,
            self.next_index,
            self.state,
            self.is_active,
            len(self.inflights),
            self.inflight_bytes,
        )


def own_progress(last_index: int, durable_index: int) -> Progress:
    """A leader's own place among its peers."""
    own = Progress(last_index + 1)
    own.become_replicate()
    # As for anybody: what its disk has.
    own.match_index = durable_index
    own.next_index = last_index + 1
    return own
