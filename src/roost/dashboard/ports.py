"""What the dashboard asks of a member, and of whoever knows its callers."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from roost.call import Caller
from roost.database import model
from roost.errors import RoostError
from roost.exchange import Answer, Request, Streaming

# Answers a request that may be asked.
Answering = Callable[[Request], Awaitable[Answer | Streaming]]


class Replica(model.Replica, model.Frames, Protocol):
    """What it asks of a member."""


class Rights(Protocol):
    """Who may see what members say of themselves, and who may see and change more: root."""

    def admit(
        self,
        caller: Caller,
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
        *,
        is_root: bool = False,
    ) -> None:
        """Call `allowed` when the caller may, else `refused`; one of them, once."""
