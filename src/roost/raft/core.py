"""The consensus core: plain state, `step`, `tick`, `propose`, `take_ready`, `persisted`.

How to drive it (the battery-included way is `roost.member`):

    1. feed news: `step(message)`, `tick()`, `propose(payload)`, `read_index(token)`
    2. `take_ready()` until it returns None, and for each Ready, in this order:
         send `messages`; make `hard_state` and then `entries` durable; call `persisted(ready)`;
         send `messages_after_persist`; apply `committed` (for an entry of kind CONFIGURATION,
         `apply_change(entry)`) and call `applied(index)`; answer `reads` once their index is
         applied; fetch `snapshot`, put it in place and call `restore`, or `snapshot_failed`;
         make a snapshot for `snapshots_wanted` and call `offer_snapshot`
       Persisting may be slow and several Readys may be on their way to the disk, as long as they
       become durable, and are reported, in the order they were taken.

No clock, no chance, no device: time is `tick`, chance is the injected `Dice`.  The conversations
live in `election`, `append` and `read_index`; `admission` says what is let in; this file holds
the state, what a message's term does (thesis §3.3, checklist B) and the Ready.

Full?  `propose` refuses past `uncommitted_bytes_max`; a peer's window is bounded by count and
bytes; committed entries stop coming past `apply_bytes_max` until `applied` is called; a follower
takes no more entries past `tail_bytes_max` and says so.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from roost.raft import (
    admission,
    append,
    election,
    fence,
    membership,
    read_index,
    snapshot,
    transfer,
)
from roost.raft.confchange import Change, Transition, decode_change
from roost.raft.config import CoreConfig, Dice
from roost.raft.errors import Contradiction, CorruptState, DropReason, ProposalDropped
from roost.raft.log import Log, Storage
from roost.raft.messages import (
    AppendAccepted,
    AppendEntries,
    AppendHeld,
    AppendRejected,
    Heartbeat,
    HeartbeatReply,
    Message,
    PreVoteReply,
    PreVoteRequest,
    ReadIndexReply,
    ReadIndexRequest,
    Restarted,
    SnapshotFailed,
    SnapshotOffer,
    TimeoutNow,
    TransferRequest,
    VoteReply,
    VoteRequest,
)
from roost.raft.progress import Progress, ProgressStatistics, own_progress
from roost.raft.quorum import committed_index, has_quorum
from roost.raft.read_index import Reads
from roost.raft.ready import ReadReady, Ready
from roost.raft.types import (
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Role,
    Snapshot,
)


class Core:
    """One node's consensus state; see the module for how to drive it."""

    def __init__(
        self,
        config: CoreConfig,
        *,
        dice: Dice,
        storage: Storage,
        hard_state: HardState,
        configuration: Configuration,
        applied_index: int,
        is_fenced: bool = False,
    ) -> None:
        """Start as a follower that knows no leader (checklist 4-7).

        `is_fenced`: the end of the log was lost, and with it entries that may have been promised.

        Raises:
            CorruptState: the parts of what was stored do not fit each other.

        """
        if not storage.first_index - 1 <= applied_index <= storage.last_index:
            text = f"applied {applied_index}, log {storage.first_index} … {storage.last_index}"
            raise CorruptState(f"the log does not reach the applied index: {text}")
        self.config = config
        self.id = config.id
        self.configuration = configuration
        self.dice = dice
        self.log = Log(storage, applied_index=applied_index, cache_bytes_max=config.cache_bytes_max)
        if self.log.last_term > hard_state.term:
            raise CorruptState(f"the log's last term {self.log.last_term} is above {hard_state}")
        self.term = hard_state.term
        self.vote = hard_state.vote
        self._saved_hard_state = hard_state
        # The newest committed change that we know of, for the hard state; see `HardState`.
        self._known_change = (hard_state.change_index, hard_state.change_term)
        if hard_state.change_index and self.log.holds(*self._known_change):
            self.log.commit_to(hard_state.change_index)
        # A fenced node neither votes nor campaigns; see `fence`.
        self.is_fenced = is_fenced
        # The highest commit index of a leader that knows of our restart; None = none has spoken.
        self.fence_commit: int | None = None
        self.unfamiliar_term = hard_state.term if config.life else 0
        self.role, self.leader_id = Role.FOLLOWER, 0
        self.votes: dict[int, bool] = {}
        self.peers: dict[int, Progress] = {}
        # What `take_losses` will say.
        self.losses: dict[int, int] = {}
        self.tick_count, self.elapsed_ticks, self.heartbeat_elapsed_ticks = 1, 0, 0
        # Where our own disk stood at the last tick, and for how many it has not moved.
        self.stalled_index = self.stalled_ticks = 0
        self.election_timeout_ticks = 0
        self.uncommitted_bytes = self.unapplied_bytes = 0
        self.reads = Reads()
        self.own_term_first_index = 0
        # Peers in step are sent the same message object, so that it is encoded once.
        self.last_append: AppendEntries | None = None
        self._messages: list[tuple[int, Message]] = []
        self._after_persist: list[tuple[int, Message]] = []
        self._apply_sizes: list[tuple[int, int]] = []
        self._taken_count, self._persisted_count, self._has_unsent = 0, 0, False
        # Changes handed out and not yet taken into force by `apply_change`.
        self._handed_changes: deque[int] = deque()
        self.pending_change_index = 0
        self.transfer_target = self.transfer_ticks = 0
        self.snapshots_wanted: list[int] = []
        self.offered_snapshot: Snapshot | None = None
        self.fresh_offer: Snapshot | None = None
        self.offer_session = 0
        # A voter that restarts may have promised a lease; it keeps quiet as long as that may last.
        self.quiet_ticks = config.election_ticks if config.lease_s else 0
        self._draw_timeout()

    # --- what the world may look at -------------------------------------------------------------

    @property
    def commit_index(self) -> int:
        """The highest position known to be committed."""
        return self.log.commit_index

    @property
    def applied_index(self) -> int:
        """The highest position reported by `applied`."""
        return self.log.applied_index

    @property
    def last_index(self) -> int:
        """The highest position in the log, durable or not."""
        return self.log.last_index

    @property
    def is_leader_ready(self) -> bool:
        """Whether this node leads and an entry of its own term is committed."""
        return self.role is Role.LEADER and self.log.commit_index >= self.own_term_first_index

    @property
    def is_promotable(self) -> bool:
        """Whether this node may campaign (checklist 8, 25): it lacks nothing it promised (J19)."""
        return (
            not self.is_fenced
            and not self.log.first_faulty
            and self.configuration.is_voter(self.id)
        )

    def progress(self) -> dict[int, ProgressStatistics]:
        """What the leader believes of each node, itself included; empty elsewhere."""
        if self.role is not Role.LEADER:
            return {}
        own = own_progress(self.log.last_index, self.log.stable_index)
        rows = {node: progress.statistics() for node, progress in self.peers.items()}
        return rows | {self.id: own.statistics()}

    # --- news -----------------------------------------------------------------------------------

    def tick(self, now_s: float = 0.0) -> None:
        """One unit of time has passed; `now_s` is monotonic and only leases need it."""
        self.tick_count += 1
        self.elapsed_ticks += 1
        self.quiet_ticks = max(0, self.quiet_ticks - 1)
        self.reads.now_s = now_s
        if self.role is Role.LEADER:
            self._tick_leader()
        elif self.elapsed_ticks >= self.election_timeout_ticks and self.is_promotable:
            self.elapsed_ticks = 0
            election.campaign(self)

    def _tick_leader(self) -> None:
        config = self.config
        self.heartbeat_elapsed_ticks += 1
        stable_index = self.log.stable_index
        is_stalled = stable_index < self.log.handed_index and stable_index == self.stalled_index
        self.stalled_ticks = self.stalled_ticks + 1 if is_stalled else 0
        self.stalled_index = stable_index
        if self.stalled_ticks > config.stalled_elections_max * config.election_ticks:
            # Our disk does not answer: heartbeats would only keep a working leader from being
            # elected (checklist 53).
            self.become_follower(self.term, 0)
            return
        if self.elapsed_ticks >= config.election_ticks:
            self.elapsed_ticks = 0
            if config.check_quorum and not self._has_active_quorum():
                self.become_follower(self.term, 0)
                return
            for progress in self.peers.values():
                progress.is_active = False
        if self.transfer_target:
            self.transfer_ticks += 1
            if self.transfer_ticks >= config.election_ticks:
                transfer.abort(self)  # checklist 120
                membership.leave_if_due(self)
        if self.heartbeat_elapsed_ticks >= config.heartbeat_ticks:
            self.heartbeat_elapsed_ticks = 0
            append.broadcast_heartbeat(self, is_tick=True)

    def _has_active_quorum(self) -> bool:
        peers = self.peers
        return has_quorum(self.configuration, lambda node: node == self.id or peers[node].is_active)

    def campaign(self) -> None:
        """Try to become leader now; a leader or a node that may not ignores it.

        So does one that may have promised a lease to a leader it heard of late (checklist 54).
        """
        if self.role is not Role.LEADER and self.is_promotable and not self._has_promised():
            self.elapsed_ticks = 0
            election.campaign(self)

    def forget_leader(self) -> None:
        """The known leader is gone for all we can see: do not keep others from electing.

        Neither term nor timer change (checklist 50); a wrong guess costs nothing but a pre-vote.
        Where leaders read by leases it changes nothing: the promise not to vote stands.
        """
        if self.role is Role.FOLLOWER and not self.config.lease_s:
            self.leader_id = 0
            self.reads.fail_remote()

    def propose(self, payload: bytes) -> int:
        """Append an entry to the leader's log and send it; return its index.

        Raises:
            ProposalDropped: with the reason; nothing was appended.

        """
        self.check_may_propose()
        size = len(payload)
        if self.uncommitted_bytes and self.uncommitted_bytes + size > (
            self.config.uncommitted_bytes_max
        ):
            raise ProposalDropped(DropReason.LOG_FULL)
        self.uncommitted_bytes += size
        index = self.log.last_index + 1
        self.append_own(Entry(index, self.term, EntryKind.NORMAL, payload))
        return index

    def check_may_propose(self) -> None:
        """Refuse what this node may not append (checklist 41, 120, 136, 138).

        Raises:
            ProposalDropped: it does not lead, or is handing its leadership over.

        """
        if self.role is not Role.LEADER:
            raise ProposalDropped(DropReason.NOT_LEADER if self.leader_id else DropReason.NO_LEADER)
        if self.transfer_target:
            raise ProposalDropped(DropReason.TRANSFERRING)

    def append_own(self, entry: Entry) -> None:
        """Put an entry of our own term at the end of the log; the next Ready sends it.

        What is proposed before the next `take_ready` so shares messages.
        """
        self.log.append(entry)
        self._has_unsent = True

    # --- membership, leadership, snapshots ------------------------------------------------------

    def propose_change(
        self,
        changes: Sequence[Change],
        *,
        context: bytes = b"",
        transition: Transition = Transition.AUTO,
        if_version: int | None = None,
    ) -> int:
        """Append a change of the configuration; return its index, the next version.

        `context` travels with it and comes back from `apply_change`.  With `if_version`, only
        when that is the version in force.

        Raises:
            ProposalDropped: with the reason; nothing was appended.
            ChangeRefused: the change makes no sense, here or anywhere.

        """
        return membership.propose(
            self, changes, context=context, transition=transition, if_version=if_version
        )

    def propose_leave(self, *, context: bytes = b"", if_version: int | None = None) -> int:
        """Leave a joint configuration; as `propose_change`."""
        return membership.propose_leave(self, context=context, if_version=if_version)

    def apply_change(self, entry: Entry) -> tuple[Configuration, bytes]:
        """Take a committed change into force; return the configuration and its context.

        Call it for each entry of kind CONFIGURATION, in order, before `applied`; make the
        configuration durable with the index.
        """
        handed = self._handed_changes.popleft()
        assert handed == entry.index, "changes are applied in order, each once"
        configuration, context = decode_change(entry.payload)
        membership.adopt(self, configuration)
        return configuration, context

    def transfer_leadership(self, target: int) -> None:
        """Hand leadership to another voter, within an election timeout or not at all.

        Raises:
            TransferRefused: the target is no other voter, or there is no leader to ask.

        """
        transfer.start(self, target)

    @property
    def lost_entries(self) -> dict[int, int]:
        """Peers that do not yet hold again what they had acknowledged, and how much that was."""
        return fence.lost_entries(self)

    def take_losses(self) -> dict[int, int]:
        """Peers that were found, since last asked, to hold less than they had acknowledged."""
        losses, self.losses = self.losses, {}
        return losses

    def best_successor(self) -> int:
        """The other voter that is in step and furthest; 0 when none is or we do not lead."""
        return transfer.best_successor(self)

    def offer_snapshot(self, node: int, snapshot_: Snapshot) -> bool:
        """Answer `snapshots_wanted`; False when the node does not need one any more."""
        return snapshot.offer(self, node, snapshot_)

    def may_restore(self, snapshot_: Snapshot) -> bool:
        """Whether a fetched snapshot is still news; ask before touching storage.

        When it is not, call `snapshot_failed`, as for one that could not be fetched.
        """
        return snapshot.may_restore(self, snapshot_)

    def restore(self, snapshot_: Snapshot) -> None:
        """The snapshot is in place: state machine, journal (empty, behind it), all durable.

        No Ready may be on its way to the disk, and what was handed out to apply is forgotten.
        """
        snapshot.restore(self, snapshot_)

    def snapshot_failed(self, snapshot_: Snapshot) -> None:
        """An offered snapshot was not put in place; the leader will offer another if need be."""
        snapshot.fail(self, snapshot_)

    def forget_handed_out(self) -> None:
        """What was handed out to be applied never will be: a snapshot replaced it."""
        self.unapplied_bytes = 0
        self._apply_sizes.clear()
        self._handed_changes.clear()

    def forget_from(self, index: int) -> None:
        """No member holds entry `index`: it was never committed, and neither was what follows.

        Make the storage forget it, too.  Nothing may be on its way to the disk.
        """
        self.log.forget_from(index)

    def retained_index(self) -> int:
        """The first index a peer that fetches a snapshot needs next; the log's end if none does.

        The journal keeps what follows, or the transfer would have been for nothing (109).
        """
        offered = [it.offer.index + 1 for it in self.peers.values() if it.offer is not None]
        return min(offered, default=self.log.last_index + 1)

    def read_lease(self, now_s: float) -> int | None:
        """The index a read may see at once by the leader's lease; None: use `read_index`."""
        return read_index.by_lease(self, now_s)

    def read_index(self, token: int) -> None:
        """Start a linearizable read; its answer comes in a Ready's `reads` or `reads_failed`."""
        read_index.start(self, token)

    def report_unreachable(self, node: int) -> None:
        """A message to `node` was lost: stop sending ahead (checklist 89)."""
        progress = self.peers.get(node)
        if progress is not None:
            append.on_unreachable(progress)

    @property
    def announced_index(self) -> int:
        """The commit index that every follower in step has been told; our own elsewhere."""
        if self.role is not Role.LEADER:
            return self.log.commit_index
        return append.announced_index(self)

    def announce_commit(self) -> None:
        """Tell followers the commit index, where they have not been told."""
        if self.role is Role.LEADER:
            append.announce_commit(self)

    def applied(self, index: int) -> None:
        """The state machine has applied everything up to `index`."""
        self.log.applied_to(index)
        sizes = self._apply_sizes
        done = 0
        while done < len(sizes) and sizes[done][0] <= index:
            self.unapplied_bytes -= sizes[done][1]
            done += 1
        del sizes[:done]
        assert self.unapplied_bytes >= 0, "only what was handed out is given back"
        changes = self._handed_changes
        assert not changes or changes[0] > index, "a change is in force before it is applied"
        if self.configuration.auto_leave:
            membership.leave_if_due(self)

    # --- messages, admitted by term -------------------------------------------------------------

    def step(self, message: Message) -> None:
        """Take one message from a peer (checklist 11-19).

        Raises:
            Contradiction: no peer that follows the rules says that; nothing was changed.
            LogLost: the leader relies on entries that our log does not have.

        """
        if message.sender == self.id:
            raise Contradiction(f"a message from node {self.id:x} to itself")
        check = admission.CHECKS.get(type(message))
        if check is not None:
            check(self, message)
        term = message.term
        if not term:
            # Requests carry no term, so that none is refused for it (checklist 11).
            HANDLERS[type(message)](self, message)
            return
        if term > self.term:
            if not self._admit_higher_term(message):
                return
        elif term < self.term:
            self._answer_lower_term(message)
            return
        HANDLERS[type(message)](self, message)

    def _admit_higher_term(self, message: Message) -> bool:
        if isinstance(message, PreVoteRequest):
            return True
        if isinstance(message, PreVoteReply) and message.is_granted:
            return True
        if (
            isinstance(message, VoteRequest)
            and not message.is_transfer
            and self.is_in_lease_of_other(message.sender)
        ):
            return False  # neither term nor vote: we hear a leader (checklist 33)
        leads = isinstance(message, AppendEntries | Heartbeat | SnapshotOffer)
        reached = admission.reach(self.term, message.term)
        is_reached = reached == message.term
        self.become_follower(reached, message.sender if leads and is_reached else 0)
        return is_reached

    def _answer_lower_term(self, message: Message) -> None:
        kind = type(message)
        if kind is AppendEntries or kind is Heartbeat:
            # A leader of an old term, or we are stuck in a term of our own: tell it
            # (checklist 15).
            self.reply(message.sender, HeartbeatReply(self.term, self.id, 0))
        elif kind is PreVoteRequest:
            election.refuse_pre_vote(self, message.sender)

    def is_in_lease_of_other(self, sender: int) -> bool:
        """Whether a leader other than `sender` was heard within an election timeout."""
        return self.quiet_ticks > 0 or (
            self.config.check_quorum
            and self.leader_id not in (0, sender)
            and self.elapsed_ticks < self.config.election_ticks
        )

    def _has_promised(self) -> bool:
        """Whether a leader may be reading by a lease that we gave it."""
        return self.config.lease_s > 0 and self.is_in_lease_of_other(self.id)

    def follow(self, leader: int) -> None:
        """The leader of our term speaks: there can be only one (checklist 18, 72)."""
        assert self.role is not Role.LEADER, "two leaders in one term"
        if self.role is not Role.FOLLOWER or self.leader_id != leader:
            self.become_follower(self.term, leader)
        self.elapsed_ticks = 0

    def peer_answering(self, sender: int, session: int) -> Progress | None:
        """The peer that answers, now known to be alive; None when it is not for us to listen.

        Only a leader listens, to peers it has, and to what they say in this session (checklist 96).
        """
        progress = self.peers.get(sender)
        if self.role is not Role.LEADER or progress is None or progress.session != session:
            return None
        self.note_heard(progress)
        return progress

    def note_heard(self, progress: Progress) -> None:
        """A peer has answered this leader."""
        progress.is_active = True
        progress.heard_tick = self.tick_count

    def was_heard(self, node: int) -> bool:
        """Whether this leader heard `node` within an election timeout; itself it always hears.

        Not the same as being active: that is given to new peers, and to all after an election,
        and asked only once in an election timeout.
        """
        if self.role is not Role.LEADER:
            return False
        progress = self.peers.get(node)
        if progress is None:
            return node == self.id
        silent_ticks = self.tick_count - progress.heard_tick
        return progress.heard_tick > 0 and silent_ticks <= self.config.election_ticks

    # --- changing role: the only places that do -------------------------------------------------

    def become_follower(self, term: int, leader: int) -> None:
        """Follow `leader` (0 = not known yet) in `term`."""
        assert term >= self.term, "terms never decrease"
        self._reset(term)
        self.role = Role.FOLLOWER
        self.leader_id = leader

    def become_pre_candidate(self) -> None:
        """Ask whether an election could be won; term and vote stay (checklist 45)."""
        assert self.role is not Role.LEADER, "a leader does not campaign"
        self.votes = {}
        self.leader_id = 0
        self.reads.fail_remote()
        self.role = Role.PRE_CANDIDATE
        self._draw_timeout()

    def become_candidate(self) -> None:
        """Stand for election in the next term; our own vote counts once it is durable."""
        assert self.role is not Role.LEADER, "a leader does not campaign"
        self._reset(self.term + 1)
        self.role = Role.CANDIDATE
        self.vote = self.id

    def become_leader(self) -> None:
        """Lead; commit an empty entry of our own term first (thesis §3.6.2)."""
        assert self.role is Role.CANDIDATE, "only a candidate wins"
        self._reset(self.term)
        self.role = Role.LEADER
        self.leader_id = self.id
        log = self.log
        for node in self.configuration.all_nodes():
            if node != self.id:
                self.peers[node] = Progress(log.last_index + 1)
        self.own_term_first_index = log.last_index + 1
        # It may be an uncommitted change: cheaper than looking (checklist 40).
        self.pending_change_index = log.last_index
        self.offered_snapshot = None
        self.append_own(Entry(log.last_index + 1, self.term, EntryKind.EMPTY, b""))

    def _reset(self, term: int) -> None:
        if term != self.term:
            self.term = term
            self.vote = 0
        self.leader_id = 0
        self.elapsed_ticks = 0
        self.heartbeat_elapsed_ticks = 0
        self.stalled_ticks = 0
        self.votes = {}
        self.peers = {}
        self.uncommitted_bytes = 0
        self.transfer_target = 0
        self.snapshots_wanted = []
        self.reads.fail_all()
        self._draw_timeout()

    def _draw_timeout(self) -> None:
        """Uniform in [T, 2T - 1] (checklist 3)."""
        ticks = self.config.election_ticks
        self.election_timeout_ticks = ticks + self.dice.below(ticks)

    # --- the way out ----------------------------------------------------------------------------

    def send(self, to: int, message: Message) -> None:
        """Send now: the message promises nothing that a crash could undo."""
        assert to != self.id, "nothing is sent to oneself"
        self._messages.append((to, message))

    def reply(self, to: int, message: Message) -> None:
        """Send after everything handed to the disk so far is durable (thesis §3.8)."""
        assert to != self.id, "nothing is sent to oneself"
        self._after_persist.append((to, message))

    def take_ready(self) -> Ready | None:
        """Hand over what there is to do; None when there is nothing."""
        log = self.log
        if self._has_unsent:
            self._has_unsent = False
            append.broadcast(self)
        hard_state: HardState | None = None
        saved = self._saved_hard_state
        if log.change_indexes:
            self._note_committed_change()
        if (
            saved.term != self.term
            or saved.vote != self.vote
            or saved.change_index != self._known_change[0]
        ):
            assert self.term > saved.term or saved.vote in (0, self.vote), "one vote a term"
            hard_state = HardState(self.term, self.vote, *self._known_change)
            self._saved_hard_state = hard_state
        entries = log.take_unhanded() if log.handed_index < log.last_index else []
        committed: tuple[Entry, ...] = ()
        if log.applying_index < log.commit_index:
            committed = self._take_committed()
        reads = self.reads
        if not (
            self._messages
            or self._after_persist
            or entries
            or committed
            or hard_state is not None
            or reads.ready
            or reads.failed
            or self.fresh_offer is not None
            or self.snapshots_wanted
        ):
            return None
        self._taken_count += 1
        ready = Ready(
            self._messages,
            hard_state,
            entries,
            self._after_persist,
            committed,
            [ReadReady(token, index) for token, index in reads.ready] if reads.ready else [],
            reads.take_failed(),
            self._taken_count,
        )
        self._messages = []
        self._after_persist = []
        if reads.ready:
            reads.ready = []
        if self.fresh_offer is not None:
            ready.snapshot, self.fresh_offer = self.fresh_offer, None
        if self.snapshots_wanted:
            ready.snapshots_wanted, self.snapshots_wanted = self.snapshots_wanted, []
        log.note_outstanding(has_entries=bool(entries))
        return ready

    def _note_committed_change(self) -> None:
        index = self.log.committed_change_index
        if index > self._known_change[0]:
            term = self.log.term_at(index)
            assert term is not None, "what is committed and not applied is not compacted"
            self._known_change = (index, term)

    def _take_committed(self) -> tuple[Entry, ...]:
        room = self.config.apply_bytes_max - self.unapplied_bytes
        if room <= 0:
            return ()
        committed = self.log.take_committed(room)
        if committed:
            size = sum(len(entry.payload) for entry in committed)
            self.unapplied_bytes += size
            self._apply_sizes.append((committed[-1].index, size))
            for entry in committed:
                if entry.kind is EntryKind.CONFIGURATION:
                    self._handed_changes.append(entry.index)
            if self.role is Role.LEADER:
                self.uncommitted_bytes = max(0, self.uncommitted_bytes - size)
        return committed

    def persisted(self, ready: Ready) -> None:
        """`ready`, the oldest one not yet reported, is durable."""
        self._persisted_count += 1
        assert ready.number == self._persisted_count, "Readys become durable in order"
        moved = self.log.note_persisted()
        if self.is_fenced:
            fence.lift_if_due(self)
        hard_state = ready.hard_state
        if hard_state is not None and self.role is Role.CANDIDATE:
            election.on_own_vote_durable(self, hard_state)
        if moved and self.role is Role.LEADER:
            self.maybe_commit()

    # --- commitment -----------------------------------------------------------------------------

    def match_of(self, node: int) -> int:
        """The highest index `node` is known to hold durably."""
        return self.log.stable_index if node == self.id else self.peers[node].match_index

    def maybe_commit(self) -> None:
        """Commit what a quorum holds, if it is of our own term (thesis §3.6.2, Figure 3.7)."""
        log = self.log
        index = committed_index(self.configuration, self.match_of)
        if index <= log.commit_index or log.term_at(index) != self.term:
            return
        log.commit_to(index)
        read_index.release_deferred(self)
        if self.config.eager_commit:
            append.announce_commit(self)


HANDLERS: dict[type[Message], Callable[[Core, Any], None]] = {
    AppendEntries: append.on_append_entries,
    AppendAccepted: append.on_accepted,
    AppendHeld: append.on_held,
    AppendRejected: append.on_rejected,
    Heartbeat: append.on_heartbeat,
    HeartbeatReply: append.on_heartbeat_reply,
    Restarted: append.on_restarted,
    PreVoteRequest: election.on_pre_vote_request,
    PreVoteReply: election.on_pre_vote_reply,
    VoteRequest: election.on_vote_request,
    VoteReply: election.on_vote_reply,
    ReadIndexRequest: read_index.on_request,
    ReadIndexReply: read_index.on_reply,
    TimeoutNow: transfer.on_timeout_now,
    TransferRequest: transfer.on_request,
    SnapshotOffer: snapshot.on_offer,
    SnapshotFailed: snapshot.on_failed,
}
