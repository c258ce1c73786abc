"""The nouns of consensus: terms, positions, entries, configurations, roles.

All three are plain integers, and a field's name says which: types of their own would have to be
made anew after every `+ 1`, in the loops that can least afford it.  Index 0, term 0 and node 0 mean
"none".

What is *counted* (terms, log positions, incarnations, lives, sessions, tokens) ends at COUNT_MAX,
wherever it is decoded.  Half of the 64 bits of its place are never used, so that whoever adds to
a number that was let in still has one that can be written.  Ids are drawn, not counted: all of
1 … 2^64-1 are good.
"""

from enum import Enum, IntEnum
from typing import Annotated

import msgspec

NODE_ID_MAX = 2**64 - 1
COUNT_MAX = 2**63 - 1
# What a structure's fields are declared with: decoding refuses anything else.
Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]
Id = Annotated[int, msgspec.Meta(ge=0)]


class EntryKind(IntEnum):
    """What an entry is for; the numbers are on the wire and on disk."""

    # What a leader begins its term with: nothing in it is applied, and all before it is committed
    # with it.
    EMPTY = 0
    NORMAL = 1
    CONFIGURATION = 2


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One position of the replicated log; (index, term) names one content for ever."""

    # From 1, without gaps.
    index: int
    # Of the leader that made it, whoever sends it: it never changes on the way (thesis §3.6.2).
    term: int
    kind: EntryKind
    # The caller's, not looked into; of a CONFIGURATION, as `confchange` has it.
    payload: bytes


class HardState(msgspec.Struct, frozen=True, gc=False):
    """What must be durable before a promise leaves.

    The commit index as such need not be (J26), but (change_index, change_term), the newest
    change of the configuration known to be committed, must: a node that accepted what was decided
    in a new configuration and forgot, in a crash, that it is in force would campaign in the old.
    """

    # Never decreases on one disk.
    term: int = 0
    # Within a term it moves once, from 0 to a candidate.
    vote: int = 0
    # 0:0 = none is known; else a committed entry of kind CONFIGURATION, never an older one again.
    change_index: int = 0
    change_term: int = 0


class Role(Enum):
    """What a node is in its term.

    FOLLOWER -> PRE_CANDIDATE -> CANDIDATE -> LEADER; any of them falls back to FOLLOWER.
    """

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    # One a term at most, and it may not know yet that a later term has another.
    LEADER = "leader"


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Who takes part.  `outgoing` is empty outside a joint configuration (thesis §4.3).

    Invariants: voters is not empty in a running cluster; no learner is a voter of either half;
    every tuple is sorted and without repeats.  `version` is the index of the entry that brought
    it, 0 for the one a cluster starts with.
    """

    version: int = 0
    # The half that stays when a joint configuration is left.
    voters: tuple[int, ...] = ()
    # The half that goes.  A node may be in both.
    outgoing: tuple[int, ...] = ()
    # They get the log and decide nothing.
    learners: tuple[int, ...] = ()
    # Voters of the outgoing half that become learners when it goes: until then their votes count,
    # and a learner's must not.
    learners_next: tuple[int, ...] = ()
    # The leader leaves it as soon as it is applied; else somebody has to ask for that.
    auto_leave: bool = False

    @property
    def is_joint(self) -> bool:
        """Whether decisions need a majority of both halves."""
        return bool(self.outgoing)

    def all_voters(self) -> tuple[int, ...]:
        """Voters of either half, sorted."""
        return tuple(sorted({*self.voters, *self.outgoing}))

    def all_nodes(self) -> tuple[int, ...]:
        """Everybody who gets the log, sorted."""
        return tuple(sorted({*self.voters, *self.outgoing, *self.learners, *self.learners_next}))

    def is_voter(self, node: int) -> bool:
        """Whether `node` votes in either half."""
        return node in self.voters or node in self.outgoing


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A state machine's whole state up to `index`; `sender` has it.

    `term` is that of the entry at `index`, `configuration` the one in force there.
    """

    # Everything up to here, and nothing behind it, is in the copy.
    index: int
    term: int
    sender: int
    configuration: Configuration
