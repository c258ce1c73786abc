"""Majorities, of one half or of both (thesis §4.3).  Pure arithmetic over node ids.

An empty half agrees with everything: outside a joint configuration `outgoing` is empty.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from roost.raft.types import Configuration


class Verdict(Enum):
    """How a vote stands."""

    WON = "won"
    LOST = "lost"
    PENDING = "pending"


def _majority_match(nodes: Sequence[int], match_of: Callable[[int], int]) -> int:
    """The highest index that a majority of `nodes` holds."""
    matches = [match_of(node) for node in nodes]
    matches.sort()
    return matches[(len(matches) - 1) // 2]


def committed_index(configuration: Configuration, match_of: Callable[[int], int]) -> int:
    """The highest index that the quorum holds (checklist 75)."""
    index = _majority_match(configuration.voters, match_of)
    if configuration.outgoing:
        index = min(index, _majority_match(configuration.outgoing, match_of))
    return index


def _half_verdict(nodes: Sequence[int], votes: Mapping[int, bool]) -> Verdict:
    needed = len(nodes) // 2 + 1
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
    if Verdict.LOST in verdicts:
        return Verdict.LOST
    return Verdict.PENDING if Verdict.PENDING in verdicts else Verdict.WON


def has_quorum(configuration: Configuration, is_counted: Callable[[int], bool]) -> bool:
    """Whether the counted nodes are a majority of each half."""
    for half in (configuration.voters, configuration.outgoing):
        missing = len(half) // 2 + 1 if half else 0
        for node in half:
            if missing and is_counted(node):
                missing -= 1
        if missing:
            return False
    return True
