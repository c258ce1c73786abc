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

Why this order, part by part, and what breaks otherwise:

`messages` go first because nothing in them is a promise.  A vote is *asked for*, a heartbeat says
who leads, an append carries entries that count for nothing until somebody answers.  The leader
sends entries while its own disk still writes them (§10.2.1): two writes and a round trip then
take as long as the slower of them, not as their sum.  It may even commit what its own disk does
not have, if a quorum of others does: a quorum is what must not forget, and it is not in it.

`hard_state` before `entries`: an entry of term t must never be durable where term t is not.  A
node that lost power between the two would start in an older term than its log ends in, vote once
more in a term in which it has voted, or follow a deposed leader and let it replace entries of a
newer one.  "Each server persists its current term and vote; this is necessary to prevent the
server from voting twice in the same term or replacing log entries from a newer leader with those
from a deposed leader" (§3.8).  The other way round nothing is lost: a term without entries is
what every election begins with.

`persisted` before `messages_after_persist`, and not before the device has said so: a vote and an
accepted append are what others build on.  A candidate wins with the vote and the leader commits
with the acceptance, and both are still true to everybody else after we have forgotten them in a
crash.  "Each server also persists new log entries before they are counted towards the entries'
commitment" (§3.8), the leader's own among them: it counts itself from `persisted`, and its own
vote too, so that a candidate cannot lead a term that it may win a second time.

Readys become durable in the order they were taken, because a later one may take an earlier one
back: its entries may replace those of the earlier one at the same positions.  Then what the
earlier one vouched for is void, and `log` remembers that (the ABA of truncation, checklist 144).
It also makes a Ready without anything to write wait its turn: its messages may answer for state
that an earlier Ready is still writing.

`committed` may be applied at once, even before the rest of its Ready is durable: the entries in
it are durable here already, by an earlier Ready.  The log never hands out others, though they are
committed by a quorum elsewhere; a state machine must not be ahead of its own log, or a restart
would find an applied index that the log does not reach.  For the same reason the commit index
itself is never written (§3.8): it is learnt again, and what was applied says how much of it we
need at least.  The exception is a committed change of the configuration; see `HardState`.

`applied` is told when it is done, since a configuration takes effect when it is applied, reads
wait for it, and memory is bounded by it.  A read that is answered before its index is applied
sees the past: that is the whole of what ReadIndex promises against (§6.4).

`restore` comes when the snapshot is in place, never before: until then this node is a follower
with an old log, which is a thing that Raft knows about, and a half-installed one is not.

No clock, no chance, no device: time is `tick`, chance is the injected `Dice`.  What a node knows
is `state`; the conversations about it are functions over it, a file each, and DESIGN.md has their
order; `conversations` says which takes what message, `admission` what is let in at all.

Full?  `propose` refuses past `uncommitted_bytes_max`; a peer's window is bounded by count and
bytes; committed entries stop coming past `apply_bytes_max` and `apply_count_max` until `applied` is
called; a follower takes no more entries past `tail_bytes_max` and says so.
"""

from collections.abc import Mapping, Sequence

from roost.raft import (
    admission,
    append,
    election,
    fence,
    handing,
    membership,
    read_index,
    snapshot,
    timers,
    transfer,
)
from roost.raft.confchange import Change, Transition, decode_change
from roost.raft.config import CoreConfig, Dice
from roost.raft.conversations import HANDLERS
from roost.raft.errors import Contradiction, DropReason, ProposalDropped
from roost.raft.log import Storage
from roost.raft.messages import Message
from roost.raft.progress import Progress, ProgressStatistics, own_progress
from roost.raft.ready import Ready
from roost.raft.state import State
from roost.raft.types import Configuration, Entry, EntryKind, HardState, Role, Snapshot


class Core:
    """One node's consensus, as the world drives it; see the module for how to."""

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
        self.config = config
        self.id = config.id
        self.state = State(
            config,
            dice=dice,
            storage=storage,
            hard_state=hard_state,
            configuration=configuration,
            applied_index=applied_index,
            is_fenced=is_fenced,
        )
        # The same object as long as the core lives.
        self.log = self.state.log
        # Whether every call ends with the invariants, as it does in simulations; else `tick` does.
        self.is_checked = False

    @property
    def term(self) -> int:
        """The term we are in."""
        return self.state.term

    @property
    def vote(self) -> int:
        """Whom we voted for in it; 0 = nobody yet."""
        return self.state.vote

    @property
    def role(self) -> Role:
        """What we are in it."""
        return self.state.role

    @property
    def leader_id(self) -> int:
        """Who leads it, as far as we know; 0 = nobody."""
        return self.state.leader_id

    @property
    def configuration(self) -> Configuration:
        """Who takes part: the newest configuration that is applied."""
        return self.state.configuration

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
    def announced_index(self) -> int:
        """The commit index that every follower in step has been told; our own elsewhere."""
        return append.announced_index(self.state)

    @property
    def uncommitted_bytes(self) -> int:
        """Bytes of our own proposals that are not committed; bounded as `propose` says."""
        leading = self.state.leading
        return leading.uncommitted_bytes if leading is not None else 0

    @property
    def unapplied_bytes(self) -> int:
        """Bytes handed out to be applied and not reported by `applied`."""
        return self.state.outbox.unapplied_bytes

    @property
    def silent_ticks(self) -> int:
        """How long ago the leader was heard, or began to be waited for; 0 at a leader."""
        return 0 if self.state.leading is not None else self.state.elapsed_ticks

    @property
    def is_leader_ready(self) -> bool:
        """Whether this node leads and an entry of its own term is committed."""
        return self.state.is_leader_ready

    @property
    def is_promotable(self) -> bool:
        """Whether this node may campaign: it votes, and lacks nothing that it promised."""
        return self.state.is_promotable

    @property
    def is_fenced(self) -> bool:
        """Whether our disk lost what we may have promised, and we have not got it back."""
        return self.state.is_fenced

    @property
    def transfer_target(self) -> int:
        """Whom this leader is handing its leadership to; 0 when it is not."""
        return self.state.transfer_target

    @property
    def peers(self) -> Mapping[int, Progress]:
        """What the leader knows of the others, to look at; empty elsewhere."""
        # Theirs is the state that a leader acts on: whoever looks must not touch.
        leading = self.state.leading
        return leading.peers if leading is not None else {}

    @property
    def lost_entries(self) -> dict[int, int]:
        """Peers that do not yet hold again what they had acknowledged, and how much that was."""
        return fence.lost_entries(self.state)

    def retained_index(self) -> int:
        """The first index a peer that fetches a snapshot needs next; the log's end if none does.

        The journal keeps what follows, or the transfer would have been for nothing (109).
        """
        offered = [it.offer.index + 1 for it in self.peers.values() if it.offer is not None]
        return min(offered, default=self.log.last_index + 1)

    def progress(self) -> dict[int, ProgressStatistics]:
        """What the leader believes of each node, itself included; empty elsewhere."""
        if self.state.leading is None:
            return {}
        # Made for this answer: a leader keeps no progress of its own, so that nothing can disagree
        # with its log.
        own = own_progress(self.log.last_index, self.log.durable_index)
        rows = {node: progress.statistics() for node, progress in self.peers.items()}
        return rows | {self.id: own.statistics()}

    def was_heard(self, node: int) -> bool:
        """Whether this leader heard `node` within an election timeout; itself it always hears."""
        return self.state.was_heard(node)

    def best_successor(self) -> int:
        """The other voter that is in step and furthest; 0 when none is or we do not lead."""
        return transfer.best_successor(self.state)

    def _end(self) -> None:
        """Every call that may have changed something ends like this; the hot ones say it there."""
        if self.is_checked:
            self.state.invariants()

    def tick(self, now_s: float = 0.0) -> None:
        """One unit of time has passed; `now_s` is monotonic and only leases need it."""
        # Here in production as well: often enough that a broken state is found before much is built
        # on it, and seldom enough that it costs nothing that is felt.
        timers.tick(self.state, now_s)
        self.state.invariants()

    def step(self, message: Message) -> None:
        """Take one message from a peer (checklist 11-19).

        Raises:
            Contradiction: no peer that follows the rules says that; nothing was changed.
            LogLost: the leader relies on entries that our log does not have.

        """
        # Three gates, each before anything is changed by what is behind it: what nobody can say,
        # what its term makes us do, and only then what it says.
        state = self.state
        if message.sender == self.id:
            raise Contradiction(f"a message from node {self.id:x} to itself")
        kind, term = type(message), message.term
        for check in admission.CHECKS.get(kind, ()):
            check(state, message)
        # Nearly all are of our own term, and requests are of none: then no table is asked.
        if term == state.term or not term or admission.admit(state, message):
            for handler in HANDLERS[kind]:
                handler(state, message)
        if state.leading is not None:
            # Whatever has just been committed may have been the first entry of our own term.
            read_index.release_deferred(state)
        if self.is_checked:
            state.invariants()

    def campaign(self) -> None:
        """Try to become leader now; a leader or a node that may not ignores it.

        So does one that may have promised a lease to a leader it heard of late (checklist 54).
        """
        state = self.state
        if state.leading is None and state.is_promotable and not state.has_promised():
            # The timer begins anew, or it would fire in the middle of this campaign and end it for
            # another.
            state.elapsed_ticks = 0
            election.campaign(state)
        self._end()

    def forget_leader(self) -> None:
        """The known leader is gone for all we can see: do not keep others from electing.

        Neither term nor timer change (checklist 50); a wrong guess costs nothing but a pre-vote.
        Where leaders read by leases it changes nothing: the promise not to vote stands.
        """
        state = self.state
        # A follower only: a candidate knows no leader, and a leader that forgot itself would be two
        # things at once.
        if state.role is Role.FOLLOWER and not self.config.lease_s:
            state.leader_id = 0
            state.reads.fail_remote()
        self._end()

    def propose(self, payload: bytes) -> int:
        """Append an entry to the leader's log and send it; return its index.

        Raises:
            ProposalDropped: with the reason; nothing was appended.

        """
        leading = self.state.check_may_propose()
        # A single proposal always fits: refused for its size it could never be made at all, and
        # who may propose how much is decided above us.
        size, held = len(payload), leading.uncommitted_bytes
        if held and held + size > self.config.uncommitted_bytes_max:
            raise ProposalDropped(DropReason.LOG_FULL)
        leading.uncommitted_bytes = held + size
        index = self.state.append_own(EntryKind.NORMAL, payload)
        self._end()
        return index

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
        index = membership.propose(
            self.state, changes, context=context, transition=transition, if_version=if_version
        )
        self._end()
        return index

    def propose_leave(self, *, context: bytes = b"", if_version: int | None = None) -> int:
        """Leave a joint configuration; as `propose_change`."""
        index = membership.propose_leave(self.state, context=context, if_version=if_version)
        self._end()
        return index

    def transfer_leadership(self, target: int) -> None:
        """Hand leadership to another voter, within an election timeout or not at all.

        Raises:
            TransferRefused: the target is no other voter, or there is no leader to ask.

        """
        transfer.start(self.state, target)
        self._end()

    def read_lease(self, now_s: float) -> int | None:
        """The index a read may see at once by the leader's lease; None: use `read_index`."""
        # Asked for every read while a lease holds: nothing changes, so that nothing is checked.
        return read_index.by_lease(self.state, now_s)

    def read_index(self, token: int) -> None:
        """Start a linearizable read; its answer comes in a Ready's `reads` or `reads_failed`."""
        read_index.start(self.state, token)
        self._end()

    @property
    def near_read(self) -> int:
        """The oldest round that waits for those alone who answer first; 0: there is none."""
        leading = self.state.leading
        return 0 if leading is None else leading.rounds.oldest_near_token

    def ask_all(self) -> None:
        """Let rounds that wait for some voters alone be confirmed by any quorum."""
        read_index.ask_all(self.state)
        self._end()

    def announce_commit(self) -> None:
        """Tell followers the commit index, where they have not been told."""
        append.announce_commit(self.state)
        self._end()

    def report_unreachable(self, node: int) -> None:
        """A message to `node` was lost: stop sending ahead (checklist 89)."""
        progress = self.peers.get(node)
        # Of a node that is no peer, or where we do not lead, it says nothing.
        if progress is not None:
            append.on_unreachable(progress)
        self._end()

    def take_losses(self) -> dict[int, int]:
        """Peers that were found, since last asked, to hold less than they had acknowledged."""
        # Each once: the alarm that is raised of it stays, whatever the peer does then (J23).
        losses, self.state.losses = self.state.losses, {}
        self._end()
        return losses

    def take_ready(self) -> Ready | None:
        """Hand over what there is to do; None when there is nothing."""
        ready = handing.take(self.state)
        if ready is None:
            return None  # and changed nothing since whoever did looked
        if self.is_checked:
            self.state.invariants()
        return ready

    def persisted(self, ready: Ready) -> None:
        """`ready`, the oldest one not yet reported, is durable."""
        # What became durable may be what our first commit of the term was waiting for.
        handing.on_persisted(self.state, ready)
        read_index.release_deferred(self.state)
        if self.is_checked:
            self.state.invariants()

    def apply_change(self, entry: Entry) -> tuple[Configuration, bytes]:
        """Take a committed change into force; return the configuration and its context.

        Call it for each entry of kind CONFIGURATION, in order, before `applied`; make the
        configuration durable with the index.
        """
        # In force before it is `applied`, and once: who counts decides what is committed next, so
        # that a change which is skipped or repeated would count other nodes than the others do.
        handed = self.state.outbox.handed_changes.popleft()
        assert handed == entry.index, "changes are applied in order, each once"
        configuration, context = decode_change(entry.payload)
        membership.adopt(self.state, configuration)
        read_index.release_deferred(self.state)
        self._end()
        return configuration, context

    def applied(self, index: int) -> None:
        """The state machine has applied everything up to `index`."""
        handing.on_applied(self.state, index)
        self._end()

    def offer_snapshot(self, node: int, snapshot_: Snapshot) -> bool:
        """Answer `snapshots_wanted`; False when the node does not need one any more."""
        # Late answers are usual: to make one takes long, and the peer may have gone on without it.
        is_offered = snapshot.offer(self.state, node, snapshot_)
        self._end()
        return is_offered

    def may_restore(self, snapshot_: Snapshot) -> bool:
        """Whether a fetched snapshot is still news; ask before touching storage.

        When it is not, call `snapshot_failed`, as for one that could not be fetched.
        """
        return snapshot.may_restore(self.state, snapshot_)

    def restore(self, snapshot_: Snapshot) -> None:
        """The snapshot is in place: state machine, journal (empty, behind it), all durable.

        No Ready may be on its way to the disk, and what was handed out to apply is forgotten.
        """
        snapshot.restore(self.state, snapshot_)
        self._end()

    def snapshot_failed(self, snapshot_: Snapshot) -> None:
        """An offered snapshot was not put in place; the leader will offer another if need be."""
        snapshot.fail(self.state, snapshot_)
        self._end()

    def forget_from(self, index: int) -> None:
        """No member holds entry `index`: it was never committed, and neither was what follows.

        Make the storage forget it, too.  Nothing may be on its way to the disk.
        """
        # The log asserts that it was not committed as far as we know.  That nobody holds it is the
        # word of the caller, who has asked them all.
        self.log.forget_from(index)
        self._end()
