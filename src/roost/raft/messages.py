"""The messages between nodes, one type each.

Every message carries the sender's term, but for `ReadIndexRequest` and `TransferRequest`: a
request must not be refused for its term (checklist 11).  `PreVoteRequest.term` and a granted
`PreVoteReply.term` are the term the candidate *would* have; they never change anybody's term
(checklist 13).

`session` is the version of the configuration that brought the peer into the leader's term, 0
for those who were there when it was elected.  An answer to another session is dropped, so that
what a node said before it was removed and added again can never vouch for it (checklist 96).
"""

import msgspec

from roost.raft.types import Configuration, Entry


class PreVoteRequest(msgspec.Struct, frozen=True, gc=False, tag="pre_vote"):
    """Would you vote for me in `term`?  Thesis §9.6; (commit_index, …) as in `VoteRequest`."""

    term: int
    sender: int
    # Where the candidate's log ends: what the voter compares its own with (§3.6.1).
    last_index: int
    last_term: int
    # commit_term 0 = it does not know the term there any more; then the pair says nothing.
    commit_index: int = 0
    commit_term: int = 0


class PreVoteReply(msgspec.Struct, frozen=True, gc=False, tag="pre_vote_reply"):
    """A grant echoes the request's term; a rejection carries the voter's own."""

    term: int
    sender: int
    # A grant is no promise: it may be given to many at a time, and nobody remembers it.
    is_granted: bool
    commit_index: int = 0
    commit_term: int = 0


class VoteRequest(msgspec.Struct, frozen=True, gc=False, tag="vote"):
    """Vote for me in `term`.  Thesis §3.4; `is_transfer` bypasses the lease (§3.10).

    (commit_index, commit_term) is an entry known to be committed: whoever holds it may commit
    up to it, which lets voters learn of a change that only the dead leader knew (checklist 43).
    """

    term: int
    sender: int
    last_index: int
    last_term: int
    # The leader itself wants it: voters that hear a leader listen all the same.
    is_transfer: bool = False
    commit_index: int = 0
    commit_term: int = 0


class VoteReply(msgspec.Struct, frozen=True, gc=False, tag="vote_reply"):
    """Leaves only after the vote is durable; tells of a committed entry as the request does."""

    term: int
    sender: int
    # A grant is given once a term, to one candidate (thesis Figure 3.1); a refusal waits for the
    # disk as well, see `State.reply`.
    is_granted: bool
    commit_index: int = 0
    commit_term: int = 0


class AppendEntries(msgspec.Struct, frozen=True, gc=False, tag="append"):
    """Leader to follower: these entries follow (prev_index, prev_term).  Thesis §3.5.

    Empty `entries` is a probe or news of the commit index.  `codec.decode` has checked:
        entries[i].index == prev_index + 1 + i
        prev_term <= entries[0].term <= … <= entries[-1].term <= term
    """

    term: int
    sender: int
    # (0, 0) before the first entry of all.
    prev_index: int
    prev_term: int
    # The leader's own, which may lie beyond these entries: the follower takes the smaller (§3.5).
    commit_index: int
    entries: tuple[Entry, ...] = ()
    session: int = 0


class AppendAccepted(msgspec.Struct, frozen=True, gc=False, tag="accepted"):
    """The sender's log equals the leader's up to `match_index`, durably."""

    term: int
    sender: int
    # Where the append that is answered ended, not where the sender's log does: what it has behind
    # that may be another leader's (checklist 69).
    match_index: int
    session: int = 0


class AppendHeld(msgspec.Struct, frozen=True, gc=False, tag="held"):
    """Accepted up to `match_index`; there is no room for more until later (checklist 98)."""

    term: int
    sender: int
    # Counts for commits like an accepted one; that it may be less than was sent is the only
    # difference.
    match_index: int
    session: int = 0


class Restarted(msgspec.Struct, frozen=True, gc=False, tag="restarted"):
    """I have restarted since you began to lead: what I told you before counts no more.

    Only what is said in `session` does, which no life before had.
    """

    term: int
    sender: int
    session: int


class AppendRejected(msgspec.Struct, frozen=True, gc=False, tag="rejected"):
    """(prev_index, …) is not in the sender's log; the logs may agree at the hint (checklist 70)."""

    term: int
    sender: int
    # The one that was asked about: by it a leader tells this answer from an older one.
    prev_index: int
    # Never a match point.  hint_term 0 = not known there any more, or before the first entry.
    hint_index: int
    hint_term: int
    session: int = 0


class Heartbeat(msgspec.Struct, frozen=True, gc=False, tag="heartbeat"):
    """I lead.  `commit_index` is at most what the receiver is known to hold."""

    term: int
    sender: int
    # Not the leader's commit index but min(match, commit): it carries no position and term to
    # check against, so it may only speak of what the receiver said it holds (checklist 71).
    commit_index: int
    # The newest there is, 0 before the first: answering it confirms all reads up to it.
    token: int


class HeartbeatReply(msgspec.Struct, frozen=True, gc=False, tag="heartbeat_reply"):
    """Echoes the newest read token it was sent (checklist 113)."""

    term: int
    sender: int
    # As it came, never one of the answerer's own: only so does it prove that it followed *then*.
    token: int


class ReadIndexRequest(msgspec.Struct, frozen=True, gc=False, tag="read"):
    """Follower to leader: which index must a read that starts now see?  Carries no term."""

    sender: int
    # The asker's own name for the read; the leader has another for the round.
    token: int
    term: int = 0


class ReadIndexReply(msgspec.Struct, frozen=True, gc=False, tag="read_reply"):
    """A read with this token is linearizable at `index`; index 0: ask again later."""

    term: int
    sender: int
    # As it was asked, and not the leader's own for the round.
    token: int
    index: int


class TimeoutNow(msgspec.Struct, frozen=True, gc=False, tag="timeout_now"):
    """Campaign at once: you hold all of my log, which ends at (last_index, last_term).  §3.10."""

    term: int
    sender: int
    # By it the target sees whether this is of now: on an old word it would end a leadership that
    # nobody gives away any more.
    last_index: int
    last_term: int


class TransferRequest(msgspec.Struct, frozen=True, gc=False, tag="transfer"):
    """Follower to leader: hand your leadership to `target`.  Carries no term."""

    sender: int
    # Looked at by the leader only: what it may do there, the sender need not know.
    target: int
    term: int = 0


class SnapshotOffer(msgspec.Struct, frozen=True, gc=False, tag="snapshot"):
    """The entries you need are gone; fetch my snapshot at (index, index_term) instead."""

    term: int
    sender: int
    # What the snapshot holds: everything up to here.  (index, index_term) is a committed entry.
    index: int
    index_term: int
    session: int
    # In force at `index`; its version is at most that.
    configuration: Configuration


class SnapshotFailed(msgspec.Struct, frozen=True, gc=False, tag="snapshot_failed"):
    """The snapshot at `index` could not be had; offer another one later."""

    term: int
    sender: int
    # Which offer it was: a failure of an earlier one must not bring another copy about.
    index: int
    session: int = 0


Message = (
    PreVoteRequest
    | PreVoteReply
    | VoteRequest
    | VoteReply
    | AppendEntries
    | AppendAccepted
    | AppendHeld
    | AppendRejected
    | Restarted
    | Heartbeat
    | HeartbeatReply
    | ReadIndexRequest
    | ReadIndexReply
    | TimeoutNow
    | TransferRequest
    | SnapshotOffer
    | SnapshotFailed
)
