"""Which conversation takes a message: one row a kind, its handlers in order.

A conversation never calls one that stands above it (`state` first, `membership` last; DESIGN.md
has the order).  Where news of one is news for another further up, both have a place in the row.
"""

from roost.raft import append, election, heartbeat, read_index, snapshot, transfer
from roost.raft.handler import Handler, row
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

# In the order of the life of a cluster: somebody is elected, entries go out, heartbeats keep it so,
# reads are answered, leadership moves, and whoever fell behind is brought up.
HANDLERS: dict[type[Message], tuple[Handler, ...]] = dict(
    (
        row(PreVoteRequest, election.on_pre_vote_request),
        row(PreVoteReply, election.on_pre_vote_reply),
        row(VoteRequest, election.on_vote_request),
        row(VoteReply, election.on_vote_reply),
        row(AppendEntries, append.on_append_entries),
        # First what the peer holds, then whether that is all that the target of a transfer lacks.
        row(AppendAccepted, append.on_accepted, transfer.on_accepted),
        row(AppendHeld, append.on_held),
        row(AppendRejected, append.on_rejected),
        row(Restarted, append.on_restarted),
        row(Heartbeat, heartbeat.on_heartbeat),
        # Readers first: they wait, and what the reply lets us send again is much longer.
        row(HeartbeatReply, read_index.on_echo, heartbeat.on_reply),
        row(ReadIndexRequest, read_index.on_request),
        row(ReadIndexReply, read_index.on_reply),
        row(TimeoutNow, transfer.on_timeout_now),
        row(TransferRequest, transfer.on_request),
        row(SnapshotOffer, snapshot.on_offer),
        row(SnapshotFailed, snapshot.on_failed),
    )
)
