"""Rights to counters: those of etcd's users to the keys `counters/<name>` (spec: counters).

They are looked up in what is applied on this member, so one that is cut off still answers; only a
caller whose token is not known here waits for the others.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial

from roost.call import Caller
from roost.counters.rights import Needed
from roost.errors import RoostError
from roost.etcd.access.judge import Checking, Judge
from roost.etcd.border import Border
from roost.etcd.model.costs import Costs
from roost.proto.ranges import prefix_end


class CounterRights:
    """Asks etcd's border."""

    def __init__(self, border: Border) -> None:
        """Ask it."""
        self._border = border

    def admit(
        self,
        caller: Caller,
        needed: Needed,
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
    ) -> None:
        """Call `allowed` when the caller may, else `refused`."""
        self._border.admit(caller, partial(_check, needed), allowed, refused, is_local=True)


def _check(needed: Needed, judge: Judge) -> Checking:
    if needed.is_roots:
        judge.need_root()
        return None
    if needed.prefix is not None:
        need = judge.need_write if needed.is_write else judge.need_read
        return need(needed.prefix, prefix_end(needed.prefix))
    first = partial(_first, sorted(needed.keys))
    return (judge.need_write_all if needed.is_write else judge.need_read_all)(first)


def _first(keys: Sequence[bytes], start: bytes) -> Costs[bytes | None]:
    """The first of some keys, which are in order, from one on."""
    yield 0  # it costs no more than what is asked of it
    at = bisect_left(keys, start)
    return keys[at] if at < len(keys) else None
