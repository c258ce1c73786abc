"""Who looks at the cluster, and what they see: one stream each, a state a second.

A state is made when it is taken, so nothing waits for a slow viewer but what has happened since his
last one, which is kept once for all (`happenings`).

Full?  VIEWERS_MAX look at a time; one more is refused.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

import msgspec

from roost.dashboard.gathering import Gathering, Row
from roost.dashboard.happenings import Happening, Happenings
from roost.dashboard.ports import Replica
from roost.errors import Overloaded

INTERVAL_S = 1.0
# How long whoever asks once waits for the others to say something.
TELLING_S = 0.5
VIEWERS_MAX = 64


class Raised(NamedTuple):
    """An alarm; the member's id as a number, 0 = of nobody."""

    member_id: int
    alarm: str


class AlarmRow(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm, as it is shown."""

    member: str
    alarm: str


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster as one member sees it; `at_s` is seconds since 1970 by its clock.

    `happenings` are those of this member since the last state of the same stream.
    """

    at_s: float
    cluster: str
    here: str
    leader: str
    term: int
    members: Sequence[Row]
    alarms: Sequence[AlarmRow]
    happenings: Sequence[Happening]


class Viewer:
    """One that looks."""

    def __init__(self, hub: "Hub", after: int) -> None:
        """It has seen what happened up to a number."""
        self._hub = hub
        self._after = after
        self._is_over = False
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is news that should not wait for the second to be over."""
        self._woken.set()

    def close(self) -> None:
        """See no more."""
        self._is_over = True
        self._hub.viewers.pop(self, None)
        self.wake()

    async def states(self) -> AsyncIterator[State]:
        """One when all have told, one a second then; at once when something has happened."""
        await self._hub.wait_told()
        while not self._is_over:
            self._woken.clear()
            self._hub.gathering.ask()
            state = self._hub.state(self._after)
            if state.happenings:
                self._after = state.happenings[-1].number
            yield state
            try:
                async with asyncio.timeout(INTERVAL_S):
                    await self._woken.wait()
            except TimeoutError:
                pass  # a second is over: time for the next


class Hub:
    """All that look at one member."""

    def __init__(
        self,
        replica: Replica,
        gathering: Gathering,
        happenings: Happenings,
        *,
        alarms: Callable[[], Sequence[Raised]],
        wall_s: Callable[[], float],
    ) -> None:
        """Nobody looks; `alarms()` are those that are raised."""
        self.gathering = gathering
        self.viewers: dict[Viewer, None] = {}
        self._replica = replica
        self._happenings = happenings
        self._alarms = alarms
        self._wall_s = wall_s
        self._waiting: list[asyncio.Event] = []
        happenings.on_news = self._wake
        gathering.on_told = self._on_told

    def _wake(self) -> None:
        for it in self.viewers:
            it.wake()

    def _on_told(self) -> None:
        if self.gathering.is_whole:
            for it in self._waiting:
                it.set()

    def view(self, after: int = 0) -> Viewer:
        """Look from now on, and at what happened behind a number.

        Raises:
            Overloaded: as many look as can.

        """
        if len(self.viewers) >= VIEWERS_MAX:
            raise Overloaded(f"{VIEWERS_MAX} look at this member, which are all there can be")
        viewer = Viewer(self, after)
        self.viewers[viewer] = None
        return viewer

    async def look(self) -> State:
        """One state, as soon as `wait_told` is over."""
        await self.wait_told()
        return self.state(0)

    async def wait_told(self) -> None:
        """Wait until all have said what they have to say, or TELLING_S are over."""
        told = asyncio.Event()
        self._waiting.append(told)
        self.gathering.ask()
        try:
            if not self.gathering.is_whole:
                async with asyncio.timeout(TELLING_S):
                    await told.wait()
        except TimeoutError:
            pass  # whoever has said nothing is shown so
        finally:
            self._waiting.remove(told)

    def state(self, after: int) -> State:
        """What is seen now."""
        replica = self._replica
        return State(
            at_s=self._wall_s(),
            cluster=f"{replica.cluster_id:x}",
            here=f"{replica.member_id:x}",
            leader=f"{replica.leader_id:x}" if replica.leader_id else "",
            term=replica.term,
            members=self.gathering.rows(),
            alarms=[AlarmRow(member=f"{it.member_id:x}", alarm=it.alarm) for it in self._alarms()],
            happenings=self._happenings.after(after),
        )

    def close(self) -> None:
        """Nobody sees any more."""
        for it in tuple(self.viewers):
            it.close()
