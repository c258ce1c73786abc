"""The messages between nodes, one type each.

Every message carries the sender's term, but for `ReadIndexRequest`: a request must not be
refused for its term (checklist 11).  `PreVoteRequest.term` and a granted `PreVoteReply.term` are
the term the candidate *would* have; they never change anybody's term (checklist 13).
"""

import msgspec

from roost.raft.types import Entry


class PreVoteRequest(msgspec.Struct, frozen=True, gc=False, tag="pre_vote"):
    """Would you vote for me in `term`?  Thesis §9.6."""

    term: int
    sender: int
    last_index: int
    last_term: int


class PreVoteReply(msgspec.Struct, frozen=True, gc=False, tag="pre_vote_reply"):
    """A grant echoes the request's term; a rejection carries the voter's own."""

    term: int
    sender: int
    is_granted: bool


class VoteRequest(msgspec.Struct, frozen=True, gc=False, tag="vote"):
    """Vote for me in `term`.  Thesis §3.4; `is_transfer` bypasses the lease (§3.10)."""

    term: int
    sender: int
    last_index: int
    last_term: int
    is_transfer: bool = False


class VoteReply(msgspec.Struct, frozen=True, gc=False, tag="vote_reply"):
    """Leaves only after the vote is durable."""

    term: int
    sender: int
    is_granted: bool


class AppendEntries(msgspec.Struct, frozen=True, gc=False, tag="append"):
    """Leader to follower: these entries follow (prev_index, prev_term).  Thesis §3.5.

    Empty `entries` is a probe or news of the commit index.  `codec.decode` has checked:
        entries[i].index == prev_index + 1 + i
        prev_term <= entries[0].term <= … <= entries[-1].term <= term
    """

    term: int
    sender: int
    prev_index: int
    prev_term: int
    commit_index: int
    entries: tuple[Entry, ...] = ()


class AppendAccepted(msgspec.Struct, frozen=True, gc=False, tag="accepted"):
    """The sender's log equals the leader's up to `match_index`, durably."""

    term: int
    sender: int
    match_index: int


class AppendRejected(msgspec.Struct, frozen=True, gc=False, tag="rejected"):
    """(prev_index, …) is not in the sender's log; the logs may agree at the hint (checklist 70)."""

    term: int
    sender: int
    prev_index: int
    hint_index: int
    hint_term: int


class Heartbeat(msgspec.Struct, frozen=True, gc=False, tag="heartbeat"):
    """I lead.  `commit_index` is at most what the receiver is known to hold."""

    term: int
    sender: int
    commit_index: int
    token: int


class HeartbeatReply(msgspec.Struct, frozen=True, gc=False, tag="heartbeat_reply"):
    """Echoes the newest read token it was sent (checklist 113)."""

    term: int
    sender: int
    token: int


class ReadIndexRequest(msgspec.Struct, frozen=True, gc=False, tag="read"):
    """Follower to leader: which index must a read that starts now see?  Carries no term."""

    sender: int
    token: int
    term: int = 0


class ReadIndexReply(msgspec.Struct, frozen=True, gc=False, tag="read_reply"):
    """A read with this token is linearizable at `index`; index 0: ask again later."""

    term: int
    sender: int
    token: int
    index: int


Message = (
    PreVoteRequest
    | PreVoteReply
    | VoteRequest
    | VoteReply
    | AppendEntries
    | AppendAccepted
    | AppendRejected
    | Heartbeat
    | HeartbeatReply
    | ReadIndexRequest
    | ReadIndexReply
)
