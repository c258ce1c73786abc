"""`roost.sim.check`: a program's own operations in virtual time, under faults, from seeds.

    checked = roost.sim.check(operations=[bank], client=visit, model=Bank, seeds=range(200))

Each seed is a cluster of production members on simulated machines, with clients that do what
`client` says; it draws which of the faults it has, and how often.  The same seed is the same run,
on any machine.  ROOST_SEED=17 has only that one run, and told in full; ROOST_SEEDS=1..500 these,
whatever the program says.
"""

import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from roost.database import DEFAULT_LIMITS, Limits, Operations
from roost.database.operations import by_name
from roost.sim.members.chronicle import Result
from roost.sim.members.run import quiet_scratch
from roost.sim.programs.errors import BadCheck
from roost.sim.programs.members import Invariant
from roost.sim.programs.model import DictModel, Judged
from roost.sim.programs.run import FAULTS, Client, Program, ProgramRun

MEMBERS_MAX, CLIENTS_MAX = 9, 20
_ONE, _MANY = "ROOST_SEED", "ROOST_SEEDS"
_TOLD_LINES = 30


class Broken(AssertionError):
    """A seed in which the program's operations did what they must not."""

    def __init__(self, seed: int, violation: str, trace: list[str], again: str) -> None:
        """Say what happened, the end of how, and how to see it again."""
        lines = "\n".join(trace[-_TOLD_LINES:])
        super().__init__(f"seed {seed}: {violation}\n{lines}\nagain: {again}")
        self.seed = seed
        self.violation = violation
        self.trace = trace
        self.again = again


@dataclass(slots=True)
class Checked:
    """What all runs saw, added up; times are virtual."""

    seeds: int = 0
    calls: int = 0
    answered: int = 0
    crashes: int = 0
    elections: int = 0
    # Changes of members that were carried out; disks that were damaged.
    changes: int = 0
    damages: int = 0
    # Seeds that say nothing of the end: those left alive were no majority of any configuration.
    stranded: int = 0
    virtual_s: float = 0.0

    def add(self, result: Result) -> None:
        """Add one run."""
        self.seeds += 1
        self.calls += result.operations
        self.answered += result.acknowledged
        self.crashes += result.crashes
        self.elections += result.elections
        self.changes += result.changes
        self.damages += result.damages
        self.stranded += result.is_stranded
        self.virtual_s += result.virtual_s


def check(
    *,
    operations: Iterable[Operations],
    client: Client,
    model: type[DictModel] | None = None,
    invariant: Invariant | None = None,
    seeds: Iterable[int] = range(200),
    members: int = 3,
    clients: int = 3,
    faults: Collection[str] = FAULTS,
    seconds: float = 10.0,
    limits: Limits = DEFAULT_LIMITS,
    on_seed: Callable[[Result], None] | None = None,
) -> Checked:
    """Run `seeds`, and raise at the first in which something is wrong.

    * `client`: `async def visit(db, dice)`, one visit of a client at a member, which it chose: `db`
      is a `Session`, `dice` a `random.Random`, the only chance that a client may use.  Each of
      `clients` visits again and again.  What it raises itself is a failure of the seed; `Refused`,
      `NotExecuted` and `OutcomeUnknown` it may let go.
    * `model`: what operations ought to do, as a `DictModel`; the history of all clients must be
      what one copy of it could have answered, one call after another.
    * `invariant`: `def holds(txn)`, called on each member behind each applied entry, with what is
      applied there, to be read only; it raises or returns False when something is wrong.
    * `faults`: which of FAULTS a seed may draw; `seconds` is how long they go on, virtually.
      `changes` adds, promotes, replaces and removes members; `damaged_disks` kills a member and
      damages its journal, where there are three of them and nobody comes or goes.

    Raises:
        Broken: a seed failed; its text has the command that runs it again.
        BadCheck: there is nothing to judge by, or the numbers are out of bounds.
        BadModel: the model lacks an operation, or fails in one.
        BadDeclaration: two operations have one name.

    """
    __tracebackhide__ = True  # pytest would show all of this before what was found
    if model is None and invariant is None:
        raise BadCheck("give model=, invariant=, or both: else nothing could be found wrong")
    if not 1 <= members <= MEMBERS_MAX or not 1 <= clients <= CLIENTS_MAX or seconds <= 0:
        raise BadCheck(f"members= is 1 to {MEMBERS_MAX}, clients= 1 to {CLIENTS_MAX}, seconds= "
                       "more than none")  # fmt: skip
    if unknown := {*faults} - {*FAULTS}:
        raise BadCheck(f"there are no faults {sorted(unknown)}: {', '.join(FAULTS)}")
    program = Program(
        operations=by_name(operations),
        client=client,
        model=None if model is None else Judged(model),
        invariant=invariant,
        limits=limits,
        members=members,
        clients=clients,
        faults=frozenset(faults),
        seconds=seconds,
    )
    checked = Checked()
    is_told, chosen = _chosen(seeds)
    for seed in chosen:
        result, trace = run_seed(seed, program)
        if is_told:
            print("\n".join(trace))  # noqa: T201 - that was asked for
        if result.violation:
            raise Broken(seed, result.violation, trace, _command(seed))
        checked.add(result)
        if on_seed is not None:
            on_seed(result)
    return checked


def run_seed(seed: int, program: Program) -> tuple[Result, list[str]]:
    """Run one; the result and the trace."""
    with quiet_scratch() as root:
        run = ProgramRun(seed, root, program)
        return run.run(), run.chronicle.trace


def _chosen(seeds: Iterable[int]) -> tuple[bool, Iterable[int]]:
    """Whether all is told, and which seeds are run.

    Raises:
        BadCheck: a variable is no number, or no range.

    """
    if one := os.environ.get(_ONE):
        if not one.isdigit():
            raise BadCheck(f"{_ONE}={one} is no number")
        return True, [int(one)]
    if many := os.environ.get(_MANY):
        first, dots, last = many.partition("..")
        if not dots or not first.isdigit() or not last.isdigit():
            raise BadCheck(f"{_MANY}={many} is no range A..B")
        return False, range(int(first), int(last) + 1)
    return False, seeds


def _command(seed: int) -> str:
    """What runs a seed again: the test that runs, or the program."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    words = ["-m", "pytest", test] if test else sys.argv
    if not test and words[:1] in ([], [""], ["-c"]):
        return f"roost.sim.check(..., seeds=[{seed}])"
    return f"{_ONE}={seed} python {shlex.join(words)}"
