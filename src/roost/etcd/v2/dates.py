"""The date by which nodes of v2 run out: the clock's, but for its jumps.

`expiration` is a date that clients see, and a time to live is time that passes.  So the date goes
on by a clock that never goes back, and follows the date of the machine as long as the two differ by
less than JUMP_S.  When they differ by more, somebody has set the machine's: it was wrong when
it started, or is wrong from now on.  Then all that runs out is moved by as much, by an operation
where the cluster leads; until that has run, the old date goes on.  So nothing runs out early, or
never, because a clock was set.

What cannot be known is that a clock was set while its member did not run, and which of two
members' clocks is right: a member that begins to lead goes by its own.
"""

import logging
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from roost.database.model import Long, Txn, Walk
from roost.etcd.model.costs import Costs, now_or_long
from roost.etcd.v2 import nodes
from roost.etcd.v2.nodes import Trees

logger = logging.getLogger(__name__)
SET_CLOCK: Final = "etcd.v2_set_clock"
# Between two looks, of which there are some a second.
JUMP_S: Final = 1.0
_NS: Final = 1_000_000_000
# The latest that a row can say.
_LATEST_NS: Final = (1 << 64) - 1
_ROWS_A_STEP: Final = 100


class Dates:
    """The date of one member, and the operation that moves all dates."""

    def __init__(
        self, trees: Trees, *, wall_s: Callable[[], float], clock_s: Callable[[], float]
    ) -> None:
        """`wall_s` is the machine's date, in seconds since 1970; `clock_s` never goes back."""
        self._trees = trees
        self._wall_s = wall_s
        self._clock_s = clock_s
        self._base_s = wall_s() - clock_s()
        # What an operation has moved it by that is not applied yet.
        self._moved_s = 0.0

    def now_ns(self) -> int:
        """The date, in nanoseconds since 1970."""
        return max(0, int((self._base_s + self._clock_s()) * _NS))

    @property
    def _jump_s(self) -> float:
        """By how much the machine's date is another one."""
        return self._wall_s() - self._clock_s() - self._base_s

    @property
    def is_set(self) -> bool:
        """Whether the machine's date has jumped."""
        return abs(self._jump_s) >= JUMP_S

    def follow(self) -> None:
        """Go by the machine's date from now on."""
        self._base_s += self._jump_s

    def set_clock(self, txn: Txn, _body: bytes) -> bytes | Long:
        """Operation: move all dates, if the clock where this runs was set.

        What comes behind it in the same batch goes by the new date.
        """
        if not self.is_set:
            return b""
        return now_or_long(txn, lambda its: self._moved(its, self._jump_s))

    def _moved(self, txn: Txn, jump_s: float) -> Costs[bytes]:
        trees, jump_ns = self._trees, int(jump_s * _NS)
        # All are read before any is moved: a row that is moved on would be met again.
        walk, keys = Walk(txn, trees.expiries, b"", None, keys_only=True), list[bytes]()
        while not walk.is_done:
            found = walk.take(_ROWS_A_STEP)
            keys += [key for key, _ in found]
            yield walk.cost
        for key in keys:
            path = nodes.expiring_path(key)
            node = nodes.get(trees, txn, path)
            assert node is not None, "what runs out is there"
            at_ns = min(max(1, node.expires_ns + jump_ns), _LATEST_NS)
            nodes.put(trees, txn, path, replace(node, expires_ns=at_ns), node)
            yield 4
        logger.warning("the clock was set by %.0f s: %d nodes of v2 go by it", jump_s, len(keys))
        self._base_s += jump_s
        self._moved_s = jump_s
        return b""

    def end_move(self, *, is_done: bool) -> None:
        """The operation is applied, or never will be: then the date is what it was."""
        if not is_done:
            self._base_s -= self._moved_s
        self._moved_s = 0.0
