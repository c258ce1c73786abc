"""What is let into the core: no message may end a node, whatever it says (DESIGN.md D15).

A row of `CHECKS` looks at a message before anything of it is believed.  What nobody can say who
follows the rules is its sender's fault, and changes nothing here:

    a message of our own (`Core.step` sees that)
    a claim to lead the term that we lead, or in which we know another leader
    an answer that the sender holds, or lacks, what our log never had
    an echo of a read that was never asked
    news that an entry of the term that we lead is committed before we committed it

`reach` bounds what one message can do to the term.  A term is only ever compared, so that one
forged message could use up all that can be counted: then nobody can be elected any more.  So a
message moves a term by TERM_LEAP_MAX and no more; an election a second takes half a year for as
many.  Whoever is truly further behind moves with every message that it hears.  To use up the
terms takes more than 2^38 messages, which is weeks of nothing else.

A node that an attack had given a term beyond all (`restored`) begins again at RESTORED_TERM, which
no election ever reached, nor its vote: so no term can have two leaders by it.  The others follow
it there in one step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from roost.raft.errors import Contradiction, CorruptState
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
    SnapshotOffer,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from roost.raft.types import COUNT_MAX, HardState, Role

if TYPE_CHECKING:
    from roost.raft.core import Core

TERM_LEAP_MAX = 2**24
RESTORED_TERM = 2**62


def reach(own: int, term: int) -> int:
    """How far a message of a higher term moves a node in term `own`."""
    if term - own <= TERM_LEAP_MAX:
        return term
    begin = RESTORED_TERM if own < RESTORED_TERM <= term else own
    return min(term, begin + TERM_LEAP_MAX)


def restored(held: HardState, last_term: int) -> HardState:
    """The hard state to go on with, where what is held is beyond what can be counted.

    `last_term` is that of the log's newest entry: the new term is far above it, too.

    Raises:
        CorruptState: entries themselves are of such terms, so that none can follow them.

    """
    if held.term <= COUNT_MAX:
        return held
    term = max(RESTORED_TERM, last_term + TERM_LEAP_MAX)
    if term + TERM_LEAP_MAX > COUNT_MAX:
        text = f"entries are of term {last_term}, and no election can follow that"
        raise CorruptState(f"{text}; restore a backup, or a snapshot of what is applied")
    return HardState(term, 0, held.change_index, held.change_term)


def _check_leads(
    core: Core, message: AppendEntries | Heartbeat | SnapshotOffer | TimeoutNow
) -> None:
    """Who leads a term is decided once (thesis Figure 3.2, election safety)."""
    leader = core.leader_id
    if leader not in (0, message.sender) and message.term == core.term:
        text = f"node {message.sender:x} claims to lead term {core.term}"
        raise Contradiction(f"{text}, which node {leader:x} leads")


# Those that answer a leader: nobody else listens to them.  What is rarely so is asked first.


def _check_holds(core: Core, message: AppendAccepted | AppendHeld) -> None:
    if message.match_index > core.log.last_index and _is_answer(core, message.term):
        text = f"node {message.sender:x} would hold entry {message.match_index}"
        raise Contradiction(f"{text}, our log ends at {core.log.last_index}")


def _check_lacks(core: Core, message: AppendRejected) -> None:
    if message.prev_index > core.log.last_index and _is_answer(core, message.term):
        text = f"node {message.sender:x} refuses what follows entry {message.prev_index}"
        raise Contradiction(f"{text}, our log ends at {core.log.last_index}")


def _check_echo(core: Core, message: HeartbeatReply) -> None:
    if message.token > core.reads.newest_token and _is_answer(core, message.term):
        text = f"node {message.sender:x} confirms read {message.token}"
        raise Contradiction(f"{text}, the newest is {core.reads.newest_token}")


def _is_answer(core: Core, term: int) -> bool:
    return core.role is Role.LEADER and term == core.term


def _check_commit(
    core: Core, message: PreVoteRequest | PreVoteReply | VoteRequest | VoteReply
) -> None:
    """Entries of a term are committed by its leader, and others learn it from there."""
    if (
        core.role is Role.LEADER
        and message.commit_term == core.term
        and message.commit_index > core.log.commit_index
    ):
        text = f"node {message.sender:x} takes entry {message.commit_index} for committed"
        raise Contradiction(f"{text}, this leader does not")


CHECKS: dict[type[Message], Callable[[Core, Any], None]] = {
    AppendEntries: _check_leads,
    Heartbeat: _check_leads,
    SnapshotOffer: _check_leads,
    TimeoutNow: _check_leads,
    AppendAccepted: _check_holds,
    AppendHeld: _check_holds,
    AppendRejected: _check_lacks,
    HeartbeatReply: _check_echo,
    PreVoteRequest: _check_commit,
    PreVoteReply: _check_commit,
    VoteRequest: _check_commit,
    VoteReply: _check_commit,
}
