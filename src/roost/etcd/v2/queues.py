"""Queues of those who want to hold something, as keys of the tree (etcd 0.3: mod/lock/v2).

    /_etcd/mod/lock/{key}/{index of its creation, in 20 digits}  -> what its owner says of itself

Who stands first holds it.  A place is taken by a POST, so the order is that of coming, and its
index is a fencing token: whoever holds the lock later has a larger one.  Who waits watches the
place before its own and no other, so one that goes wakes one; and nobody hears that places are
renewed.

Since a member answers a change when it has applied it, its own state has all that stood before a
place when that was taken: nobody is missed there, and who is gone there is gone.  Whether its own
place is there still, the leader says, which renews it at the end: that is when the lock is held.

A value that stands in the queue already shares the place that it has, perhaps with a request at
another member whose client has given that one up.  So whoever leaves gives a place back only as
long as nobody else has renewed it: else it may be held.  What is not given back ends with its time.

Full?  A waiter takes a watch, of which a member has `--max-watchers`, and its client's connection.
"""

import asyncio
from dataclasses import dataclass

from roost.call import Caller
from roost.database.model import View
from roost.errors import RoostError
from roost.etcd.model.costs import SLICE_ROWS, Costs
from roost.etcd.v2 import history, nodes
from roost.etcd.v2.asking import TreeAccess
from roost.etcd.v2.faults import Fault, Reason
from roost.etcd.v2.paths import child_of, path_of
from roost.etcd.v2.reads import Write
from roost.etcd.v2.values import Change, Kind
from roost.etcd.v2.watch_hub import WatchHub
from roost.etcd.v2.watchers import Watcher
from roost.tasks import Tasks

ROOT = b"/_etcd/mod/lock"
# Whoever says this of itself says nothing, and shares its place with nobody.
NOBODY = b"-"
_DIGITS = 20
# A place is renewed when so much of its time is over, and no more often than that.
_RENEW_PART, _RENEW_S_MIN = 2, 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """One place in a queue."""

    path: bytes
    value: bytes

    @property
    def index(self) -> int:
        """That of its creation."""
        return int(self.path[-_DIGITS:])


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to hold, as whom, and for how many seconds without a word."""

    caller: Caller
    queue: bytes
    value: bytes
    ttl_s: int


def queue_of(key: bytes) -> bytes:
    """The directory of the queue for a key, which begins with "/"."""
    return ROOT + key


class Queues:
    """All queues, as one member sees them."""

    def __init__(self, access: TreeAccess, hub: WatchHub) -> None:
        """Nobody waits here."""
        self._access = access
        self._hub = hub
        # What is given back for those who have gone.
        self._leaving = Tasks()
        self.waiting_count = 0

    async def acquire(self, wish: Wish, timeout_s: float | None) -> Place:
        """Return when what is wished is held.  Who is cancelled, or late, gives its place back.

        Raises:
            RoostError: it is not: it was not free in time, or nobody answers.

        """
        due_s = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        while True:
            joined = await self._join_surely(wish)
            place = joined.place
            try:
                await self._wait_first(wish, joined, due_s)
                await self.renew(wish, place)
            except Fault as failed:
                if failed.reason is not Reason.KEY_NOT_FOUND:
                    self._leaving.start(self._give_back(wish, joined))
                    raise
                continue  # its time was over, or somebody has released it: from the beginning
            except BaseException:
                self._leaving.start(self._give_back(wish, joined))
                raise
            return place

    async def _join_surely(self, wish: Wish) -> "_Joined":
        """Take a place, and give it back when nobody waits for it any more when it is taken."""
        joining = self._leaving.start(self._try_join(wish))
        try:
            joined = await asyncio.shield(joining)
        except asyncio.CancelledError:
            self._leaving.start(self._leave(wish, joining))
            raise
        if isinstance(joined, RoostError):
            raise joined
        return joined

    async def _leave(self, wish: Wish, joining: "asyncio.Task[_Joined | RoostError]") -> None:
        joined = await joining
        if not isinstance(joined, RoostError):
            await self._give_back(wish, joined)

    async def _try_join(self, wish: Wish) -> "_Joined | RoostError":
        """A place for a wish: of those with one value there is one only."""
        kind = Kind.POST if wish.value == NOBODY else Kind.JOIN
        asked = Change(kind, wish.queue, value=wish.value, ttl_s=wish.ttl_s)
        try:
            said = await self._access.change(wish.caller, asked)
        except Fault as failed:
            if failed.reason is not Reason.KEY_EXISTS:
                return failed
            return _Joined(Place(failed.cause, wish.value), renewed=0)
        except RoostError as error:
            return error
        path = child_of(wish.queue, b"%0*d" % (_DIGITS, said.index))
        return _Joined(Place(path, wish.value), renewed=said.index)

    async def _wait_first(self, wish: Wish, joined: "_Joined", due_s: float | None) -> None:
        """Return when nobody stands before a place, or it is gone.

        Raises:
            Fault: somebody still does when it is due.

        """
        self.waiting_count += 1
        renewing = Tasks()
        try:
            if joined.renewed:
                renewing.start(self._keep(wish, joined))
            while (before := await self._before(joined.place, wish.queue)) is not None:
                async with asyncio.timeout_at(due_s):
                    await self._wait_changed(before)
        except TimeoutError:
            raise Fault(Reason.INTERNAL, "the lock was not free in time") from None
        finally:
            self.waiting_count -= 1
            await renewing.close()

    async def _wait_changed(self, before: "_Before") -> None:
        """Return when a place may be gone.

        Raises:
            Fault: its client may be somebody else now.
            Overloaded: too many watch.

        """
        try:
            watcher = self._hub.open(
                before.path, before.seen + 1, is_recursive=False, is_stream=False
            )
        except Fault:
            return  # so much has happened meanwhile that it has to be looked at again
        await self._wait_gone(watcher)

    async def _wait_gone(self, watcher: Watcher) -> None:
        try:
            while not watcher.is_over:
                self._hub.follow(watcher)
                await watcher.wait(None)
            if watcher.fault is not None and watcher.fault.reason is Reason.UNAUTHORIZED:
                raise watcher.fault
        finally:
            self._hub.close(watcher)

    async def _keep(self, wish: Wish, joined: "_Joined") -> None:
        """Renew a place while its owner waits; without an answer, again at the next turn."""
        while True:
            await asyncio.sleep(max(wish.ttl_s / _RENEW_PART, _RENEW_S_MIN))
            try:
                if joined.renewed:
                    joined.renewed = await self.renew(wish, joined.place, since=joined.renewed)
                else:
                    await self.renew(wish, joined.place)
            except Fault as failed:
                if failed.reason is Reason.COMPARE_FAILED:
                    joined.renewed = 0  # somebody else has, or an answer to ours was lost
            except RoostError:
                continue  # who waits hears of it at the end, if its place is gone by then

    async def _give_back(self, wish: Wish, joined: "_Joined") -> None:
        """Have a place gone that nobody else has renewed."""
        if not joined.renewed:
            return
        path, since = joined.place.path, joined.renewed
        try:
            asked = Change(Kind.COMPARE_DELETE, path, prev_index=since)
            await self._access.change(wish.caller, asked)
        except RoostError:
            return  # its time to live ends it

    async def _before(self, place: Place, queue: bytes) -> "_Before | None":
        """The place before one, if any; none as well when the queue is gone."""
        found: list[Place] = []
        seen = await self._read(queue, found)
        before = [it for it in found if it.path < place.path]
        return _Before(before[-1].path, seen) if before else None

    async def _read(self, queue: bytes, found: list[Place]) -> int:
        """Add the places of a queue, the first first; the index of the state they are of."""
        trees, index = self._access.trees, 0

        def read(view: View, write: Write) -> Costs[None]:
            nonlocal index
            del write
            found.clear()
            index = history.now(trees, view).index
            walk = nodes.children(trees, view, queue)
            while not walk.is_done:
                rows = walk.take(SLICE_ROWS)
                yield walk.cost
                for key, row in rows:
                    path, node = path_of(key), nodes.decode(row)
                    name = path.rpartition(b"/")[2]
                    if len(name) == _DIGITS and name.isdigit() and not node.is_dir:
                        found.append(Place(path, node.value))

        await self._access.reads.read(read)
        return index

    async def places(self, caller: Caller, queue: bytes) -> list[Place]:
        """All places of a queue, the first first, and all that was acknowledged before is seen.

        Raises:
            RoostError: this member cannot say so.

        """
        await self._access.admit(caller, queue)
        found: list[Place] = []
        await self._read(queue, found)
        return found

    async def find(self, caller: Caller, queue: bytes, *, value: bytes, index: int) -> Place:
        """The place of an index, or when that is 0 the first one of a value.

        Raises:
            Fault: there is none.

        """
        for place in await self.places(caller, queue):
            if place.index == index or (not index and place.value == value):
                return place
        raise Fault(Reason.KEY_NOT_FOUND, queue)

    async def renew(self, wish: Wish, place: Place, *, since: int = 0) -> int:
        """Hold a place for longer, if nobody has renewed it `since` an index; that of the change.

        Raises:
            RoostError: it is gone, or nobody answers; or somebody has.

        """
        kind = Kind.SWAP if since else Kind.UPDATE
        asked = Change(kind, place.path, ttl_s=wish.ttl_s, is_refresh=True, prev_index=since)
        return (await self._access.change(wish.caller, asked)).index

    async def release(self, caller: Caller, place: Place) -> None:
        """Give a place up.

        Raises:
            RoostError: it is gone, or nobody answers.

        """
        await self._access.change(caller, Change(Kind.DELETE, place.path))

    async def close(self) -> None:
        """Give nothing back any more."""
        await self._leaving.close()


@dataclass(slots=True)
class _Joined:
    place: Place
    # When it was renewed last by whom it was taken for: 0 when it stood there before, or somebody
    # else has renewed it since.
    renewed: int


@dataclass(frozen=True, slots=True)
class _Before:
    path: bytes
    # The index of the state in which it stood there.
    seen: int
