"""What a node knows, and the few moves that every conversation makes on it.

The conversations (`election`, `append`, `read_index` and the others) are functions over this
state, one file each, both ends; `core` is the face that the world drives.  What is here is what
more than one of them needs: role changes, the way out, and the arithmetic of commitment.

    FOLLOWER ---- timeout ----> PRE_CANDIDATE -- quorum --> CANDIDATE -- quorum --> LEADER
        ^                             |                         |                     |
        +------ a higher term, a leader of this one, a lost vote, no quorum ----------+

Only the `become_...` below change the role, and all but the pre-vote begin with `_begin`, which
forgets what belonged to the role before: answers counted, reads on their way, and everything that
a leader has (`leading`).
"""

from roost.raft.config import CoreConfig, Dice
from roost.raft.errors import CorruptState, DropReason, ProposalDropped
from roost.raft.leading import Leading
from roost.raft.log import Log, Storage
from roost.raft.messages import Message
from roost.raft.outbox import Outbox
from roost.raft.progress import Progress
from roost.raft.quorum import committed_index
from roost.raft.reads import Reads
from roost.raft.types import Configuration, Entry, EntryKind, HardState, Role, Snapshot


class State:
    """One node's consensus state."""

    def __init__(
        self,
        config: CoreConfig,
        *,
        dice: Dice,
        storage: Storage,
        hard_state: HardState,
        configuration: Configuration,
        applied_index: int,
        is_fenced: bool,
    ) -> None:
        """Begin as a follower that knows no leader; see `Core`."""
        if not storage.first_index - 1 <= applied_index <= storage.last_index:
            text = f"applied {applied_index}, log {storage.first_index} … {storage.last_index}"
            raise CorruptState(f"the log does not reach the applied index: {text}")
        # These three never change while a node lives.
        self.config = config
        self.id = config.id
        self.dice = dice
        # The configuration of the newest change that is *applied*, not of the newest in the log:
        # why that is safe stands in `membership`.  Its version only grows.
        self.configuration = configuration
        self.log = Log(storage, applied_index=applied_index, cache_bytes_max=config.cache_bytes_max)
        if self.log.last_term > hard_state.term:
            raise CorruptState(f"the log's last term {self.log.last_term} is above {hard_state}")
        # Never decreases, and never lies below a term in our log (thesis §3.3).
        self.term = hard_state.term
        # Within a term it moves once, from 0 to a candidate: two votes could make two leaders.
        self.vote = hard_state.vote
        self.role = Role.FOLLOWER
        # Who leads our term, as far as we heard; 0 = nobody yet, or nobody any more as we believe.
        # Within a term never a second one: "election safety", thesis Figure 3.2.
        self.leader_id = 0
        # A candidate's answers of this round, the first of each voter: a voter that changes its
        # mind has restarted, or lies.  Empty while we are no candidate.
        self.votes: dict[int, bool] = {}
        # Everything that only a leader has; there exactly while `role` is LEADER.
        self.leading: Leading | None = None
        # Every role asks for reads and has messages; only what is *answered* belongs to a leader.
        self.reads = Reads()
        self.outbox = Outbox(hard_state)
        # (index, term) of the newest committed change that we know of; see `HardState`.  Never
        # moves back: what is committed stays so.
        self.known_change = (hard_state.change_index, hard_state.change_term)
        # On our own disk it stands that this change is committed, and so is all before it: it is
        # applied before we campaign, or we would ask the voters of a configuration that was left
        # (record 0005).  A log that lacks it has lost its end, and is another's to complete.
        if hard_state.change_index and self.log.holds(*self.known_change):
            self.log.commit_to(hard_state.change_index)
        self._begin_fence(hard_state, is_fenced=is_fenced)
        # Peers that turned out to hold less than they had acknowledged: news that waits for
        # `take_losses`, and stays news when we stop leading.
        self.losses: dict[int, int] = {}
        # The snapshot that a leader offered and our driver is to fetch, and the session in which
        # the answer counts.
        self.offered_snapshot: Snapshot | None = None
        self.offer_session = 0
        # Counts from 1, so that a peer's `heard_tick` 0 can mean never.
        self.tick_count = 1
        # Since the leader was heard, a vote was given, or a campaign began; for a leader, since
        # it last asked whether a quorum is with it.
        self.elapsed_ticks = 0
        # Drawn anew whenever the role may change, so that two that collided once do not again.
        self.election_timeout_ticks = 0
        # A voter that restarts may have promised a lease, and cannot remember: it keeps quiet as
        # long as that may last.
        self.quiet_ticks = config.election_ticks if config.lease_s else 0
        self._draw_timeout()

    def _begin_fence(self, hard_state: HardState, *, is_fenced: bool) -> None:
        """What `fence` keeps: whether our disk may have lost what we promised."""
        # A fenced node neither votes nor campaigns.
        self.is_fenced = is_fenced
        # The highest commit index of a leader that knows of our restart; None = none has spoken.
        self.fence_commit: int | None = None
        # The term in which a leader may still count on what we said before we restarted; 0 = none.
        self.unfamiliar_term = hard_state.term if self.config.life else 0

    @property
    def is_leader_ready(self) -> bool:
        """Whether this node leads and an entry of its own term is committed."""
        leading = self.leading
        return leading is not None and self.log.commit_index >= leading.own_term_first_index

    @property
    def is_promotable(self) -> bool:
        """Whether this node may campaign (checklist 8, 25): it lacks nothing it promised (J19)."""
        return (
            not self.is_fenced
            and not self.log.first_damaged
            and self.configuration.is_voter(self.id)
        )

    @property
    def transfer_target(self) -> int:
        """Whom this leader is handing its leadership to; 0 when it is not."""
        leading = self.leading
        return leading.transfer.target if leading is not None and leading.transfer else 0

    def is_in_lease_of_other(self, sender: int) -> bool:
        """Whether a leader other than `sender` was heard within an election timeout."""
        # For the least that a timeout may be, and not for our own as it was drawn: by then others
        # may campaign, and whoever went on refusing would only make their elections longer.  The
        # leader itself is let in: that it asks for votes says that it leads no more.
        return self.quiet_ticks > 0 or (
            self.config.check_quorum
            and self.leader_id not in (0, sender)
            and self.elapsed_ticks < self.config.election_ticks
        )

    def has_promised(self) -> bool:
        """Whether a leader may be reading by a lease that we gave it."""
        return self.config.lease_s > 0 and self.is_in_lease_of_other(self.id)

    def follow(self, leader: int) -> None:
        """The leader of our term speaks: there can be only one (checklist 18, 72)."""
        # A quorum elected whoever sent this, and we were not refused by it but overtaken: so a
        # candidate of the same term has lost, and says so by following.  A *leader* that hears
        # this has another one in its own term: two quorums would have had to vote for both, and
        # they share a voter.  `admission` has refused that message as its sender's fault already.
        assert self.role is not Role.LEADER, "two leaders in one term"
        if self.role is not Role.FOLLOWER or self.leader_id != leader:
            self.become_follower(self.term, leader)
        self.elapsed_ticks = 0

    def peer_answering(self, sender: int, session: int) -> Progress | None:
        """The peer that answers, now known to be alive; None when it is not for us to listen.

        Only a leader listens, to peers it has, and to what they say in this session (checklist 96).
        """
        # An answer from an earlier session was true of a node that is not there any more: it was
        # removed and its log with it, or it restarted on a disk that may hold less.
        if self.leading is None:
            return None
        progress = self.leading.peers.get(sender)
        if progress is None or progress.session != session:
            return None
        progress.note_heard(self.tick_count)
        return progress

    def was_heard(self, node: int) -> bool:
        """Whether this leader heard `node` within an election timeout; itself it always hears.

        Not the same as being active: that is given to new peers, and to all after an election,
        and asked only once in an election timeout.
        """
        if self.leading is None:
            return False
        progress = self.leading.peers.get(node)
        if progress is None:
            return node == self.id
        # In our own ticks, from our own clock: what a peer's clock says is nobody's business here.
        silent_ticks = self.tick_count - progress.heard_tick
        return progress.heard_tick > 0 and silent_ticks <= self.config.election_ticks

    def become_follower(self, term: int, leader: int) -> None:
        """Follow `leader` (0 = not known yet) in `term`."""
        assert term >= self.term, "terms never decrease"
        self._begin(term)
        self.role = Role.FOLLOWER
        self.leader_id = leader

    def become_pre_candidate(self) -> None:
        """Ask whether an election could be won; term and vote stay (checklist 45)."""
        assert self.role is not Role.LEADER, "a leader does not campaign"
        # We know no leader from here on: else we would refuse the pre-votes of others for the
        # sake of one that we have just given up, and all could refuse each other for ever (etcd
        # #8334).  The term stays because nothing is at stake: a node that is cut off asks for
        # ever, and comes back without having moved anybody's term (thesis §9.6).
        self.votes = {}
        self.leader_id = 0
        self.reads.fail_remote()
        self.role = Role.PRE_CANDIDATE
        self._draw_timeout()

    def become_candidate(self) -> None:
        """Stand for election in the next term; our own vote counts once it is durable."""
        assert self.role is not Role.LEADER, "a leader does not campaign"
        self._begin(self.term + 1)
        # Not counted yet, though nobody else will get it: a crash now would leave no trace of
        # this term, and we could win it again with other entries in it (`election._decide`).
        self.role = Role.CANDIDATE
        self.vote = self.id

    def become_leader(self) -> None:
        """Lead; commit an empty entry of our own term first (thesis §3.6.2)."""
        assert self.role is Role.CANDIDATE, "only a candidate wins"
        self._begin(self.term)
        self.role = Role.LEADER
        self.leader_id = self.id
        last_index = self.log.last_index
        others = [it for it in self.configuration.all_nodes() if it != self.id]
        # All we know of a follower is that it may hold what we hold: so each is probed from our
        # log's end on, and steps back from there (thesis §3.5).
        self.leading = Leading(
            peers={it: Progress(last_index + 1) for it in others},
            own_term_first_index=last_index + 1,
            # It may be an uncommitted change: cheaper than looking (checklist 40).
            pending_change_index=last_index,
        )
        # Whoever leads holds everything committed (thesis §3.6.3): it needs nobody's snapshot.
        self.offered_snapshot = None
        # Entries of earlier terms cannot be committed by counting them (`commit_by_quorum`); one
        # of our own commits them all, and nobody knows when the next proposal comes.
        self.append_own(EntryKind.EMPTY, b"")

    def _begin(self, term: int) -> None:
        """Forget what belonged to the role before; with a new term, the vote too."""
        # The vote belongs to the term, not to the role: a candidate that steps down within its
        # term has voted in it all the same.
        if term != self.term:
            # In a term that is new to us nothing was promised; both go to the disk as one record.
            self.term = term
            self.vote = 0
        self.leader_id = 0
        self.elapsed_ticks = 0
        self.votes = {}
        self.reads.fail_remote()
        if self.leading is not None:
            self.reads.failed += self.leading.rounds.tokens_of(self.id)
            self.leading = None
        self._draw_timeout()

    def _draw_timeout(self) -> None:
        """Uniform in [T, 2T - 1] (checklist 3)."""
        # "randomized election timeouts to ensure that split votes are rare" (thesis §3.4): of
        # several that lost their leader together, one wakes up first and asks the others.
        ticks = self.config.election_ticks
        self.election_timeout_ticks = ticks + self.dice.below(ticks)

    def send(self, to: int, message: Message) -> None:
        """Send now: the message promises nothing that a crash could undo.

        Questions, heartbeats and their echoes, and a leader's entries, which are its word for
        what it *will* hold: nobody counts them before somebody has said that they are durable.
        """
        assert to != self.id, "nothing is sent to oneself"
        self.outbox.messages.append((to, message))

    def reply(self, to: int, message: Message) -> None:
        """Send after everything handed to the disk so far is durable (thesis §3.8)."""
        assert to != self.id, "nothing is sent to oneself"
        # An answer tells of our term, of our vote, or of entries, and whoever hears it builds on
        # that.  Were it to leave first, and we to crash, it would be on record everywhere but
        # here: we could vote again in that term, or lack an entry that was committed with us.
        #
        # Refusals wait as well, though they grant nothing.  Each names our term, often one that we
        # have reached by the very question: whoever hears it may move there, and would find us,
        # after a crash, in an older term than it was told.  And a refusal may be true only by what
        # the same Ready writes: "my vote in this term is given", "my log ends at 9:3".  Forgotten,
        # the next who asks is granted what the first was refused.  No proof counts refusals, so
        # some could be let go; but that takes an argument for each, and waiting takes one write
        # that is on its way anyhow.
        #
        # Where nothing is on its way to the disk this costs nothing: the Ready is durable at once.
        self.outbox.messages_after_persist.append((to, message))

    def check_may_propose(self) -> Leading:
        """Refuse what this node may not append (checklist 41, 120, 136, 138).

        Raises:
            ProposalDropped: it does not lead, or is handing its leadership over.

        """
        leading = self.leading
        # Told apart, since the caller goes to the leader in one case and waits in the other.
        if leading is None:
            raise ProposalDropped(DropReason.NOT_LEADER if self.leader_id else DropReason.NO_LEADER)
        # The target would never hold all of a log that goes on growing (§3.10, step 1).
        if leading.transfer is not None:
            raise ProposalDropped(DropReason.TRANSFERRING)
        return leading

    def append_own(self, kind: EntryKind, payload: bytes) -> int:
        """Put an entry of our own term at the end of the log; return its index.

        The next Ready sends it: what is proposed before the next `take_ready` shares messages.
        """
        leading, log = self.leading, self.log
        assert leading is not None, "only a leader appends of its own"
        index = log.last_index + 1
        log.append(Entry(index, self.term, kind, payload))
        leading.has_unsent = True
        return index

    def match_of(self, node: int) -> int:
        """The highest index `node` is known to hold durably."""
        # Our own copy is one among the others, and counts from where the *disk* has it, too: a
        # leader that counted its memory could commit with a quorum of which one forgets.
        assert self.leading is not None, "only a leader knows"
        return self.log.durable_index if node == self.id else self.leading.peers[node].match_index

    def commit_by_quorum(self) -> bool:
        """Commit what a quorum holds, if it is of our own term; say whether there was more.

        Thesis §3.6.2, Figure 3.7.
        """
        # "Raft never commits log entries from previous terms by counting replicas.  Only log
        # entries from the leader's current term are committed by counting replicas" (§3.6.2).
        # An entry of an older term may be on a majority and still lose to a log that ends in a
        # newer term, whose owner can win without ever having seen it (Figure 3.7).  Once an
        # entry of our own term is on a majority, no such log can win any more.
        log = self.log
        index = committed_index(self.configuration, self.match_of)
        if index <= log.commit_index or log.term_at(index) != self.term:
            return False
        return log.commit_to(index)

    def invariants(self) -> None:
        """What holds between any two calls of the core; each has its reason at its field."""
        # Or we could vote in a term whose entries we hold, for somebody who holds fewer.
        assert self.term >= self.log.last_term, "no entry is of a term that we have not reached"
        saved = self.outbox.hard_state
        assert self.term >= saved.term, "terms never decrease"
        assert self.term > saved.term or saved.vote in (0, self.vote), "one vote a term"
        # Two facts that say the same must not come apart: handlers ask either.
        assert (self.leading is not None) == (self.role is Role.LEADER), "only a leader leads"
        is_own = self.leader_id == self.id
        assert is_own == (self.role is Role.LEADER), "who leads knows it, and nobody else"
        assert not self.votes or self.role in (Role.PRE_CANDIDATE, Role.CANDIDATE), (
            "only a candidate counts answers"
        )
        if self.role is Role.CANDIDATE:
            assert self.vote == self.id, "a candidate votes for itself"
        if self.leading is not None:
            self.leading.invariants(self.configuration, self.id, self.log.last_index)
        self.log.invariants()
        self.outbox.invariants()
