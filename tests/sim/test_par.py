"""Damaged disks in every way PAR's authors tried, and some more: never unsafe."""

import pytest

from roost.journal import Journal, load_identity
from roost.raft import Entry, EntryKind
from roost.sim.members import rot
from roost.sim.members.disk import SimDisk
from roost.sim.par import Case, Scene, groups, run_case, run_group

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("group", "first", "stop"),
    [
        ("entries", 0, 24),
        ("entries", 80, 104),
        ("blocks", 0, 24),
        ("lagging", 0, 24),
        ("files", 0, 24),
        ("stores", 0, 20),
        ("bits", 0, 24),
        ("bits", 456, 480),
        ("zeroes", 0, 16),
        ("zeroes", 60, 68),
    ],
)
def test_damage_is_repaired_or_nothing_is_served(group: str, first: int, stop: int) -> None:
    """The campaign runs all of them: `python -m roost.sim.par`."""
    row = run_group(group, stop, first=first)
    assert row.cases == stop - first
    assert row.wrong == []
    assert row.unsafe == 0
    assert row.correct > row.unavailable


def test_the_groups_are_the_ones_the_module_names() -> None:
    assert list(groups()) == ["entries", "blocks", "lagging", "files", "stores", "bits", "zeroes"]


def tear(disk: SimDisk) -> None:
    """One more entry, whose frame a power cut tore while its slot survived."""
    home = next(it.parent for it in disk.files if it.name == "hard.a")
    for file in disk.files.values():
        file.is_locked = False
    identity = load_identity(disk, home)
    assert identity is not None
    journal = Journal.open(home, identity=identity, disk=disk)
    index, term = journal.last_index + 1, journal.hard_state.term
    journal.persist(None, [Entry(index, term, EntryKind.NORMAL, b"t" * 900)])
    place = journal.place(index)
    journal.abandon()
    rot.zero(disk, rot.segments(disk)[-1], place.offset, 700)
    for file in disk.files.values():
        file.is_locked = False
    disk.boots += 1


@pytest.mark.parametrize("nodes", [(0,), (0, 1), (0, 1, 2)])
def test_what_a_power_cut_tore_everywhere_is_dropped_and_all_goes_on(
    nodes: tuple[int, ...],
) -> None:
    """Nobody holds it, so it was never committed: every voter has said so."""

    def damage(scene: Scene) -> None:
        for node in nodes:
            tear(scene.disks[node])

    assert run_case(Case(name="torn", damage=damage), 1) == "correct"


def test_damage_on_all_disks_is_told_from_a_torn_write() -> None:
    """While the machines stay up no write is torn: what is gone everywhere stops the cluster."""

    def damage(scene: Scene) -> None:
        for node in range(3):
            path, place, length = scene.places[node][-1]
            rot.zero(scene.disks[node], path, place, length)

    assert run_case(Case(name="gone", damage=damage), 1) == "unavailable"


def lose_end(disk: SimDisk) -> None:
    """The newest segment is gone: nobody can say what was in it."""
    rot.remove(disk, rot.segments(disk)[-1])


def test_a_lost_end_and_a_torn_entry_elsewhere_stop_nobody() -> None:
    """`roost sim --seed 138`: of three members one lost its end, one lags, one tore an entry.

    The torn one holds all that was acknowledged, and the lagging one may vote for it.
    """

    def damage(scene: Scene) -> None:
        lose_end(scene.disks[0])
        tear(scene.disks[1])

    assert run_case(Case(name="lost and torn", damage=damage, is_lagging=True), 1) == "correct"


def test_a_lost_end_and_a_damaged_entry_elsewhere_stop_all() -> None:
    """It was durable once, and may have been in the end that is lost: then it was committed."""

    def damage(scene: Scene) -> None:
        lose_end(scene.disks[0])
        path, place, length = scene.places[1][-1]
        rot.zero(scene.disks[1], path, place, length)

    case = Case(name="lost and damaged", damage=damage, is_lagging=True)
    assert run_case(case, 1) == "unavailable"


def test_two_lost_ends_and_a_torn_entry_stop_all() -> None:
    """The two that lost their ends may have held it, and were a majority."""

    def damage(scene: Scene) -> None:
        lose_end(scene.disks[0])
        tear(scene.disks[1])
        lose_end(scene.disks[2])

    assert run_case(Case(name="two lost", damage=damage), 1) == "unavailable"
