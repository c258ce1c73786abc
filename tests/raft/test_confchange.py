"""Configurations as arithmetic: which change leads where, and its bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.raft import (
    Change,
    ChangeKind,
    ChangeRefused,
    Configuration,
    MalformedMessage,
    Transition,
    decode_change,
    encode_configuration,
)
from roost.raft.confchange import (
    NODES_MAX,
    encode_change,
    is_valid,
    left_configuration,
    next_configuration,
)
from roost.raft.quorum import committed_index

ADD, LEARN, REMOVE = ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER, ChangeKind.REMOVE
THREE = Configuration(voters=(1, 2, 3), learners=(4,), version=5)

CHANGES = st.lists(
    st.builds(Change, st.sampled_from(ChangeKind), st.integers(1, 7)), min_size=1, max_size=5
)


@pytest.mark.parametrize(
    ("changes", "voters", "learners"),
    [
        ([Change(ADD, 5)], (1, 2, 3, 5), (4,)),
        ([Change(ADD, 4)], (1, 2, 3, 4), ()),
        ([Change(ADD, 1)], (1, 2, 3), (4,)),
        ([Change(LEARN, 9)], (1, 2, 3), (4, 9)),
        ([Change(LEARN, 3)], (1, 2), (3, 4)),
        ([Change(REMOVE, 2)], (1, 3), (4,)),
        ([Change(REMOVE, 4)], (1, 2, 3), ()),
        ([Change(REMOVE, 9)], (1, 2, 3), (4,)),
    ],
)
def test_one_step_is_simple(
    changes: list[Change], voters: tuple[int, ...], learners: tuple[int, ...]
) -> None:
    """Checklist 126: at most one voter comes or goes, and doing it again is harmless."""
    after = next_configuration(THREE, changes, Transition.AUTO, 6)
    assert after == Configuration(voters=voters, learners=learners, version=6)
    again = next_configuration(after, changes, Transition.AUTO, 7)
    assert (again.voters, again.learners) == (voters, learners)


def test_several_steps_are_joint_and_a_demoted_voter_learns_when_it_is_left() -> None:
    """A voter of the half that goes cannot be a learner yet: its vote still counts.

    Checklist 127, 128, 129.
    """
    changes = [Change(ADD, 4), Change(LEARN, 1), Change(REMOVE, 2), Change(ADD, 8)]
    joint = next_configuration(THREE, changes, Transition.AUTO, 6)
    assert joint == Configuration(
        voters=(3, 4, 8), outgoing=(1, 2, 3), learners_next=(1,), auto_leave=True, version=6
    )
    assert left_configuration(joint, 7) == Configuration(voters=(3, 4, 8), learners=(1,), version=7)


def test_one_step_may_be_joint_on_request_and_stays_so() -> None:
    joint = next_configuration(THREE, [Change(ADD, 5)], Transition.JOINT_EXPLICIT, 6)
    assert joint.is_joint
    assert not joint.auto_leave


@pytest.mark.parametrize(
    ("old", "changes", "words"),
    [
        (THREE, [], "changes nothing"),
        (THREE, [Change(ADD, 0)], "node id 0"),
        (Configuration(voters=(1,)), [Change(REMOVE, 1)], "without voters"),
        (THREE, [Change(LEARN, it) for it in range(1, NODES_MAX + 2)], "without voters"),
        (THREE, [Change(LEARN, it) for it in range(5, NODES_MAX + 5)], "more than"),
        (Configuration(voters=(1,), outgoing=(2,)), [Change(ADD, 3)], "must be left"),
    ],
)
def test_what_makes_no_sense_is_refused(
    old: Configuration, changes: list[Change], words: str
) -> None:
    """Refused by whoever proposes it, since nobody could be blamed once it is committed.

    Checklist 125, 126.
    """
    with pytest.raises(ChangeRefused, match=words):
        next_configuration(old, changes, Transition.AUTO, 9)


def test_only_a_joint_configuration_is_left() -> None:
    """Of a single half there is nothing to leave.

    Checklist 125.
    """
    with pytest.raises(ChangeRefused, match="only a joint"):
        left_configuration(THREE, 9)


@given(st.lists(st.tuples(CHANGES, st.sampled_from(Transition)), max_size=8))
def test_every_configuration_that_can_be_reached_is_valid_and_survives_its_bytes(
    steps: list[tuple[list[Change], Transition]],
) -> None:
    """What a node stores at a restart is what was in force.

    Checklist 7, 127, 133.
    """
    held = Configuration(voters=(1, 2, 3))
    for version, (changes, how) in enumerate(steps, start=1):
        try:
            held = next_configuration(held, changes, how, 2 * version)
        except ChangeRefused:
            continue
        assert is_valid(held)
        assert decode_change(encode_change(held, b"context")) == (held, b"context")
        if held.is_joint:
            assert set(held.learners).isdisjoint(held.all_voters())
            held = left_configuration(held, 2 * version + 1)
            assert is_valid(held)


@given(CHANGES, st.sampled_from(Transition), st.permutations(range(10)))
def test_majorities_of_neighbouring_configurations_meet(
    changes: list[Change], how: Transition, order: list[int]
) -> None:
    """Thesis §4.1: of the old cluster any majority "overlaps with any majority of the new cluster".

    So what one can commit, the other has heard of; a joint configuration (§4.3) is between two
    that need not overlap, and overlaps with both.
    """
    old = Configuration(voters=(1, 2, 3))
    try:
        new = next_configuration(old, changes, how, 1)
    except ChangeRefused:
        return
    for size in range(10):
        holders = set(order[:size])
        others = set(range(10)) - holders

        def held_by(nodes: set[int], configuration: Configuration) -> bool:
            return committed_index(configuration, lambda node: int(node in nodes)) == 1

        assert not (held_by(holders, old) and held_by(others, new))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_configuration_or_malformed(body: bytes) -> None:
    try:
        configuration, _ = decode_change(body)
    except MalformedMessage:
        return
    assert is_valid(configuration)


@given(st.data())
def test_a_damaged_configuration_is_valid_or_malformed(data: st.DataObject) -> None:
    body = bytearray(encode_configuration(THREE))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    try:
        configuration, _ = decode_change(bytes(body))
    except MalformedMessage:
        return
    assert is_valid(configuration)
