"""The bank of the examples under faults; and bugs put into it, which must be found soon."""

from pathlib import Path

import pytest

from roost.sim import Broken
from tests.sim.programs.campaign import SOURCE, check_bank, load

SEEDS_MAX = 60
# What stands in the example, and what somebody might have written.
BUGS = {
    "what is taken is not looked at": ("amount <= 0 or held[source] < amount", "amount <= 0"),
    "the target is paid by what was read before": (
        "    held[source] -= amount\n    held[target] += amount\n",
        "    paid = held[target] + amount\n    held[source] -= amount\n    held[target] = paid\n",
    ),
    "an account is opened again": ("if name in held:", "if held.get(name, 0) > 0:"),
    "what is returned is of before": ("return held[source]\n", "return held[source] + amount\n"),
}


@pytest.fixture(autouse=True)
def _no_seeds_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROOST_SEED", "ROOST_SEEDS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
def test_the_bank_of_the_examples_is_right() -> None:
    checked = check_bank(load(SOURCE), range(1, 9))
    assert checked.seeds == 8
    assert checked.answered > 200
    assert checked.crashes > 5


@pytest.mark.slow
def test_a_seed_in_which_a_member_ended_behind_a_barrier_is_right() -> None:
    assert check_bank(load(SOURCE), [339]).crashes > 5


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_that_is_put_into_it_is_found_in_a_few_seeds(bug: str, tmp_path: Path) -> None:
    right, wrong = BUGS[bug]
    text = SOURCE.read_text()
    assert text.count(right) == 1
    copy = tmp_path / "bank.py"
    copy.write_text(text.replace(right, wrong))
    with pytest.raises(Broken):
        check_bank(load(copy), range(SEEDS_MAX))
