"""Majorities against a dumb twin that tries every index and counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.raft import Configuration
from roost.raft.quorum import Verdict, committed_index, has_quorum, tally

NODES = st.lists(st.integers(1, 9), min_size=1, max_size=9, unique=True).map(
    lambda it: tuple(sorted(it))
)
OUTGOING = st.one_of(st.just(()), NODES)
MATCHES = st.dictionaries(st.integers(1, 9), st.integers(0, 6))
VOTES = st.dictionaries(st.integers(1, 9), st.booleans())


@given(NODES, OUTGOING, MATCHES)
def test_the_committed_index_is_the_highest_that_both_majorities_hold(
    voters: tuple[int, ...], outgoing: tuple[int, ...], matches: dict[int, int]
) -> None:
    """Thesis §4.3: commitment takes majorities "from both the old and new configurations".

    Checklist 75, 81.
    """

    def holds(index: int) -> bool:
        return all(
            2 * sum(1 for it in half if matches.get(it, 0) >= index) > len(half)
            for half in (voters, outgoing)
            if half
        )

    configuration = Configuration(voters=voters, outgoing=outgoing)
    expected = max(index for index in range(8) if holds(index))
    assert committed_index(configuration, lambda it: matches.get(it, 0)) == expected


@given(NODES, OUTGOING, VOTES)
def test_a_vote_is_won_by_both_and_lost_by_either(
    voters: tuple[int, ...], outgoing: tuple[int, ...], votes: dict[int, bool]
) -> None:
    """Thesis §4.3: elections take majorities "from both the old and new configurations".

    Checklist 35.
    """

    def outcome(half: tuple[int, ...]) -> str:
        yes = sum(1 for it in half if votes.get(it) is True)
        no = sum(1 for it in half if votes.get(it) is False)
        if 2 * yes > len(half) or not half:
            return "won"
        return "lost" if 2 * no >= len(half) else "pending"

    outcomes = {outcome(voters), outcome(outgoing)}
    expected = "lost" if "lost" in outcomes else "pending" if "pending" in outcomes else "won"
    configuration = Configuration(voters=voters, outgoing=outgoing)
    found = tally(configuration, votes)
    assert found is {"won": Verdict.WON, "lost": Verdict.LOST, "pending": Verdict.PENDING}[expected]
    is_won = has_quorum(configuration, lambda it: votes.get(it) is True)
    assert is_won == (expected == "won")


@pytest.mark.parametrize("count", range(1, 10))
def test_of_so_many_voters_fewer_than_half_may_be_gone(count: int) -> None:
    """go-raft's page said (n / 2) - 1, which is none of three."""
    voters = tuple(range(1, count + 1))
    most = max(
        gone for gone in range(count) if has_quorum(Configuration(voters=voters), gone.__lt__)
    )
    assert most == (count - 1) // 2
