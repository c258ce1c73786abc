"""What is wrong with a check itself, and not with the operations that it tries."""

from roost.errors import CallerFault


class BadCheck(CallerFault):
    """What `roost.sim.check` was told cannot be checked; the text says what to give."""


class BadModel(CallerFault):
    """A model lacks an operation, or fails in one: say in it what the operation ought to do."""


class InvariantWrote(CallerFault):
    """An invariant wrote something: it may only look."""
