"""Storms over bare cores: promises kept, work goes on, one seed one run."""

import pytest
from click.testing import CliRunner

from roost.sim.cores import storm as module
from roost.sim.cores.storm import Storm, StormResult, main, run_storm
from tests.samples import SAMPLES


@pytest.mark.slow
@pytest.mark.parametrize("first", range(20, 20 + 40 * SAMPLES, 20))
def test_promises_are_kept_and_work_goes_on(first: int) -> None:
    """Thesis Figure 3.2: the five properties hold "at all times", whatever fails.

    Checklist 21, 34, 41, 56, 57, 58, 74, 107, 133, 146.
    """
    for seed in range(first, first + 20):
        assert run_storm(seed).violation == "", f"seed {seed}"


def test_a_storm_is_worth_its_name() -> None:
    """Faults that stop all work would prove nothing."""
    results = [run_storm(seed) for seed in range(20)]
    assert [it for it in results if it.violation] == []
    assert sum(it.committed for it in results) > 1_000
    assert sum(it.terms for it in results) > 100
    assert sum(it.crashes for it in results) > 300
    assert sum(it.changes for it in results) > 100
    assert sum(it.joint for it in results) > 30
    assert sum(it.snapshots for it in results) > 50
    assert sum(it.reads for it in results) > 200


def test_the_same_seed_gives_the_same_run() -> None:
    """A failure that cannot be repeated cannot be understood.

    Checklist 150.
    """
    runs = []
    for _ in range(2):
        storm = Storm(99)
        result = storm.run(4_000)
        states = [(it.core.term, it.core.commit_index, it.applied) for it in storm.nodes.values()]
        runs.append((result, states))
    assert runs[0] == runs[1]


def test_a_broken_promise_is_said() -> None:
    storm = Storm(3)
    storm.votes[1, 2] = 99
    for term in range(1, 100):
        for node in storm.nodes:
            storm.votes[node, term] = 99
    assert "votes twice" in storm.run(4_000).violation


def test_the_command_sums_up_and_names_the_seed_that_broke_a_promise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(seed: int) -> StormResult:
        return StormResult(seed, events=10, violation="votes twice" if seed == 8 else "")

    monkeypatch.setattr(module, "run_storm", run)
    good = CliRunner().invoke(main, ["--first", "5", "--count", "3"])
    assert good.exit_code == 0
    assert "storms: 3\nevents: 30\n" in good.output
    broken = CliRunner().invoke(main, ["--first", "8", "--count", "1"])
    assert broken.exit_code == 1
    assert "seed 8: votes twice" in broken.output
