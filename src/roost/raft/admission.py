"""What is let into the core: no message may end a node, whatever it says (D15).

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

from enum import Enum

from roost.raft import election
from roost.raft.errors import Contradiction, CorruptState
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
from roost.raft.state import State
from roost.raft.types import COUNT_MAX, HardState, Role

TERM_LEAP_MAX = 2**24
RESTORED_TERM = 2**62


def reach(own: int, term: int) -> int:
    """How far a message of a higher term moves a node in term `own`."""
    if term - own <= TERM_LEAP_MAX:
        return term
    # The one leap that is let through is to where restored nodes begin: they are there together,
    # and to walk to them from a small term would take as long as the attack did.
    begin = RESTORED_TERM if own < RESTORED_TERM <= term else own
    return min(term, begin + TERM_LEAP_MAX)


def restored(held: HardState, last_term: int) -> HardState:
    """The hard state to go on with, where what is held is beyond what can be counted.

    `last_term` is that of the log's newest entry: the new term is far above it, too.

    Raises:
        CorruptState: entries themselves are of such terms, so that none can follow them.

    """
    # The vote goes with the term that it was given in: nobody ever asked for one in the new term.
    if held.term <= COUNT_MAX:
        return held
    term = max(RESTORED_TERM, last_term + TERM_LEAP_MAX)
    if term + TERM_LEAP_MAX > COUNT_MAX:
        text = f"entries are of term {last_term}, and no election can follow that"
        raise CorruptState(f"{text}; restore a backup, or a snapshot of what is applied")
    return HardState(term, 0, held.change_index, held.change_term)


def _check_leads(
    state: State, message: AppendEntries | Heartbeat | SnapshotOffer | TimeoutNow
) -> None:
    """Who leads a term is decided once (thesis Figure 3.2, election safety)."""
    # Of another term it is none of our business here: a lower one is answered, a higher one moves
    # us first.
    leader = state.leader_id
    if leader not in (0, message.sender) and message.term == state.term:
        text = f"node {message.sender:x} claims to lead term {state.term}"
        raise Contradiction(f"{text}, which node {leader:x} leads")


# Those that answer a leader: nobody else listens to them.  What is rarely so is asked first.


def _check_holds(state: State, message: AppendAccepted | AppendHeld) -> None:
    # A leader never cuts its own log, so whoever holds more of this term than we do made it up.
    if message.match_index > state.log.last_index and _is_answer(state, message.term):
        text = f"node {message.sender:x} would hold entry {message.match_index}"
        raise Contradiction(f"{text}, our log ends at {state.log.last_index}")


def _check_lacks(state: State, message: AppendRejected) -> None:
    # A refusal names the append that it refuses, and none followed an entry that we lack.
    if message.prev_index > state.log.last_index and _is_answer(state, message.term):
        text = f"node {message.sender:x} refuses what follows entry {message.prev_index}"
        raise Contradiction(f"{text}, our log ends at {state.log.last_index}")


def _check_echo(state: State, message: HeartbeatReply) -> None:
    # Believed, it would confirm reads that are yet to be asked, by a peer that may not follow then.
    if message.token > state.reads.newest_token and _is_answer(state, message.term):
        text = f"node {message.sender:x} confirms read {message.token}"
        raise Contradiction(f"{text}, the newest is {state.reads.newest_token}")


def _is_answer(state: State, term: int) -> bool:
    return state.role is Role.LEADER and term == state.term


def _check_commit(
    state: State, message: PreVoteRequest | PreVoteReply | VoteRequest | VoteReply
) -> None:
    """Entries of a term are committed by its leader, and others learn it from there."""
    # Were we to believe it, an entry would be committed that a quorum may not hold.
    if (
        state.role is Role.LEADER
        and message.commit_term == state.term
        and message.commit_index > state.log.commit_index
    ):
        text = f"node {message.sender:x} takes entry {message.commit_index} for committed"
        raise Contradiction(f"{text}, this leader does not")


# What has no row says nothing that our own state could contradict: requests only ask; a restart or
# a failed fetch makes us count on its sender for less, never for more; and an answer to a read is
# taken by its token, from the leader that was asked, of whom more cannot be known here.
CHECKS: dict[type[Message], tuple[Handler, ...]] = dict(
    (
        row(AppendEntries, _check_leads),
        row(Heartbeat, _check_leads),
        row(SnapshotOffer, _check_leads),
        row(TimeoutNow, _check_leads),
        row(AppendAccepted, _check_holds),
        row(AppendHeld, _check_holds),
        row(AppendRejected, _check_lacks),
        row(HeartbeatReply, _check_echo),
        row(PreVoteRequest, _check_commit),
        row(PreVoteReply, _check_commit),
        row(VoteRequest, _check_commit),
        row(VoteReply, _check_commit),
    )
)


class Standing(Enum):
    """How a message's term stands to ours."""

    NONE = "none"
    LOWER = "lower"
    EQUAL = "equal"
    HIGHER = "higher"


class Admission(Enum):
    """What a message's term makes us do, before anybody reads the rest of it."""

    HANDLE = "handle it"
    DROP = "drop it"
    TELL_TERM = "tell it our term"
    REFUSE = "refuse, with our term"
    MOVE = "move to its term, then handle it"
    FOLLOW = "move to its term, follow its sender, then handle it"
    UNLESS_GRANTED = "a grant: handle it; a refusal: move to its term, then handle it"
    UNLESS_LED = "drop it while we hear a leader, but for a transfer; else move, then handle it"


# Short names, so that a row of the table below is a line.
_NONE, _LOWER, _EQUAL, _HIGHER = Standing
_HANDLE, _DROP, _MOVE, _FOLLOW = Admission.HANDLE, Admission.DROP, Admission.MOVE, Admission.FOLLOW

# Every kind at every standing that it can have: requests carry no term, so that none is refused
# for it (checklist 11), and everything else has one (`codec`).
#
# A higher term is believed of nearly everybody ("if RPC request or response contains term T >
# currentTerm: set currentTerm = T, convert to follower", thesis Figure 3.1).  The exceptions are
# what keeps a node that was cut off from ending a leadership that works (thesis §4.2.3, §9.6): a
# pre-vote names a term that nobody has yet, so neither the question nor a grant moves anybody,
# and a vote is not even heard while a leader is.
#
# A lower term is dropped, with two exceptions for nodes that would else be stuck.  Whoever leads
# an old term, or whom we passed by in a term of our own that no leader has, is told our term by
# the answer to a heartbeat (checklist 15); so is a candidate, that it may catch up (checklist 16).
ADMISSION: dict[tuple[type[Message], Standing], Admission] = {
    # Asked in a term that is over: the answer brings the candidate up to date, and nothing else
    # does when all it hears are other candidates (checklist 16).
    (PreVoteRequest, _LOWER): Admission.REFUSE,
    (PreVoteRequest, _EQUAL): _HANDLE,
    (PreVoteRequest, _HIGHER): _HANDLE,
    # A grant names the term that was asked for, one above the candidate's: to move there for it
    # would be to move by asking.  A refusal names the term its sender is in.
    (PreVoteReply, _LOWER): _DROP,
    (PreVoteReply, _EQUAL): _HANDLE,
    (PreVoteReply, _HIGHER): Admission.UNLESS_GRANTED,
    # Nobody can win a term that we have left, and its candidate hears of ours soon enough.
    (VoteRequest, _LOWER): _DROP,
    (VoteRequest, _EQUAL): _HANDLE,
    (VoteRequest, _HIGHER): Admission.UNLESS_LED,
    # Votes of another round count for nothing; a refusal of a higher term says that ours is lost.
    (VoteReply, _LOWER): _DROP,
    (VoteReply, _EQUAL): _HANDLE,
    (VoteReply, _HIGHER): _MOVE,
    # A leader that the others have left must hear of it from somebody, and so must one whom we
    # passed by in a term that nobody leads (checklist 15).
    (AppendEntries, _LOWER): Admission.TELL_TERM,
    (AppendEntries, _EQUAL): _HANDLE,
    (AppendEntries, _HIGHER): _FOLLOW,
    # Answers to the leader of another term: what was held for it then says nothing of the log that
    # is led now.
    (AppendAccepted, _LOWER): _DROP,
    (AppendAccepted, _EQUAL): _HANDLE,
    (AppendAccepted, _HIGHER): _MOVE,
    (AppendHeld, _LOWER): _DROP,
    (AppendHeld, _EQUAL): _HANDLE,
    (AppendHeld, _HIGHER): _MOVE,
    (AppendRejected, _LOWER): _DROP,
    (AppendRejected, _EQUAL): _HANDLE,
    (AppendRejected, _HIGHER): _MOVE,
    (Restarted, _LOWER): _DROP,
    (Restarted, _EQUAL): _HANDLE,
    (Restarted, _HIGHER): _MOVE,
    # As an append: either may be all that a deposed leader has to send.
    (Heartbeat, _LOWER): Admission.TELL_TERM,
    (Heartbeat, _EQUAL): _HANDLE,
    (Heartbeat, _HIGHER): _FOLLOW,
    # By it, too, a leader that has been left behind is told our term, see TELL_TERM.
    (HeartbeatReply, _LOWER): _DROP,
    (HeartbeatReply, _EQUAL): _HANDLE,
    (HeartbeatReply, _HIGHER): _MOVE,
    (ReadIndexRequest, _NONE): _HANDLE,
    # What an old leader confirmed may be less than what a newer one has answered since.
    (ReadIndexReply, _LOWER): _DROP,
    (ReadIndexReply, _EQUAL): _HANDLE,
    (ReadIndexReply, _HIGHER): _MOVE,
    # The wish of a leader that leads no more.
    (TimeoutNow, _LOWER): _DROP,
    (TimeoutNow, _EQUAL): _HANDLE,
    (TimeoutNow, _HIGHER): _MOVE,
    (TransferRequest, _NONE): _HANDLE,
    # Not told our term by this one: whoever offers sends heartbeats as well.
    (SnapshotOffer, _LOWER): _DROP,
    (SnapshotOffer, _EQUAL): _HANDLE,
    (SnapshotOffer, _HIGHER): _FOLLOW,
    (SnapshotFailed, _LOWER): _DROP,
    (SnapshotFailed, _EQUAL): _HANDLE,
    (SnapshotFailed, _HIGHER): _MOVE,
}


def admit(state: State, message: Message) -> bool:
    """Do what another term than ours makes us do; say whether the message is to be handled.

    Not asked for an equal term, nor for none: every row of those says "handle it".
    """
    assert message.term, "what has no term is handled"
    standing = _LOWER if message.term < state.term else _HIGHER
    sender, kind = message.sender, type(message)
    match ADMISSION[kind, standing]:
        case Admission.HANDLE:
            return True
        case Admission.DROP:
            return False
        case Admission.TELL_TERM:
            # After the disk, like all that names our term.  Token 0 confirms no read.
            state.reply(sender, HeartbeatReply(state.term, state.id, 0))
            return False
        case Admission.REFUSE:
            election.refuse_pre_vote(state, sender)
            return False
        case Admission.UNLESS_GRANTED if isinstance(message, PreVoteReply) and message.is_granted:
            return True
        case Admission.UNLESS_LED if _is_unheard(state, message):
            return False  # neither term nor vote: we hear a leader (checklist 33)
        case admission:
            return _move(state, message, follows=admission is Admission.FOLLOW)


def _is_unheard(state: State, message: Message) -> bool:
    is_transfer = isinstance(message, VoteRequest) and message.is_transfer
    # The leader itself may take its word back; nobody else may for it.
    return not is_transfer and state.is_in_lease_of_other(message.sender)


def _move(state: State, message: Message, *, follows: bool) -> bool:
    """Move to the message's term, or as far as one message may; say whether we are there."""
    # Short of it the message is dropped: it is of a term that we are not in.  Who really is there
    # says it again, and we come closer each time.
    reached = reach(state.term, message.term)
    is_reached = reached == message.term
    state.become_follower(reached, message.sender if follows and is_reached else 0)
    return is_reached
