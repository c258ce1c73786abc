"""Where reads come from: this member's trees now, after a round to the majority, or as they were.

live       everything acknowledged before the read: a barrier first (`Member.read_barrier`)
local      what this member has applied, without asking anybody: it may be behind

A range is read in parts, one in a turn of the loop: each looks at so many rows at most, and bytes,
whether these are handed out or were deleted (`roost.store.Walk`, D14).
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from roost.database import declared
from roost.database.operations import Operation, P, R
from roost.database.rows import Row
from roost.store import View, Walk


class Parts(Protocol):
    """A range on its way to whoever reads it."""

    @property
    def is_done(self) -> bool:
        """Whether the end has been seen; until then more may follow, whatever a part has."""

    def take(self, count_max: int) -> list[Row]:
        """The next rows, `count_max` at most; there may be none, though more follow."""


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

    def parts(
        self,
        tree_id: int | None,
        first: bytes,
        stop: bytes | None,
        *,
        reverse: bool = False,
        keys_only: bool = False,
    ) -> Parts:
        """A range, in order, from the end with `reverse`; with `keys_only` b"" for its values."""


class _Nothing:
    """Parts of a tree that has never been written."""

    is_done = True

    def take(self, count_max: int) -> list[Row]:  # noqa: ARG002 - as all parts
        return []


class _LiveParts:
    """Parts of a tree of a member that may end meanwhile."""

    __slots__ = ("_check", "_walk")

    def __init__(self, walk: Walk, check: Callable[[], None]) -> None:
        self._walk = walk
        self._check = check

    @property
    def is_done(self) -> bool:
        return self._walk.is_done

    def take(self, count_max: int) -> list[Row]:
        self._check()
        return self._walk.take(count_max)


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

    def parts(
        self,
        tree_id: int | None,
        first: bytes,
        stop: bytes | None,
        *,
        reverse: bool = False,
        keys_only: bool = False,
    ) -> Parts:
        """See `Source.parts`."""
        self._check()
        if tree_id is None:
            return _Nothing()
        walk = Walk(self._view, tree_id, first, stop, reverse=reverse, keys_only=keys_only)
        return _LiveParts(walk, self._check)


class Asker(Protocol):
    """Who has operations run."""

    async def ask(self, operation: Operation[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one on the member that leads."""
