"""Power cuts at every device call, and every n-th call failed: nothing acknowledged is lost."""

import random

import pytest

from roost.journal import Journal, JournalBroken
from roost.raft import HardState
from roost.sim.members.disk import InjectedError, SimDisk
from tests.journal.journals import content, entry, open_journal


class Script:
    """A workload that remembers what was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: list[tuple[int, int]] = []  # (index, term)
        self.hard_state = HardState()
        # What a crash may have left of the call on its way.
        self.underway: tuple[HardState, list[tuple[int, int]]] | None = None

    def persist(
        self, journal: Journal, hard: HardState | None, entries: list[tuple[int, int]]
    ) -> None:
        kept = self.acknowledged
        if entries:
            kept = [it for it in kept if it[0] < entries[0][0]]
        self.underway = (hard or self.hard_state, kept + entries)
        journal.persist(hard, [entry(*it) for it in entries])
        self.hard_state = hard or self.hard_state
        self.acknowledged = kept + entries
        self.underway = None

    def run(self, journal: Journal) -> None:
        self.persist(journal, HardState(1, 1), [])
        for index in range(1, 40):
            self.persist(journal, None, [(index, 1)])
        self.persist(journal, None, [(index, 1) for index in range(40, 90)])
        self.persist(journal, HardState(2, 3), [(80, 2), (81, 2)])
        self.persist(journal, HardState(3, 0), [])
        self.persist(journal, None, [(index, 3) for index in range(60, 100)])
        journal.compact(70)
        for index in range(100, 110):
            self.persist(journal, None, [(index, 3)])


def run_until(fail_at: int) -> tuple[SimDisk, Script, bool]:
    """Run the script until the device call `fail_at` fails; say whether one did."""
    disk, script = SimDisk(), Script()
    disk.fail_at = fail_at
    try:
        script.run(open_journal(disk))
    except (JournalBroken, InjectedError):
        return disk, script, True
    return disk, script, False


def count_calls() -> int:
    disk, script = SimDisk(), Script()
    script.run(open_journal(disk))
    return disk.calls


def check(journal: Journal, script: Script) -> None:
    """Everything acknowledged is there; what is there beyond it was on its way."""
    found = {it.index: it.term for it in content(journal)}
    for index, term in script.acknowledged:
        if index < journal.first_index or found.get(index) == term:
            continue
        # The call on its way may already have replaced it.
        assert script.underway is not None, f"entry {index} of term {term} is lost"
        assert found.get(index) != term and index >= min(
            (it[0] for it in script.underway[1] if it not in script.acknowledged), default=10**9
        ), f"entry {index} of term {term} is lost"
    known = set(script.acknowledged) | set(script.underway[1] if script.underway else [])
    assert set(found.items()) <= known, "an entry nobody wrote"
    allowed = {script.hard_state}
    if script.underway:
        allowed.add(script.underway[0])
    assert journal.hard_state in allowed


@pytest.mark.slow
@pytest.mark.parametrize("keep", [0.0, 1.0])
def test_every_device_call_fails_once_and_the_rest_survives_a_power_cut(keep: float) -> None:
    for fail_at in range(1, count_calls() + 1):
        disk, script, has_failed = run_until(fail_at)
        assert has_failed
        check(open_journal(disk.crash(random.Random(fail_at), keep=keep)), script)


@pytest.mark.slow
def test_power_cuts_that_keep_any_subset_of_sectors_lose_nothing() -> None:
    """Checklist 146: what a crash leaves is a prefix of votes, terms and entries, as written.

    A slot that outlived its torn frame leaves a doubtful entry, which was never acknowledged.
    """
    doubtful = states = 0
    for fail_at in range(2, count_calls() + 1, 5):
        for seed in range(3):
            disk, script, _ = run_until(fail_at)
            crashed = disk.crash(random.Random(seed * 1000 + fail_at), keep=0.5)
            states += 1
            journal = open_journal(crashed)
            doubtful += drop_doubtful(journal, script)
            check(journal, script)
            if seed == 0:  # and once more: a crash right after the recovery
                again = open_journal(crashed.crash(random.Random(fail_at), keep=0.5))
                drop_doubtful(again, script)
                check(again, script)
    assert states > 100
    assert 0 < doubtful < states / 4


def drop_doubtful(journal: Journal, script: Script) -> bool:
    """Drop what may be torn, as a member does when nobody holds it; it was never acknowledged."""
    if not journal.damaged:
        return False
    assert not any(it.is_certain for it in journal.damaged.values()), "a crash damages nothing"
    assert script.underway is not None, "damage without a torn write"
    journal.drop_from(journal.first_damaged)
    return True
