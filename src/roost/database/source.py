"""Where reads come from: this member's trees now, after a round to the majority, or as they were.

live       everything acknowledged before the read: a barrier first (`Member.read_barrier`)
local      what this member has applied, without asking anybody: it may be behind
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from roost.database import declared
from roost.database.operations import Operation, P, R
from roost.database.rows import Row, scan_view
from roost.store import View


class Source(Protocol):
    """What read handles ask; trees go by name."""

    async def ready(self) -> None:
        """Wait until what may be read is what is promised; to be called before each read."""

    def open(self, tree: str, keys: str, values: str) -> int | None:
        """The tree's id, or None when it has never been written.

        Raises:
            NotYourTree, OtherCodec: it is not what it is said to be.

        """

    def get(self, tree_id: int | None, key: bytes) -> bytes | None:
        """The value of a key."""

    def scan(
        self, tree_id: int | None, first: bytes, stop: bytes | None, *, reverse: bool, limit: int
    ) -> list[Row]:
        """`limit` rows at most."""

    def count(self, tree_id: int | None, first: bytes, stop: bytes | None, limit: int) -> "Counted":
        """How many keys, up to `limit`, and the last of them."""


class Counted:
    """A part of a count."""

    __slots__ = ("count", "last")

    def __init__(self, count: int, last: bytes) -> None:
        """So many, up to this key."""
        self.count = count
        self.last = last


class LiveSource:
    """A member's applied trees; `wait_ready` is its barrier, or nothing."""

    def __init__(
        self, view: View, wait_ready: Callable[[], Awaitable[None]], check: Callable[[], None]
    ) -> None:
        """Read `view`, which is always the newest; `check()` raises when nothing is to be read."""
        self._view = view
        self._wait_ready = wait_ready
        # A walk over a tree goes on in later turns, in which the member may have ended.
        self._check = check

    async def ready(self) -> None:
        """See `Source.ready`."""
        await self._wait_ready()

    def open(self, tree: str, keys: str, values: str) -> int | None:
        """See `Source.open`."""
        found = declared.find(self._view, tree)
        declared.check_codecs(tree, found.declared, keys, values)
        return found.id

    def get(self, tree_id: int | None, key: bytes) -> bytes | None:
        """See `Source.get`."""
        return None if tree_id is None else self._view.get(tree_id, key)

    def scan(
        self, tree_id: int | None, first: bytes, stop: bytes | None, *, reverse: bool, limit: int
    ) -> list[Row]:
        """See `Source.scan`."""
        self._check()
        return scan_view(self._view, tree_id, first, stop, reverse=reverse, limit=limit)

    def count(self, tree_id: int | None, first: bytes, stop: bytes | None, limit: int) -> Counted:
        """See `Source.count`."""
        self._check()
        if tree_id is None:
            return Counted(0, first)
        count, last = 0, first
        for key, _ in self._view.iterate(tree_id, first, stop, keys_only=True):
            count, last = count + 1, key
            if count == limit:
                break
        return Counted(count, last)


class Asker(Protocol):
    """Who has operations run."""

    async def ask(self, operation: Operation[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one on the member that leads."""
