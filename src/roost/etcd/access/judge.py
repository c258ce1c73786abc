"""Who may: one user, one state, and the intervals of keys that its roles permit.

A `Judge` knows nothing of requests.  Whoever serves some says what they need: `v3/rights.py` for
etcd's, and others for theirs.  Nothing that is not permitted here is allowed.

What has to be looked up to judge is counted (`find`).  Where that is more than a turn of the loop
has time for, `CheckIsLong` says so, and the same judge is asked again in one of the next: it goes
on where it was (D14).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from roost.database.model import View
from roost.etcd import errors
from roost.etcd.access.users import ROOT, Auth
from roost.etcd.model.costs import INLINE_ROWS_MAX, Costs
from roost.etcd.model.mvcc import range_stop
from roost.proto import auth_pb2

# From a key to before another; None is the end of all keys.
Interval = tuple[bytes, bytes | None]
# The first key from one on and before another, of those in question; None = there is none.
First = Callable[[bytes, bytes | None], bytes | None]
# What it costs to be asked for what was found before, in rows.
_FOUND_COST = 1
_READS = (auth_pb2.Permission.READ, auth_pb2.Permission.READWRITE)
_WRITES = (auth_pb2.Permission.WRITE, auth_pb2.Permission.READWRITE)


class CheckIsLong(Exception):
    """A turn has no time for all that is to be looked up: `look_on`, and ask that judge again."""


class Gap(NamedTuple):
    """Where somebody has no right: from a key on and before another, in what `of` names."""

    of: bytes
    first: bytes
    stop: bytes | None


@lru_cache(maxsize=4096)
def _roles_of(user_row: bytes) -> tuple[str, ...]:
    return tuple(auth_pb2.User.FromString(user_row).roles)


@lru_cache(maxsize=4096)
def _intervals(role_rows: tuple[bytes, ...], kinds: tuple[int, ...]) -> tuple[Interval, ...]:
    """What roles permit, in order, touching parts made one.  A function of what is written."""
    found: list[Interval] = []
    for row in role_rows:
        held = auth_pb2.Role.FromString(row).keyPermission
        found += [(it.key, range_stop(it.key, it.range_end)) for it in held if it.permType in kinds]
    merged: list[Interval] = []
    for first, stop in sorted(found, key=lambda it: it[0]):
        if stop is not None and stop <= first:
            continue
        if merged:
            held_first, held_stop = merged[-1]
            if held_stop is None or first <= held_stop:
                longer = None if held_stop is None or stop is None else max(held_stop, stop)
                merged[-1] = (held_first, longer)
                continue
        merged.append((first, stop))
    return tuple(merged)


class Judge:
    """Says what one user may do, by one state."""

    __slots__ = ("_auth", "_found", "_left", "_looking", "_rows", "cost", "name", "roles", "view")

    def __init__(self, auth: Auth, view: View, name: str) -> None:
        """Judge the user of that name.

        Raises:
            Refused: nobody was named, or there is no such user.

        """
        if not name:
            raise errors.user_empty()
        row = view.get(auth.users, name.encode())
        if row is None:
            raise errors.permission_denied()
        self._auth, self.view, self.name = auth, view, name
        self.roles = _roles_of(row)
        self._rows: tuple[bytes, ...] | None = None
        # What was looked up, and what is being; how much more a turn has time for.
        self._found: dict[Gap, bytes | None] = {}
        self._looking: dict[Gap, Costs[bytes | None]] = {}
        self._left = INLINE_ROWS_MAX
        # What that has cost so far, in rows.
        self.cost = 0

    def find(self, gap: Gap, look: Callable[[], Costs[bytes | None]]) -> bytes | None:
        """What the steps of `look()` come to; those that were taken are not taken again.

        Raises:
            CheckIsLong: this turn has no time for all of them.

        """
        if gap in self._found:
            self._spend(_FOUND_COST)
            return self._found[gap]
        steps = self._looking.setdefault(gap, look())
        while True:
            if self._left <= 0:
                raise CheckIsLong
            try:
                self._spend(next(steps))
            except StopIteration as end:
                found: bytes | None = end.value
                self._found[gap] = found
                return found

    def _spend(self, cost: int) -> None:
        self._left -= cost
        self.cost += cost

    def look_on(self) -> None:
        """It is another turn."""
        self._left = INLINE_ROWS_MAX

    @property
    def is_root(self) -> bool:
        """Whether the user may do everything."""
        return ROOT in self.roles

    def need_root(self) -> None:
        """Only root may do this.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        if not self.is_root:
            raise errors.permission_denied()

    def need_read(self, key: bytes, range_end: bytes = b"") -> None:
        """The user must have the right to read a range.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        self._need(_READS, key, range_end)

    def need_write(self, key: bytes, range_end: bytes = b"") -> None:
        """The user must have the right to write a range.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        self._need(_WRITES, key, range_end)

    def need_read_all(self, first: First) -> None:
        """The user must have the right to read each of some keys, however many there are.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        self._need_all(_READS, first)

    def need_write_all(self, first: First) -> None:
        """The user must have the right to write each of some keys, however many there are.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        self._need_all(_WRITES, first)

    def _need_all(self, kinds: tuple[int, ...], first: First) -> None:
        """No key may be where the user has no right: there are fewer such gaps than keys."""
        if self.is_root:
            return
        gap_first = b""
        for held_first, held_stop in self._held(kinds):
            if gap_first < held_first and first(gap_first, held_first) is not None:
                raise errors.permission_denied()
            if held_stop is None:
                return
            gap_first = held_stop
        if first(gap_first, None) is not None:
            raise errors.permission_denied()

    def _need(self, kinds: tuple[int, ...], key: bytes, range_end: bytes) -> None:
        if self.is_root:
            return
        if not covers(self._held(kinds), key, range_stop(key, range_end)):
            raise errors.permission_denied()

    def _held(self, kinds: tuple[int, ...]) -> tuple[Interval, ...]:
        """What the user's roles permit."""
        if self._rows is None:
            rows = (self.view.get(self._auth.roles, it.encode()) for it in self.roles)
            self._rows = tuple(row for row in rows if row is not None)
        return _intervals(self._rows, kinds)


def covers(intervals: Sequence[Interval], first: bytes, stop: bytes | None) -> bool:
    """Whether one of the intervals, in order and apart, holds all from `first` to `stop`."""
    if stop is not None and stop <= first:
        stop = first + b"\0"  # an empty range names its first key
    place = bisect_right(intervals, first, key=lambda it: it[0])
    if not place:
        return False
    held_stop = intervals[place - 1][1]
    return held_stop is None or (stop is not None and stop <= held_stop)


# What an operation needs, by the bytes of its request.
Check = Callable[[Judge, bytes], None]


def anybody(_judge: Judge, _body: bytes) -> None:
    """Whoever is somebody."""


def somebody(_judge: Judge) -> None:
    """Whoever is somebody; for reads."""


def root(judge: Judge, _body: bytes) -> None:
    """Root only."""
    judge.need_root()
