"""Frames put together to runs of entries."""

from pathlib import Path

import pytest

from roost.journal import JournalDamaged
from roost.journal.index import Damage
from roost.journal.record import TRUNCATE, Frame
from roost.journal.recovery import Hole, Recovered
from roost.journal.replay import Replay
from roost.journal.segment import Segment

SEGMENT = Segment(Path("1.wal"), 1, 5, 1, 64, 1 << 16)
HOLE = Hole(JournalDamaged(Path("1.wal"), 0, 0, "a hole"))
DAMAGE = Damage(0, 0, 0, is_certain=True)


def frame(index: int, term: int = 1, kind: int = 0, damage: Damage | None = None) -> Recovered:
    return Recovered(Frame(kind, index, term, 0, 0, 0, 0, 0), 0, damage)


def replay(*items: Recovered | Hole, term_max: int = 9) -> Replay:
    it = Replay(0, term_max)
    for item in items:
        it.take(SEGMENT, item)
    return it


def runs(it: Replay) -> list[tuple[int, int]]:
    """Of each run the entry before its first, and its last."""
    return [(run.index.base, run.index.last) for run in it.runs]


def test_frames_without_a_gap_are_one_run() -> None:
    it = replay(frame(1), frame(2), frame(3, 2))
    assert runs(it) == [(0, 3)]
    assert it.runs[0].hole is None


def test_a_hole_ends_a_run_and_what_follows_begins_another() -> None:
    it = replay(frame(1), frame(2), HOLE, frame(5), frame(6))
    assert runs(it) == [(0, 2), (4, 6)]
    assert it.runs[0].hole is HOLE.damage
    assert it.runs[1].hole is None


def test_a_truncation_drops_what_it_names_and_all_behind() -> None:
    """J27: it is a record like others, so a crash never leaves half of it."""
    it = replay(frame(1), frame(2), frame(3), frame(2, 2, TRUNCATE), frame(2, 2))
    assert runs(it) == [(0, 2)]
    assert list(it.runs[0].index.terms) == [1, 2]


def test_a_truncation_says_that_nothing_in_the_hole_before_counts() -> None:
    it = replay(frame(1), frame(2), HOLE, frame(2, 2, TRUNCATE), frame(2, 2))
    assert runs(it) == [(0, 2)]
    assert it.runs[0].hole is None


def test_a_truncation_behind_the_hole_does_not_heal_it() -> None:
    """It may be that the entries between were acknowledged, and stay."""
    it = replay(frame(1), HOLE, frame(7), frame(8), frame(8, 2, TRUNCATE), frame(8, 2))
    assert runs(it) == [(0, 1), (6, 8)]
    assert it.runs[0].hole is HOLE.damage


def test_a_truncation_takes_back_a_whole_run_behind_a_hole() -> None:
    it = replay(frame(1), frame(2), HOLE, frame(5), frame(2, 2, TRUNCATE), frame(2, 2))
    assert runs(it) == [(0, 2)]


def test_a_damaged_entry_keeps_its_place_and_its_term() -> None:
    """J19: what is known of it is enough to vote with."""
    it = replay(frame(1), frame(2, 3, damage=DAMAGE), frame(3, 3))
    index = it.runs[0].index
    assert list(index.terms) == [1, 3, 3]
    assert index.damaged == {2: DAMAGE}


@pytest.mark.parametrize(
    ("second", "fact"),
    [
        (frame(3), "entry 3 follows entry 1"),
        (frame(1), "entry 1 follows entry 1"),
        (frame(2, 1), "term 1 follows term 2"),
        (frame(2, 10), "term 10 is above the hard state's 9"),
        (frame(2, 2, 77), "entry kind 77 is unknown"),
    ],
)
def test_valid_frames_that_contradict_each_other_are_damage(second: Recovered, fact: str) -> None:
    """J6: a checksum says that the bytes are ours, not that they make a log."""
    with pytest.raises(JournalDamaged, match=fact):
        replay(frame(1, 2), second)
