"""Who is wrong when members' states differ, and what each of them does about it."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from roost.errors import PeerFault
from roost.member.custody.digests import POINTS_MAX, Digests
from roost.raft import Configuration, Core

GOOD, BAD = b"g" * 16, b"b" * 16


@dataclass
class FakeCore:
    id: int
    configuration: Configuration


@dataclass
class World:
    """One member's digests, and what it was told to do."""

    size: int
    told: list[tuple[int, list[bytes]]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    undecided: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        voters = tuple(range(1, self.size + 1))
        core = FakeCore(1, Configuration(version=1, voters=voters))
        self.digests = Digests(
            cast("Core", core),
            tell=lambda to, it: self.told.append((to, it)),
            on_minority=self.wrong.append,
            on_mismatch=self.undecided.append,
        )

    def hear(self, sender: int, index: int, digest: bytes) -> None:
        self.digests.on_frame(sender, index.to_bytes(8, "big") + digest)


def test_equal_states_are_nobodys_business() -> None:
    world = World(3)
    world.digests.on_own(1000, GOOD)
    assert [to for to, _ in world.told] == [2, 3]
    for sender in (2, 3):
        world.hear(sender, 1000, GOOD)
    assert (world.wrong, world.undecided, world.digests.mismatch_count) == ([], [], 0)
    assert world.digests.compared_count == 3


def test_a_member_that_differs_from_the_majority_is_wrong() -> None:
    """J39: of one log position there is one state."""
    world = World(3)
    world.hear(2, 1000, GOOD)
    world.hear(3, 1000, GOOD)
    world.digests.on_own(1000, BAD)
    assert world.wrong == ["the state at entry 1000 differs from that of the majority"]


def test_a_member_of_the_majority_goes_on() -> None:
    world = World(3)
    world.digests.on_own(1000, GOOD)
    world.hear(2, 1000, BAD)
    world.hear(3, 1000, GOOD)
    assert (world.wrong, world.undecided) == ([], [])
    assert world.digests.mismatch_count == 2


def test_where_no_majority_agrees_everybody_says_so_once_all_have_spoken() -> None:
    world = World(2)
    world.digests.on_own(1000, GOOD)
    world.hear(2, 1000, BAD)
    assert (world.wrong, world.undecided) == ([], [1])
    world = World(3)
    world.digests.on_own(1000, GOOD)
    world.hear(2, 1000, BAD)
    assert world.undecided == []
    world.hear(3, 1000, b"x" * 16)
    assert world.undecided == [1]


def test_different_positions_are_never_compared_and_old_ones_forgotten() -> None:
    world = World(3)
    for number in range(POINTS_MAX + 5):
        world.digests.on_own(1000 * number, GOOD)
    world.hear(2, 1500, BAD)
    world.hear(2, 0, BAD)
    assert world.digests.mismatch_count == 0


def test_a_frame_of_another_length_breaks_the_link() -> None:
    with pytest.raises(PeerFault):
        World(3).digests.on_frame(2, b"short")
