"""Has the cluster take away what has run out, where this member leads.

What is due is said by the date (`dates`), as clients see it in `expiration`; an operation looks at
its own clock again where it runs, so a deposed leader that wakes up takes nothing away.  While
nothing is due nothing is proposed, so an idle cluster's log does not grow (etcd's does).

When the next node is due is kept in memory, lowered by what is applied, and looked up again when
something was taken away.
"""

import logging

from roost.database.model import DELETE_FROM, Changes, LongChanges, Walk
from roost.errors import RoostError
from roost.etcd.ports import Replica
from roost.etcd.v2.dates import SET_CLOCK, Dates
from roost.etcd.v2.nodes import Trees, expiring_ns
from roost.outcome import Outcome
from roost.ticker import Ticker

logger = logging.getLogger(__name__)
EXPIRE = "etcd.v2_expire"
LOOK_S = 0.25
# Rows that were taken away and still lie before the first are passed, so many times 512 a look.
_TAKES_MAX = 8


class Expiry:
    """Looks a few times a second."""

    def __init__(self, replica: Replica, trees: Trees, dates: Dates) -> None:
        """Nothing runs before `start`."""
        self._replica = replica
        self._tree = trees.expiries
        self._dates = dates
        # Nothing runs out before; 0 = it has to be looked up.
        self._next_ns = 0
        self._is_asking = self._is_unknown = False
        self._ticker = Ticker(LOOK_S, self.look)
        replica.observe(self._on_applied, trees=(self._tree,))

    def start(self) -> None:
        """Look from now on."""
        self._ticker.start()

    def stop(self) -> None:
        """Look no more."""
        self._ticker.stop()

    def look(self) -> None:
        """Take away what is due, by a clock that goes on."""
        replica, dates = self._replica, self._dates
        is_leading = replica.leader_id == replica.member_id
        if not is_leading or not dates.is_set:
            dates.follow()
        if not is_leading or self._is_asking:
            return
        if dates.is_set:
            self._is_asking = True
            replica.transact_nowait(SET_CLOCK, b"", self._on_set)
            return
        now_ns = dates.now_ns()
        if self._next_ns <= now_ns:
            self._look_up()
        if self._next_ns <= now_ns:
            self._is_asking = True
            replica.transact_nowait(EXPIRE, b"", self._on_done)

    def _look_up(self) -> None:
        """Find out what runs out first."""
        self._is_unknown = False
        walk = Walk(self._replica.view, self._tree, b"", None, keys_only=True)
        for _ in range(_TAKES_MAX):
            rows = walk.take(1)
            if rows:
                self._next_ns = expiring_ns(rows[0][0])
                return
            if walk.is_done:
                self._next_ns = 1 << 64
                return
        # The operation looks on, over many turns if it has to; and the next look, if it finds none.
        self._next_ns, self._is_unknown = 0, True

    def _on_set(self, outcome: Outcome) -> None:
        self._is_asking = False
        self._next_ns = 0
        self._dates.end_move(is_done=not isinstance(outcome, RoostError))
        if isinstance(outcome, RoostError):
            logger.info("the clock was set, and dates could not be moved: %s", outcome)

    def _on_done(self, outcome: Outcome) -> None:
        self._is_asking = False
        if isinstance(outcome, RoostError):
            logger.info("what has run out could not be taken away yet: %s", outcome)
        elif not self._is_unknown:
            self.look()  # there may be more

    def on_switched(self) -> None:
        """A snapshot has replaced everything."""
        self._next_ns = 0

    def _on_applied(self, _index: int, changes: Changes) -> None:
        if isinstance(changes, LongChanges):
            self._next_ns = 0
            return
        for kind, _, key, row in changes.of_tree(self._tree):
            if row is not None and kind != DELETE_FROM:
                self._next_ns = min(self._next_ns, expiring_ns(key))
