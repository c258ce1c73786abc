"""bcrypt on threads, and whose turn it is.

Hashing takes a core for a twentieth of a second and more, so whoever guesses passwords would have
all others wait.  HASHERS threads work; those who wait take turns by network, and within one by
name: a queue of guesses from one place delays nobody elsewhere by more than a turn, and guesses at
one name nobody with another.  Where guesses came from lately has one thread at most, and stands
behind all others, so who has not failed finds a thread free.

Full?  From one network ADDRESS_MAX wait; one more is refused.  When WAITING_MAX wait in all, the
youngest of the longest queue is refused instead of whoever comes from elsewhere.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TypeVar

from roost.errors import CallerGone, NotExecuted, Overloaded
from roost.outcome import Waiting

HASHERS, HASHERS_OF_SUSPECTS = 2, 1
ADDRESS_MAX, WAITING_MAX = 128, 256
# bcrypt looks at no more.
PASSWORD_BYTES_MAX = 72
_REMEMBERED_MAX = 64
Worked = TypeVar("Worked")


class _Job:
    """Work that waits for a thread."""

    __slots__ = ("begin", "refuse", "waiting")

    def __init__(
        self,
        begin: Callable[[], None],
        refuse: Callable[[NotExecuted], None],
        waiting: Waiting | None,
    ) -> None:
        self.begin = begin
        self.refuse = refuse
        self.waiting = waiting


_Lane = dict[str, deque[_Job]]
# Network -> name -> work that waits; whose turn is next stands first in either.
_Lanes = dict[str, _Lane]


class Hashers:
    """The threads of one member, and who waits for one."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._threads = ThreadPoolExecutor(HASHERS, thread_name_prefix="bcrypt")
        self._lanes: _Lanes = {}
        self._suspects: _Lanes = {}
        self._running_count = self._suspect_count = self.waiting_count = 0
        # From asking to the result, of the last that were done.
        self._took_s: deque[float] = deque(maxlen=_REMEMBERED_MAX)

    @property
    def is_measured(self) -> bool:
        """Whether `draw_s` knows how long it takes."""
        return bool(self._took_s)

    def draw_s(self) -> float:
        """How long one of the last took, any of them."""
        return secrets.choice(self._took_s)

    def run(
        self,
        network: str,
        name: str,
        work: Callable[[], Worked],
        done: Callable[["asyncio.Future[Worked]"], None],
        *,
        is_suspect: bool = False,
        waiting: Waiting | None = None,
    ) -> None:
        """Do `work` on a thread when its turn comes; `done(future)` is called once, in the loop.

        The future has the result, what the work raised, or `Overloaded`, or `CallerGone` when
        nobody was `waiting` for it any more: it was never begun.
        """
        loop = asyncio.get_running_loop()
        asked_s = perf_counter()

        def ended(future: "asyncio.Future[Worked]") -> None:
            self._took_s.append(perf_counter() - asked_s)
            self._running_count -= 1
            self._suspect_count -= is_suspect
            self._begin_next()
            done(future)

        def begin() -> None:
            loop.run_in_executor(self._threads, work).add_done_callback(ended)

        def refuse(error: NotExecuted) -> None:
            refused: asyncio.Future[Worked] = loop.create_future()
            refused.set_exception(error)
            done(refused)

        job = _Job(begin, refuse, waiting)
        lanes = self._suspects if is_suspect else self._lanes
        if _count(lanes.get(network, {})) >= ADDRESS_MAX:
            refuse(Overloaded("too many passwords are being checked"))
            return
        lanes.setdefault(network, {}).setdefault(name, deque()).append(job)
        self.waiting_count += 1
        self._begin_next()
        if self.waiting_count > WAITING_MAX:
            self._refuse_one()

    def _begin_next(self) -> None:
        """Give free threads to those whose turn it is."""
        while self._running_count < HASHERS:
            is_suspect = False
            if self._lanes:
                job = _take_next(self._lanes)
            elif self._suspects and self._suspect_count < HASHERS_OF_SUSPECTS:
                job = _take_next(self._suspects)
                is_suspect = True
            else:
                return
            self.waiting_count -= 1
            if job.waiting is not None and job.waiting.is_over:
                job.refuse(CallerGone("nobody waits for a password to be checked"))
                continue
            self._suspect_count += is_suspect
            self._running_count += 1
            job.begin()

    def _refuse_one(self) -> None:
        """Refuse the youngest of the longest queue; of suspects, if there are any."""
        lanes = self._suspects or self._lanes
        network = max(lanes, key=lambda it: _count(lanes[it]))
        lane = lanes[network]
        name = max(lane, key=lambda it: len(lane[it]))
        job = lane[name].pop()
        if not lane[name]:
            del lane[name]
        if not lane:
            del lanes[network]
        self.waiting_count -= 1
        job.refuse(Overloaded("too many passwords are being checked"))


def _take_next(lanes: _Lanes) -> _Job:
    """Whose turn it is; its network, and its name there, go to the end."""
    network = next(iter(lanes))
    lane = lanes.pop(network)
    name = next(iter(lane))
    waiting = lane.pop(name)
    job = waiting.popleft()
    if waiting:
        lane[name] = waiting
    if lane:
        lanes[network] = lane
    return job


def _count(lane: _Lane) -> int:
    return sum(map(len, lane.values()))
