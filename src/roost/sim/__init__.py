"""Whole clusters in virtual time, from a seed, and the judges of what they did.

    roost.sim.check(operations=[bank], client=visit, model=Bank, seeds=range(200))

tries a program's own operations; names are loaded when they are used.

`members` runs the production members on simulated machines, `cores` consensus alone; `campaign`,
`par`, `crashes`, `poison` and `mutants` run many of them.  `conformance` has what must hold of
whatever a member stands on, real or simulated.
"""

from typing import TYPE_CHECKING

from roost.lazy import lazily

if TYPE_CHECKING:
    from roost.sim.programs.check import Broken, Checked, check
    from roost.sim.programs.errors import BadCheck, BadModel
    from roost.sim.programs.run import FAULTS
    from roost.sim.programs.session import Session
else:
    __getattr__ = lazily(
        __name__,
        {
            **dict.fromkeys(("Broken", "Checked", "check"), "roost.sim.programs.check"),
            **dict.fromkeys(("BadCheck", "BadModel"), "roost.sim.programs.errors"),
            "FAULTS": "roost.sim.programs.run",
            "Session": "roost.sim.programs.session",
        },
    )

__all__ = ["FAULTS", "BadCheck", "BadModel", "Broken", "Checked", "Session", "check"]
