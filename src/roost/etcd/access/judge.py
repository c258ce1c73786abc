"""Who may: one user, one state, and the ranges of keys that its roles permit.

A `Judge` knows nothing of requests.  Whoever serves some says what they need: `v3/rights.py` for
etcd's, and others for theirs.  Nothing that is not permitted here is allowed.

What a check takes grows with the roles of a user, with their permissions and with the keys that it
is about.  So it is steps, which say what they cost: whoever drives them takes as many as a turn of
the loop has time for, and goes on in the next (D14).

A range is held against each role by itself, which is a binary search: what a thousand roles permit
together is never made one.  Only where no role has all of a range are those that touch it walked
through, in order.
"""

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heapreplace

from roost.database.model import View
from roost.etcd import errors
from roost.etcd.access.permitted import Permitted, Ranges
from roost.etcd.access.users import ROOT, Auth
from roost.etcd.model.costs import Costs
from roost.etcd.model.mvcc import range_stop

# The first key from one on, of those in question; None = there is none.
First = Callable[[bytes], Costs[bytes | None]]
# A check: None where it is known at once that somebody may, else what it takes to know.
Checking = Costs[None] | None
# So many binary searches, or ranges that are walked through, take as long as a row that is read.
_SEARCHES_A_ROW_LOG2 = 2
# Ranges that are walked through in a step.
_WALKED_A_STEP = 100


class Judge:
    """Says what one user may do, by one state."""

    __slots__ = ("_auth", "_permitted", "cost", "name", "roles", "view")

    def __init__(self, auth: Auth, view: View, name: str) -> None:
        """Judge the user of that name.

        Raises:
            Refused: nobody was named, or there is no such user.

        """
        if not name:
            raise errors.user_empty()
        found = auth.roles_of(view, name)
        if found is None:
            raise errors.permission_denied()
        # The names of its roles; and what it cost to be made.
        self.roles, self.cost = found
        self._auth, self.view, self.name = auth, view, name
        # What each of the roles permits, when that is known.
        self._permitted: list[Permitted] | None = None

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

    def need_read(self, key: bytes, range_end: bytes = b"") -> Costs[None]:
        """The user must have the right to read a range.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        if not self.is_root:
            permitted = self._permitted or (yield from self._look_up())
            reads = [it.reads for it in permitted]
            yield from _need(reads, key, range_stop(key, range_end))

    def need_write(self, key: bytes, range_end: bytes = b"") -> Costs[None]:
        """The user must have the right to write a range.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        if not self.is_root:
            permitted = self._permitted or (yield from self._look_up())
            writes = [it.writes for it in permitted]
            yield from _need(writes, key, range_stop(key, range_end))

    def need_read_all(self, first: First) -> Costs[None]:
        """The user must have the right to read each of some keys, however many there are.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        if not self.is_root:
            permitted = self._permitted or (yield from self._look_up())
            yield from _need_all([it.reads for it in permitted], first)

    def need_write_all(self, first: First) -> Costs[None]:
        """The user must have the right to write each of some keys, however many there are.

        Raises:
            Refused: etcd's ErrPermissionDenied.

        """
        if not self.is_root:
            permitted = self._permitted or (yield from self._look_up())
            yield from _need_all([it.writes for it in permitted], first)

    def _look_up(self) -> Costs[list[Permitted]]:
        """What each of the user's roles permits."""
        auth, permitted = self._auth, list[Permitted]()
        for role in self.roles:
            row = self.view.get(auth.roles, role.encode())
            if row is not None:  # a user's row may outlive a role in an old backup
                permitted.append((yield from auth.permitted.of(row)))
            yield 1
        self._permitted = permitted
        return permitted


def _need(ranges: Sequence[Ranges], first: bytes, stop: bytes | None) -> Costs[None]:
    """All from `first` to `stop` must be in the ranges of one, or of all together."""
    if stop is not None and stop <= first:
        stop = first + b"\0"  # an empty range names its first key
    yield 1 + (len(ranges) >> _SEARCHES_A_ROW_LOG2)
    reach = _furthest(ranges, first)
    if reach is None or (stop is not None and reach >= stop):
        return
    if reach == first or not (yield from _goes_on(ranges, first, reach, stop)):
        raise errors.permission_denied()


def _goes_on(
    ranges: Sequence[Ranges], first: bytes, reach: bytes, stop: bytes | None
) -> Costs[bool]:
    """Whether what is had up to `reach` goes on to `stop`, by what begins behind `first`.

    Of each role's ranges the next one is looked at, the lowest of all first.
    """
    places = ((it.following(first), number) for number, it in enumerate(ranges))
    nexts = [
        (ranges[number].at(place)[0], number, place)
        for place, number in places
        if place < len(ranges[number])
    ]
    heapify(nexts)
    yield len(ranges) >> _SEARCHES_A_ROW_LOG2
    walked = 0
    while nexts:
        begin, number, place = nexts[0]
        if begin > reach:
            return False
        end = ranges[number].at(place)[1]
        if end is None or (stop is not None and end >= stop):
            return True
        reach = max(reach, end)
        place += 1
        if place < len(ranges[number]):
            heapreplace(nexts, (ranges[number].at(place)[0], number, place))
        else:
            heappop(nexts)
        walked += 1
        if walked % _WALKED_A_STEP == 0:
            yield _WALKED_A_STEP >> _SEARCHES_A_ROW_LOG2
    return False


def _need_all(ranges: Sequence[Ranges], first: First) -> Costs[None]:
    """Each key must be in a range: the next one is looked for where the range of the last ends.

    So there are as many steps as there are keys, or as ranges where these are fewer.
    """
    at = b""
    while True:
        key = yield from first(at)
        if key is None:
            return
        yield 1 + (len(ranges) >> _SEARCHES_A_ROW_LOG2)
        reach = _furthest(ranges, key)
        if reach is None:
            return
        if reach == key:
            raise errors.permission_denied()
        at = reach


def _furthest(ranges: Sequence[Ranges], key: bytes) -> bytes | None:
    """Up to where all is permitted by one from a key on; the key itself where none permits it."""
    furthest = key
    for it in ranges:
        reach = it.reach(key)
        if reach is None:
            return None
        furthest = max(furthest, reach)
    return furthest


# What an operation needs, by the bytes of its request.
Check = Callable[[Judge, bytes], Checking]


def anybody(_judge: Judge, _body: bytes) -> None:
    """Whoever is somebody."""


def somebody(_judge: Judge) -> None:
    """Whoever is somebody; for reads."""


def root(judge: Judge, _body: bytes) -> None:
    """Root only."""
    judge.need_root()
