"""What counters ask of a member and of the world around it, and what they say of themselves."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeVar

from roost.database import model

Result = TypeVar("Result")


class Replica(model.Replica, model.Periodic, model.Frames, Protocol):
    """What counters ask of a member."""


class Around(Protocol):
    """What they find around it: `roost.member.World`."""

    def clock_s(self) -> float:
        """Seconds of a clock that never goes back."""

    def wall_s(self) -> float:
        """Seconds since 1970."""

    def run_aside(self, work: Callable[[], Result]) -> Coroutine[Any, Any, Result]:
        """Run it on a thread."""


class Chance(Protocol):
    """Where chance comes from."""

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""


def dice(chance: Chance) -> float:
    """A number by chance, from 0 to 1."""
    return chance.below(1 << 30) / (1 << 30)


def entropy(chance: Chance, count: int) -> bytes:
    """So many bytes of chance."""
    return chance.below(1 << (8 * count)).to_bytes(count, "big")


class State(Enum):
    """What there is of them here."""

    ABSENT = "absent"
    OPENING = "opening"
    OPEN = "open"
    BROKEN = "broken"


@dataclass(slots=True)
class Counts:
    """What has happened since the member was started, for metrics."""

    requests: int = 0
    changes: int = 0
    steps: int = 0
    rows_sent: int = 0
    rows_received: int = 0
    messages_dropped: int = 0
    messages_malformed: int = 0
