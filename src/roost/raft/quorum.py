"""Majorities, of one half or of both (thesis §4.3).  Pure arithmetic over node ids.

Everything that Raft promises rests on one fact: two majorities of the same nodes share a node.
The one that voted for the new leader and the one that held the old leader's entry have a node in
common, and it gives its vote to no log that lacks the entry.

While the configuration changes there are two sets of voters, and a majority of one need not meet
a majority of the other.  In a *joint* configuration every decision, elections and commitment
alike, therefore takes a majority of each.  Whatever the old voters decide alone before it, or the
new ones alone after it, meets it in a node.  There is no third kind of quorum, one of all the
nodes together: that would be less than either half asks for.

An empty half agrees with everything: outside a joint configuration `outgoing` is empty.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from roost.raft.types import Configuration


class Verdict(Enum):
    """How a vote stands."""

    # Lost is told from pending, so that a candidate which cannot win any more stops at once and
    # does not keep others waiting for its timeout.
    WON = "won"
    LOST = "lost"
    PENDING = "pending"


def _majority_match(nodes: Sequence[int], match_of: Callable[[int], int]) -> int:
    """The highest index that a majority of `nodes` holds."""
    # Sorted, the one that as many lie above as a majority has besides it.  Of 3 the middle, of 4
    # the second: three of four must hold it, for two would not meet the other two.
    matches = [match_of(node) for node in nodes]
    matches.sort()
    return matches[(len(matches) - 1) // 2]


def committed_index(configuration: Configuration, match_of: Callable[[int], int]) -> int:
    """The highest index that the quorum holds (checklist 75)."""
    # The smaller of the two: each half must hold it.  To sort the matches of all nodes together
    # would let the many of one half speak for the few of the other.
    index = _majority_match(configuration.voters, match_of)
    if configuration.outgoing:
        index = min(index, _majority_match(configuration.outgoing, match_of))
    return index


def _half_verdict(nodes: Sequence[int], votes: Mapping[int, bool]) -> Verdict:
    # More than half, also of an even number: two halves of four need not meet.
    needed = len(nodes) // 2 + 1
    # Who has not answered is neither: a lost message must not decide an election.  It is lost
    # only when those who refused are so many that the rest is no majority any more.
    granted = sum(1 for node in nodes if votes.get(node) is True)
    refused = sum(1 for node in nodes if votes.get(node) is False)
    if granted >= needed:
        return Verdict.WON
    return Verdict.LOST if len(nodes) - refused < needed else Verdict.PENDING


def tally(configuration: Configuration, votes: Mapping[int, bool]) -> Verdict:
    """Decide a vote: both halves must win, either may lose it (checklist 35)."""
    verdicts = [_half_verdict(configuration.voters, votes)]
    if configuration.outgoing:
        verdicts.append(_half_verdict(configuration.outgoing, votes))
    # What one half refuses the other cannot give: each must agree by itself.
    if Verdict.LOST in verdicts:
        return Verdict.LOST
    return Verdict.PENDING if Verdict.PENDING in verdicts else Verdict.WON


def has_quorum(configuration: Configuration, is_counted: Callable[[int], bool]) -> bool:
    """Whether the counted nodes are a majority of each half."""
    # Counts down and stops, since this is asked for every heartbeat that a read waits for.
    for half in (configuration.voters, configuration.outgoing):
        # An empty half misses nothing: outside a joint configuration it has no say.
        missing = len(half) // 2 + 1 if half else 0
        for node in half:
            if missing and is_counted(node):
                missing -= 1
        if missing:
            return False
    return True
