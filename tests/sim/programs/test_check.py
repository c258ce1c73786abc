"""`roost.sim.check`: a right bank passes, wrong ones are found, and a seed is one run."""

import random
from collections.abc import Callable
from typing import Any

import pytest

import roost
import roost.sim
from roost.sim import BadCheck, BadModel, Broken, Session
from roost.sim.members.chronicle import Result
from roost.sim.mutants import MUTANTS, applied
from roost.testing import DictModel
from tests.samples import SAMPLES
from tests.sim.programs import banks

SEEDS_MAX = 60


@pytest.fixture(autouse=True)
def _no_seeds_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROOST_SEED", "ROOST_SEEDS"):
        monkeypatch.delenv(name, raising=False)


def check_right(**told: Any) -> roost.sim.Checked:
    given: dict[str, Any] = {
        "operations": [banks.right],
        "client": banks.visits(),
        "model": banks.Bank,
        "invariant": banks.no_money_comes_or_goes,
    }
    return roost.sim.check(**given | told)


@pytest.mark.slow
def test_a_right_bank_is_right() -> None:
    seen: list[Result] = []
    checked = check_right(seeds=range(4 * SAMPLES), on_seed=seen.append)
    assert (checked.seeds, [it.seed for it in seen]) == (4 * SAMPLES, [*range(4 * SAMPLES)])
    assert checked.calls > 100
    assert checked.crashes > 8
    assert checked.elections > checked.seeds


def found(make: Callable[[], banks.WrongBank], **told: Any) -> Broken:
    """What `check` says of a wrong bank, which is made anew for each seed."""
    for seed in range(SEEDS_MAX):
        bank = make()
        try:
            roost.sim.check(operations=[bank.operations], client=bank.visit, seeds=[seed], **told)
        except Broken as broken:
            return broken
    raise AssertionError("nobody has found it")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (banks.that_remembers, "pay_in"),
        (banks.that_asks_twice, "pay_in"),
        (banks.that_makes_money, "is explained by no order"),
        (banks.that_refuses_nobody, "= -"),
        (banks.that_fails, "raised: .*KeyError"),
    ],
)
def test_a_wrong_bank_is_found(make: Callable[[], banks.WrongBank], said: str) -> None:
    broken = found(make, model=banks.Bank)
    with pytest.raises(Broken, match=said):
        raise broken


@pytest.mark.slow
def test_an_invariant_is_looked_at_behind_each_entry() -> None:
    broken = found(banks.that_makes_money, invariant=banks.no_money_comes_or_goes)
    assert broken.violation.startswith("the invariant fails at entry")
    broken = found(banks.that_makes_money, invariant=lambda txn: [*txn.tree("paid"), *"ok"])
    assert "OtherCodec" in broken.violation


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "first"), [("a new leader reads before it has committed", 11),
                        ("entries are accepted before they are durable", 28)]
)  # fmt: skip
def test_a_bug_of_ours_is_found_by_a_right_bank(name: str, first: int) -> None:
    """From the seed on that is just before the first that finds it, 12 and 29."""
    (mutant,) = [it for it in MUTANTS if it.name == name]
    with applied(mutant), pytest.raises(Broken):
        check_right(seeds=range(first, first + SEEDS_MAX))


@pytest.mark.slow
def test_one_seed_is_one_run() -> None:
    digests: list[str] = []
    for _ in range(2):
        check_right(seeds=[4], on_seed=lambda it: digests.append(it.digest))
    assert len(set(digests)) == 1
    check_right(seeds=[5], on_seed=lambda it: digests.append(it.digest))
    assert len(set(digests)) == 2


@pytest.mark.slow
def test_a_failing_seed_says_how_to_run_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = banks.that_refuses_nobody()
    told: dict[str, Any] = {"operations": [bank.operations], "client": bank.visit}
    told["model"] = banks.Bank
    with pytest.raises(Broken) as first:
        roost.sim.check(**told)
    here = "tests/sim/programs/test_check.py::test_a_failing_seed_says_how_to_run_it_again"
    assert first.value.again == f"ROOST_SEED={first.value.seed} python -m pytest {here}"
    assert str(first.value).endswith(f"again: {first.value.again}")
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("ROOST_SEED", str(first.value.seed))
    with pytest.raises(Broken) as second:
        roost.sim.check(**told, seeds=[])
    assert second.value.trace == first.value.trace
    assert capsys.readouterr().out.splitlines() == first.value.trace
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    for argv, again in (
        (["bank.py", "a b"], f"ROOST_SEED={first.value.seed} python bank.py 'a b'"),
        (["-c"], f"roost.sim.check(..., seeds=[{first.value.seed}])"),
    ):
        monkeypatch.setattr("sys.argv", argv)
        with pytest.raises(Broken) as third:
            roost.sim.check(**told)
        assert third.value.again == again


@pytest.mark.slow
def test_a_variable_says_which_seeds_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOST_SEEDS", "2..3")
    assert check_right(seconds=1.0).seeds == 2
    for name, value in (("ROOST_SEEDS", "2"), ("ROOST_SEEDS", "b..c"), ("ROOST_SEED", "-1")):
        monkeypatch.setenv(name, value)
        with pytest.raises(BadCheck, match=value):
            check_right()


@pytest.mark.slow
def test_a_call_with_a_key_is_one_call_however_often_it_is_made() -> None:
    async def visit(db: Session, dice: random.Random) -> None:
        name, key = dice.choice(banks.NAMES), f"payment {dice.randint(1, 40)}"
        amount = len(key) + len(name)
        while True:
            try:
                await db.run(banks.pay_in, name, amount, once=f"{name} {key}")
            except (roost.NotExecuted, roost.OutcomeUnknown):
                continue
            break
        await db.read("balances", banks.balances)

    assert check_right(client=visit, seeds=range(3 * SAMPLES)).calls > 50


@pytest.mark.slow
def test_what_a_client_raises_is_a_failure() -> None:
    async def visit(db: Session, dice: random.Random) -> None:
        assert await db.run(banks.pay_in, "ada", 1) < 5, "ada is rich"

    with pytest.raises(Broken, match="a client failed: AssertionError: ada is rich"):
        check_right(client=visit)


@pytest.mark.slow
def test_an_invariant_only_looks() -> None:
    def writes(txn: roost.Transaction) -> None:
        txn.tree("accounts", key=str, value=int)["ada"] = 1

    with pytest.raises(Broken, match="InvariantWrote: an invariant looks at trees"):
        check_right(invariant=writes)
    with pytest.raises(Broken, match="does not hold at entry"):
        check_right(invariant=lambda _txn: False)


@pytest.mark.slow
def test_what_the_model_lacks_is_said() -> None:
    class Half(DictModel):
        def pay_in(self, name: str, amount: int) -> int:
            return int(self[name] + amount)

    with pytest.raises(BadModel, match="Half has no method"):
        check_right(model=Half)

    async def visit(db: Session, _dice: random.Random) -> None:
        await db.run(banks.pay_in, "ada", 1)

    with pytest.raises(BadModel, match=r"Half.pay_in\('ada', 1\) of {} raises KeyError: 'ada'"):
        check_right(model=Half, client=visit)
    other = roost.Operations("other")

    async def stranger(db: Session, _dice: random.Random) -> None:
        await db.run(banks.pay_in, "ada", 1)

    with pytest.raises(BadCheck, match="is not among operations="):
        roost.sim.check(operations=[other], client=stranger, model=Half, seeds=[0])


@pytest.mark.parametrize(
    "told",
    [
        {"model": None, "invariant": None},
        {"members": 0},
        {"members": 10},
        {"clients": 0},
        {"seconds": 0},
        {"faults": ["earthquakes"]},
    ],
)
def test_what_cannot_be_checked_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(BadCheck):
        check_right(**told)


@pytest.mark.slow
def test_only_the_faults_that_are_named_are_drawn() -> None:
    checked = check_right(seeds=range(3), faults=["slow_disks"], seconds=4.0, members=1)
    assert checked.crashes == 0
    assert check_right(seeds=range(3), faults=["kills"], seconds=4.0).crashes > 0


@pytest.mark.slow
def test_members_come_and_go_and_disks_are_damaged() -> None:
    checked = check_right(seeds=range(4), faults=["changes"], seconds=5.0)
    assert (checked.changes > 2, checked.damages) == (True, 0)
    checked = check_right(seeds=range(4), faults=["damaged_disks"], seconds=5.0)
    assert (checked.changes, checked.damages > 0, checked.crashes > 2) == (0, True, True)
    checked = check_right(seeds=range(2), faults=["damaged_disks"], seconds=2.0, members=2)
    assert (checked.damages, checked.crashes) == (0, 0), "nobody could repair them"
