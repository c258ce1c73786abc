"""Many seeds of a program: the bank of the examples, as one would check one's own; or time series.

    python -m tests.sim.programs.campaign --seeds 1..500 [--program points]

A line as JSON when it ends: what all runs saw together.  The first seed in which money is lost,
made or told wrongly, or a point is, ends it, with its trace and the command that runs it again.
"""

import argparse
import json
import random
import runpy
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import roost
import roost.sim
from roost.aio import Database
from roost.sim import Session
from roost.testing import DictModel
from tests.sim.programs.points import check_points, few_are_many

NAMES = ("ada", "bob", "cyd")
FIRST_AMOUNT = 20
SOURCE = Path(__file__).parents[3] / "examples" / "bank.py"


def load(path: Path) -> SimpleNamespace:
    """The names of a program: of the example, or of a copy of it with a line that is wrong."""
    return SimpleNamespace(**runpy.run_path(str(path), run_name="bank"))


class Bank(DictModel):
    """What the example ought to do."""

    def open_account(self, name: str, amount: int) -> None:
        if name in self:
            raise roost.Refused(code="taken")
        self[name] = amount

    def move(self, source: str, target: str, amount: int) -> int:
        if source not in self or target not in self:
            raise roost.Refused(code="unknown")
        if amount <= 0 or self[source] < amount:
            raise roost.Refused(code="funds")
        self[source] -= amount
        self[target] += amount
        return int(self[source])

    def balances(self) -> dict[str, int]:
        return dict(self)


def holds(txn: roost.Transaction) -> None:
    """Nobody has less than nothing, and money is neither made nor lost."""
    held = dict(txn.tree("accounts", key=str, value=int).items())
    assert all(amount >= 0 for amount in held.values()), held
    assert sum(held.values()) == FIRST_AMOUNT * len(held), held


async def balances(database: Database) -> dict[str, int]:
    async with database.view() as view:
        return {name: it async for name, it in view.tree("accounts", key=str, value=int).items()}


def check_bank(bank: SimpleNamespace, seeds: Iterable[int]) -> roost.sim.Checked:
    """Have clients open accounts, move money, and look, under all faults.

    Raises:
        roost.sim.Broken: something is wrong.

    """

    async def visit(db: Session, dice: random.Random) -> None:
        what = dice.random()
        if what < 0.2:
            await db.run(bank.open_account, dice.choice(NAMES), FIRST_AMOUNT)
        elif what < 0.8:
            await db.run(bank.move, dice.choice(NAMES), dice.choice(NAMES), dice.randint(0, 15))
        else:
            await db.read("balances", balances)

    return roost.sim.check(
        operations=[bank.bank], client=visit, model=Bank, invariant=holds, seeds=seeds
    )


def main() -> None:
    """Run the seeds that were asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default="1..500", help="A..B, both of them too")
    parser.add_argument("--program", choices=("bank", "points"), default="bank")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("..")
    seeds = range(int(first), int(last or first) + 1)
    if options.program == "bank":
        checked = check_bank(load(SOURCE), seeds)
    else:
        with few_are_many():
            checked = check_points(seeds)
    said = {**asdict(checked), "cpu_s": round(time.process_time(), 1)}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
