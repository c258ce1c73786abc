"""What a member tells of itself as `events`: what the loop sees turn by turn, made into values.

It only looks: nothing here changes the core or the roster.
"""

from typing import Final

from roost.member.cluster.roster import MemberRecord, Roster
from roost.member.config import MemberConfig
from roost.member.events import (
    Committed,
    ConflictTruncated,
    HeartbeatLate,
    LeaderChanged,
    MemberAdded,
    MemberRemoved,
    MemberReplaced,
    News,
    RoleChanged,
    TermChanged,
)
from roost.member.pipeline.traces import Traces
from roost.raft import Core, Ready, Role

# How much of the election timeout may pass in silence before it is told.
LATE_PART: Final = 0.8


class Reporter:
    """Looks at one member, and tells."""

    def __init__(
        self, core: Core, roster: Roster, config: MemberConfig, news: News, traces: Traces
    ) -> None:
        """Nothing has changed yet."""
        self._core = core
        self._roster = roster
        self._news = news
        self._traces = traces
        self._tick_ms = config.heartbeat_ms
        self._late_ticks = LATE_PART * config.election_ms / config.heartbeat_ms
        self._is_late = False
        # The newest entry that was given to the disk.
        self._last_index = core.log.handed_index
        self._records = self._by_id()

    def _by_id(self) -> dict[int, MemberRecord]:
        return {it.id: it for it in self._roster.records()}

    def _name(self, member_id: int) -> str:
        record = self._records.get(member_id)
        return "" if record is None else record.name

    def on_ready(self, ready: Ready) -> None:
        """A Ready is about to be carried out."""
        if ready.entries:
            first, last = ready.entries[0].index, self._last_index
            if first <= last:
                self._news.tell(ConflictTruncated(first, last))
            self._last_index = ready.entries[-1].index
        if ready.committed and self._traces.live:
            matches = {node: it.match_index for node, it in self._core.peers.items()}
            self._traces.on_committed(ready.committed[-1].index, matches)
        if ready.committed and self._news.is_heard:
            self._news.tell(Committed(ready.committed[-1].index))

    def on_installed(self) -> None:
        """A snapshot has taken the place of log and trees."""
        self._last_index = self._core.log.handed_index
        self.on_roster()

    def on_role(self, before: Role, term_before: int) -> None:
        """The role or the term has changed."""
        core = self._core
        if core.term != term_before:
            self._news.tell(TermChanged(term_before, core.term))
        if core.role is not before:
            self._news.tell(RoleChanged(before.value, core.role.value, core.term))

    def on_leader(self) -> None:
        """Another member leads, or nobody is known to."""
        core = self._core
        self._is_late = False
        self._news.tell(LeaderChanged(core.leader_id, self._name(core.leader_id), core.term))

    def on_roster(self) -> None:
        """Members may have come, gone, or been renamed."""
        before, self._records = self._records, self._by_id()
        added = [it for it in self._records.values() if it.id not in before]
        removed = [it for it in before.values() if it.id not in self._records]
        if len(added) == len(removed) == 1:
            new, old = added[0], removed[0]
            self._news.tell(MemberReplaced(new.id, new.peer_urls, old.id, old.name))
            return
        for it in added:
            self._news.tell(MemberAdded(it.id, it.name, it.peer_urls, it.is_learner))
        for it in removed:
            self._news.tell(MemberRemoved(it.id, it.name))

    def tick(self) -> None:
        """One heartbeat interval has passed."""
        core = self._core
        silent_ticks = core.silent_ticks
        is_late = bool(core.leader_id) and silent_ticks >= self._late_ticks
        if is_late and not self._is_late:
            name = self._name(core.leader_id)
            self._news.tell(HeartbeatLate(core.leader_id, name, silent_ticks * self._tick_ms))
        self._is_late = is_late
