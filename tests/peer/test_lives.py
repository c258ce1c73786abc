"""Which life of a member is believed: the rows of the table at the top of `lives`."""

import pytest

from roost.peer import AlreadyBootstrapped, Life
from roost.peer.errors import WrongIncarnation
from roost.peer.lives import Lives

OURS = Life(10, 5, 77)


def lives(published: tuple[int, int] = (0, 0)) -> Lives:
    return Lives(lambda _member: published)


@pytest.mark.parametrize("life", [Life(10, 6, 1), Life(10, 6, 77), OURS])
def test_who_was_started_again_or_is_still_there_is_believed(life: Life) -> None:
    held = lives()
    held.believe(2, OURS)
    held.believe(2, life)
    assert held.directory_of(2) == 10


@pytest.mark.parametrize("life", [Life(10, 5, 78), Life(10, 4, 77)])
def test_a_copy_or_an_old_state_of_a_directory_is_not(life: Life) -> None:
    held = lives()
    held.believe(2, OURS)
    with pytest.raises(WrongIncarnation, match="a copy, or an old state"):
        held.believe(2, life)
    held.believe(2, OURS)


@pytest.mark.parametrize("life", [Life(11, 9, 77), Life(9, 1, 77)])
def test_a_member_never_gets_a_second_directory(life: Life) -> None:
    held = lives()
    held.believe(2, OURS)
    with pytest.raises(AlreadyBootstrapped, match="member 2 has already been bootstrapped"):
        held.believe(2, life)


def test_what_is_only_looked_at_is_not_kept() -> None:
    held = lives()
    held.check(2, Life(99, 99, 99))
    held.believe(2, OURS)


def test_what_the_cluster_knows_counts_and_says_nothing_of_the_number() -> None:
    held = lives((10, 5))
    held.check(2, Life(10, 5, 1))
    held.check(2, Life(10, 5, 2))
    with pytest.raises(WrongIncarnation):
        held.check(2, Life(10, 4, 1))
    with pytest.raises(AlreadyBootstrapped):
        held.check(2, Life(11, 5, 1))


def test_who_was_removed_is_forgotten() -> None:
    held = lives()
    held.believe(2, OURS)
    held.forget(2)
    assert held.directory_of(2) == 0
