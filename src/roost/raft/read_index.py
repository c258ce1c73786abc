"""The linearizable-read conversation, both ends: ReadIndex (thesis §6.4, checklist 111-117).

The leader notes its commit index, proves by a round of heartbeats sent *after* the read arrived
that it still leads, and only then gives the index out.  Rounds are known by tokens counted up by
the leader and never used again; an echo of a token confirms it and all before it.

With a lease (off by default) the leader may read for `lease_s` after the *sending* of a round
that a quorum answered, by one monotonic clock: no voter that answered grants another a vote
before its election timeout has passed (checklist 54).  That trusts clocks to run alike; ReadIndex
does not.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from roost.raft import append
from roost.raft.messages import ReadIndexReply, ReadIndexRequest
from roost.raft.quorum import has_quorum
from roost.raft.types import Role

if TYPE_CHECKING:
    from roost.raft.core import Core
    from roost.raft.progress import Progress

# Reads of other members waiting for our first commit, or for a round; more are answered with
# "ask again".  Our own reads are bounded by our caller.
REMOTE_COUNT_MAX = 10_000


class Reads:
    """Reads on their way, at the leader's end and at the asker's."""

    def __init__(self) -> None:
        """Nothing is on its way."""
        self.newest_token = 0
        # Leader: rounds on their way, oldest first: (token, index, asker, asker's token).
        self.rounds: deque[tuple[int, int, int, int]] = deque()
        # Leader: reads that came before an entry of our own term was committed.
        self.deferred: list[tuple[int, int]] = []
        # Follower: our own tokens that the leader was asked for.
        self.asked: list[int] = []
        self.ready: list[tuple[int, int]] = []
        self.failed: list[int] = []
        self.own_id = 0
        # Leases: the time of the last tick, (token, time sent) of rounds, and how far it reaches.
        self.now_s = 0.0
        self.sent: deque[tuple[int, float]] = deque()
        self.lease_end_s = 0.0
        self.may_lease = True

    def take_failed(self) -> list[int]:
        """Hand over the reads that must be asked again."""
        if not self.failed:
            return []
        failed, self.failed = self.failed, []
        return failed

    def fail_remote(self) -> None:
        """The leader we asked is gone."""
        self.failed += self.asked
        self.asked = []

    def fail_all(self) -> None:
        """The term or our role changed: nothing that was on its way may be answered."""
        self.fail_remote()
        own = self.own_id
        self.failed += [token for _, _, asker, token in self.rounds if asker == own]
        self.failed += [token for asker, token in self.deferred if asker == own]
        self.rounds.clear()
        self.deferred = []
        self.end_lease()
        self.may_lease = True

    def end_lease(self) -> None:
        """Nothing answered so far may extend it again (openraft 1ef3e574)."""
        self.sent.clear()
        self.lease_end_s = 0.0


def start(core: Core, token: int) -> None:
    """A read of our own starts."""
    reads = core.reads
    reads.own_id = core.id
    if core.role is Role.LEADER:
        _start_round(core, core.id, token)
    elif core.leader_id:
        reads.asked.append(token)
        core.send(core.leader_id, ReadIndexRequest(core.id, token))
    else:
        reads.failed.append(token)


def forbid_lease(core: Core) -> None:
    """Somebody was told to campaign at once, and may obey at any time while this term lasts."""
    core.reads.end_lease()
    core.reads.may_lease = False


def by_lease(core: Core, now_s: float) -> int | None:
    """The commit index, if our lease covers `now_s`."""
    is_covered = now_s < core.reads.lease_end_s and not core.transfer_target
    return core.log.commit_index if is_covered and core.is_leader_ready else None


def note_round_sent(core: Core) -> None:
    """A heartbeat of the tick leaves: a quorum's answers will extend the lease from now."""
    reads = core.reads
    if core.config.lease_s and reads.may_lease and not core.transfer_target:
        reads.newest_token += 1
        reads.sent.append((reads.newest_token, reads.now_s))


def _extend_lease(core: Core) -> None:
    reads = core.reads
    while reads.sent and _is_confirmed(core, reads.sent[0][0]):
        reads.lease_end_s = reads.sent.popleft()[1] + core.config.lease_s


def _is_confirmed(core: Core, token: int) -> bool:
    """Whether a quorum followed us after `token` was made."""
    peers, own = core.peers, core.id
    return has_quorum(
        core.configuration, lambda node: node == own or peers[node].read_token >= token
    )


def on_request(core: Core, message: ReadIndexRequest) -> None:
    """Another member asks; if we do not lead it will ask again."""
    if core.role is not Role.LEADER or message.sender not in core.peers:
        return
    reads = core.reads
    if len(reads.deferred) + len(reads.rounds) >= REMOTE_COUNT_MAX:
        core.send(message.sender, ReadIndexReply(core.term, core.id, message.token, 0))
        return
    _start_round(core, message.sender, message.token)


def _start_round(core: Core, asker: int, token: int) -> None:
    reads = core.reads
    if not core.is_leader_ready:
        reads.deferred.append((asker, token))
        return
    if core.configuration.all_voters() == (core.id,):
        _answer(core, asker, token, core.log.commit_index)
        return
    reads.newest_token += 1
    reads.rounds.append((reads.newest_token, core.log.commit_index, asker, token))
    append.broadcast_heartbeat(core, is_tick=False)


def release_deferred(core: Core) -> None:
    """An entry of our own term is committed: reads that waited for it may start."""
    deferred, core.reads.deferred = core.reads.deferred, []
    for asker, token in deferred:
        _start_round(core, asker, token)


def on_token_echoed(core: Core, progress: Progress, token: int) -> None:
    """A peer answered the heartbeat with this token: it followed us after the read arrived."""
    if token <= progress.read_token:
        return
    progress.read_token = token
    if core.reads.sent:
        _extend_lease(core)
    rounds = core.reads.rounds
    while rounds and _is_confirmed(core, rounds[0][0]):
        _, index, asker, asker_token = rounds.popleft()
        _answer(core, asker, asker_token, index)


def _answer(core: Core, asker: int, token: int, index: int) -> None:
    if asker == core.id:
        core.reads.ready.append((token, index))
    else:
        core.send(asker, ReadIndexReply(core.term, core.id, token, index))


def on_reply(core: Core, message: ReadIndexReply) -> None:
    """The leader confirmed a read of ours, or asks us to come again."""
    reads = core.reads
    if message.sender != core.leader_id or message.token not in reads.asked:
        return
    reads.asked.remove(message.token)
    if message.index:
        reads.ready.append((message.token, message.index))
    else:
        reads.failed.append(message.token)
