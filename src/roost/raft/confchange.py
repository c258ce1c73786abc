"""Changes of the configuration, as arithmetic (thesis §4; checklist 124-134).

The leader works out the whole next configuration when a change is proposed, and the entry
carries that: every member adopts the same one when it applies the entry, and never computes.

    simple  at most one voter comes or goes; every majority of the old configuration meets every
            majority of the new one
    joint   any change: voters of both halves decide until the joint configuration is left

An entry of kind CONFIGURATION, integers big-endian:

    u64  version, the entry's own index
    u8   1 if the joint configuration is left by itself
    4 times u16 count, then u64 each: voters, outgoing, learners, learners_next
    then the context: bytes of the caller's, applied with the change
"""

from collections.abc import Sequence
from enum import Enum, IntEnum
from struct import Struct
from struct import error as StructError

import msgspec

from roost.raft.errors import ChangeRefused, MalformedMessage
from roost.raft.types import NODE_ID_MAX, Configuration

_HEAD = Struct(">QB")
_COUNT = Struct(">H")
# All nodes of one configuration; more is a mistake, and would not fit a message's fields.
NODES_MAX = 1000


class ChangeKind(IntEnum):
    """What happens to a node."""

    ADD_VOTER = 0
    ADD_LEARNER = 1
    REMOVE = 2


class Change(msgspec.Struct, frozen=True, gc=False):
    """One step: `node` becomes a voter, becomes a learner, or goes.  Doing it again is harmless."""

    kind: ChangeKind
    node: int


class Transition(Enum):
    """How a change may pass through a joint configuration."""

    AUTO = "simple if it can be, else joint and left by itself"
    JOINT = "joint, and left by itself"
    JOINT_EXPLICIT = "joint, until somebody leaves it"


def next_configuration(
    old: Configuration, changes: Sequence[Change], transition: Transition, version: int
) -> Configuration:
    """The configuration after `changes`, in force from entry `version`.

    Raises:
        ChangeRefused: the old one is joint, nobody would vote, or a node id is none.

    """
    # A third set of voters on top of the two would have to meet both, and nobody has shown that it
    # does: what is begun is ended first (thesis §4.3).
    if old.is_joint:
        raise ChangeRefused("a joint configuration must be left before the next change")
    if not changes:
        raise ChangeRefused("a change without a step changes nothing")
    # One voter more or less: any majority of the old meets any of the new, so that both may decide
    # during the change (thesis §4.1).  With two at once they need not, hence the joint one.
    voters, learners, staged = set(old.voters), set(old.learners), set[int]()
    # More than one step is joint even if they cancel out: to tell would take more than it saves.
    is_joint = transition is not Transition.AUTO or len(changes) > 1
    for change in changes:
        node = change.node
        if not 0 < node <= NODE_ID_MAX:
            raise ChangeRefused(f"node id {node} is not in 1 … 2^64-1")
        # Whatever it was, it is taken out and put where the step says: so a step may be repeated,
        # and steps of one change may undo each other.
        # In the old half, whatever an earlier step of this change made of it: that half votes on.
        was_voter = node in old.voters
        voters.discard(node)
        learners.discard(node)
        staged.discard(node)
        if change.kind is ChangeKind.ADD_VOTER:
            voters.add(node)
        elif change.kind is ChangeKind.ADD_LEARNER:
            # A voter of the outgoing half cannot be a learner yet (checklist 127).
            # In a simple change there is no such half: it stops voting when it begins to learn.
            (staged if was_voter and is_joint else learners).add(node)
    # An empty half agrees with everything, so that such a cluster would commit without anybody.
    if not voters:
        raise ChangeRefused("a configuration without voters decides nothing")
    # The old half among them: for as long as it votes it gets the log like everybody else.
    if len(voters | learners | staged | set(old.voters)) > NODES_MAX:
        raise ChangeRefused(f"more than {NODES_MAX} nodes")
    return Configuration(
        version=version,
        voters=tuple(sorted(voters)),
        # The old half as it was, for it must go on meeting the majorities of before.
        outgoing=old.voters if is_joint else (),
        learners=tuple(sorted(learners)),
        learners_next=tuple(sorted(staged)),
        # While it is joint two majorities are needed, and more failures stop it than before or
        # after: it should not depend on somebody coming back to end it.
        auto_leave=is_joint and transition is not Transition.JOINT_EXPLICIT,
    )


def left_configuration(joint: Configuration, version: int) -> Configuration:
    """The configuration after leaving a joint one (checklist 128).

    Raises:
        ChangeRefused: it is not joint.

    """
    # To leave twice would be a second entry that changes nothing, under a new version.
    if not joint.is_joint:
        raise ChangeRefused("only a joint configuration can be left")
    return Configuration(
        version=version,
        voters=joint.voters,
        # Here at last they lose their votes: the half in which they had them has gone.
        learners=tuple(sorted({*joint.learners, *joint.learners_next})),
    )


def encode_change(configuration: Configuration, context: bytes) -> bytes:
    """The payload of an entry of kind CONFIGURATION."""
    return encode_configuration(configuration) + context


def encode_configuration(configuration: Configuration) -> bytes:
    """The bytes of one configuration."""
    parts = [_HEAD.pack(configuration.version, configuration.auto_leave)]
    for nodes in _halves(configuration):
        parts.append(_COUNT.pack(len(nodes)))
        parts += [node.to_bytes(8, "big") for node in nodes]
    return b"".join(parts)


# In the order in which they are written: part of the format.
def _halves(configuration: Configuration) -> tuple[tuple[int, ...], ...]:
    return (
        configuration.voters,
        configuration.outgoing,
        configuration.learners,
        configuration.learners_next,
    )


def decode_change(payload: bytes) -> tuple[Configuration, bytes]:
    """The configuration in an entry's payload, and the context behind it.

    Raises:
        MalformedMessage: the bytes are no configuration that could be in force.

    """
    try:
        # Nothing is read beyond what is there: `unpack_from` ends with an error, and a count that
        # is too large ends there as well.
        version, auto_leave = _HEAD.unpack_from(payload)
        offset = _HEAD.size
        halves: list[tuple[int, ...]] = []
        for _ in range(4):
            (count,) = _COUNT.unpack_from(payload, offset)
            offset += _COUNT.size
            halves.append(Struct(f">{count}Q").unpack_from(payload, offset))
            offset += 8 * count
    except StructError as error:
        raise MalformedMessage("the bytes end inside a configuration") from error
    # Whatever is not as it can be here is refused now: once committed it would have to be applied,
    # by every node, and there would be nobody to blame.
    voters, outgoing, learners, learners_next = halves
    configuration = Configuration(
        version=version,
        voters=voters,
        outgoing=outgoing,
        learners=learners,
        learners_next=learners_next,
        auto_leave=bool(auto_leave),
    )
    if auto_leave > 1 or not is_valid(configuration):
        raise MalformedMessage(f"no configuration can be {configuration}")
    return configuration, payload[offset:]


def is_valid(configuration: Configuration) -> bool:
    """Whether the invariants of `Configuration` hold (checklist 7, 127)."""
    halves = _halves(configuration)
    everybody_votes = {*configuration.voters, *configuration.outgoing}
    return (
        # Sorted and once each: equal configurations are equal bytes, and a voter named twice would
        # be counted twice.
        bool(configuration.voters)
        and all(nodes == tuple(sorted(set(nodes))) for nodes in halves)
        and all(0 < node <= NODE_ID_MAX for nodes in halves for node in nodes)
        # A learner that votes in a half would be counted as both, and `is_voter` answer for it.
        and everybody_votes.isdisjoint(configuration.learners)
        # Only who votes yet, and will not, waits to become a learner.
        and set(configuration.learners_next) <= set(configuration.outgoing)
        and set(configuration.learners_next).isdisjoint(configuration.voters)
        and (
            # Outside a joint one there is nothing to leave, and nobody to wait for it.
            configuration.is_joint or not (configuration.learners_next or configuration.auto_leave)
        )
        and len(configuration.all_nodes()) <= NODES_MAX
    )
