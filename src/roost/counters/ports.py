"""What counters ask of a member and of the world around it, and what they say of themselves."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, Protocol, TypeVar

from roost.counters.outside import OpenWay, refuse_ways
from roost.counters.requests import Limits
from roost.database import model
from roost.database.events import Event
from roost.outcome import settle_future

Result = TypeVar("Result")


class Replica(model.Replica, model.Periodic, model.Frames, Protocol):
    """What counters ask of a member."""

    def hear_links(self, hearer: Callable[[int], None]) -> None:
        """Have `hearer(member_id)` called whenever a link to a member opens; it raises nothing.

        Of what was sent on the one before nobody knows whether it came.
        """

    def tell(self, event: Event) -> None:
        """Tell whoever listens to this member's events."""


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


async def transact(replica: model.Replica, name: str, body: bytes) -> bytes:
    """Run an operation where the cluster leads; its answer.

    Raises:
        RoostError: it was refused, has not run, or nobody knows.

    """
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    replica.transact_nowait(name, body, partial(settle_future, future))
    return await future


async def wait_fresh(replica: model.Replica) -> None:
    """Wait until everything that was decided before is applied here.

    Raises:
        RoostError: nobody could say so.

    """
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    replica.read_nowait(partial(settle_future, future))
    await future


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What an operator says of a member's counters; see the settings of these names."""

    seed: str = ""
    is_silent: bool = False
    behind_s_max: float = 0.0
    # What this member's cluster is called by others, and how members of others are reached.
    cluster: str = ""
    open_way: OpenWay = refuse_ways
    limits: Limits = field(default_factory=Limits)


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
    bytes_received: int = 0
    messages_dropped: int = 0
    messages_malformed: int = 0
