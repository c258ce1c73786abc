"""Rights to counters: those of etcd's users to the keys `counters/<name>` (spec: counters).

They are looked up in what is applied on this member, so one that is cut off still answers; only a
caller whose token is not known here waits for the others.
"""

from bisect import bisect_left
from collections.abc import Callable
from functools import partial

from roost.call import Caller
from roost.counters.rights import Needed
from roost.errors import RoostError
from roost.etcd.access.judge import Judge
from roost.etcd.border import Border
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


def _check(needed: Needed, judge: Judge) -> None:
    if needed.is_roots:
        judge.need_root()
    elif needed.prefix is not None:
        need = judge.need_write if needed.is_write else judge.need_read
        need(needed.prefix, prefix_end(needed.prefix))
    else:
        keys = sorted(needed.keys)

        def first(start: bytes, stop: bytes | None) -> bytes | None:
            at = bisect_left(keys, start)
            is_there = at < len(keys) and (stop is None or keys[at] < stop)
            return keys[at] if is_there else None

        (judge.need_write_all if needed.is_write else judge.need_read_all)(first)
