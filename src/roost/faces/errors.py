"""How a blocking call cannot be made at all."""

from roost.errors import CallerFault


class Closed(CallerFault):
    """It was closed: open another one."""


class CalledInsideLoop(CallerFault):
    """A blocking call from the thread that would have to answer it, which would wait for ever."""


class Forked(CallerFault):
    """It was opened in another process: what it rests on did not come along; open one here."""
