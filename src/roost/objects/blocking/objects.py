"""The asyncio face of `db.objects`: each kind of object by its name.

Names are those of trees: printable ASCII without blanks.  An object that lives in a tree of its own
is that tree, "objects/" + its name, and is made by its first write; one name is one object, and
opening it as another kind, or with other types, is refused (`OtherCodec`).  Locks, semaphores,
leaders and barriers have names of their own kind, any text, and leave nothing behind but a row of
each barrier.
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Callable
from typing import Any, TypeVar, overload

from roost.faces import Face
from roost.objects.aio import objects as aio
from roost.objects.blocking.barriers import Barrier
from roost.objects.blocking.deques import Deque
from roost.objects.blocking.dicts import Counter, Dict
from roost.objects.blocking.lists import List
from roost.objects.blocking.locks import Leader, Lock, Semaphore
from roost.objects.blocking.queues import PriorityQueue
from roost.objects.blocking.registers import Register
from roost.objects.blocking.sets import Set
from roost.objects.errors import LeaseLost

K = TypeVar("K")
V = TypeVar("V")


class Objects(Face):
    """Replicated objects; see the module."""

    _inner: aio.Objects

    @overload
    def dict(self, name: str) -> Dict[bytes, bytes]: ...

    @overload
    def dict(self, name: str, *, key: type[K]) -> Dict[K, bytes]: ...

    @overload
    def dict(self, name: str, *, value: type[V]) -> Dict[bytes, V]: ...

    @overload
    def dict(self, name: str, *, key: type[K], value: type[V]) -> Dict[K, V]: ...

    def dict(
        self, name: str, *, key: type[Any] = bytes, value: type[Any] = bytes
    ) -> Dict[Any, Any]:
        """A dictionary, in the order in which its keys came.

        `key` is bytes, str, int, datetime or a tuple of these, `value` whatever msgspec can encode.

        Raises:
            BadTreeName: no object can have that name.
            BadKey, BadValue: keys or values cannot be of these types.

        """
        return Dict._of(self._inner.dict(name, key=key, value=value), self._loop)

    @overload
    def counter(self, name: str) -> Counter[bytes]: ...

    @overload
    def counter(self, name: str, *, key: type[K]) -> Counter[K]: ...

    def counter(self, name: str, *, key: type[Any] = bytes) -> Counter[Any]:
        """How often there is what, as `collections.Counter`; raises what `dict` does."""
        return Counter._of(self._inner.counter(name, key=key), self._loop)

    @overload
    def set(self, name: str) -> Set[bytes]: ...

    @overload
    def set(self, name: str, *, member: type[V]) -> Set[V]: ...

    def set(self, name: str, *, member: type[Any] = bytes) -> Set[Any]:
        """A set; its members are what keys can be; raises what `dict` does."""
        return Set._of(self._inner.set(name, member=member), self._loop)

    @overload
    def list(self, name: str) -> List[bytes]: ...

    @overload
    def list(self, name: str, *, value: type[V]) -> List[V]: ...

    def list(self, name: str, *, value: type[Any] = bytes) -> List[Any]:
        """A list; raises what `dict` does."""
        return List._of(self._inner.list(name, value=value), self._loop)

    @overload
    def deque(self, name: str, *, maxlen: int | None = None) -> Deque[bytes]: ...

    @overload
    def deque(self, name: str, *, value: type[V], maxlen: int | None = None) -> Deque[V]: ...

    def deque(
        self, name: str, *, value: type[Any] = bytes, maxlen: int | None = None
    ) -> Deque[Any]:
        """A deque; with `maxlen` what is too much goes at the other end.

        `maxlen` is this opening's: all should say the same.  Raises what `dict` does.

        """
        return Deque._of(self._inner.deque(name, value=value, maxlen=maxlen), self._loop)

    @overload
    def priority_queue(
        self, name: str, *, priority: type[K], maxsize: int = 0
    ) -> PriorityQueue[K, bytes]: ...

    @overload
    def priority_queue(
        self, name: str, *, priority: type[K], value: type[V], maxsize: int = 0
    ) -> PriorityQueue[K, V]: ...

    def priority_queue(
        self, name: str, *, priority: type[Any], value: type[Any] = bytes, maxsize: int = 0
    ) -> PriorityQueue[Any, Any]:
        """A queue from which the entry with the lowest priority is taken first.

        `priority` is what keys can be; whoever opens it with a `maxsize` puts nothing in when there
        are as many.  Raises what `dict` does.

        """
        return PriorityQueue._of(
            self._inner.priority_queue(name, priority=priority, value=value, maxsize=maxsize),
            self._loop,
        )

    @overload
    def register(self, name: str) -> Register[bytes]: ...

    @overload
    def register(self, name: str, *, value: type[V]) -> Register[V]: ...

    def register(self, name: str, *, value: type[Any] = bytes) -> Register[Any]:
        """One value; raises what `dict` does."""
        return Register._of(self._inner.register(name, value=value), self._loop)

    def drop(self, name: str) -> None:
        """Remove an object that has a tree of its own; its name is free for another kind.

        One round trip, one row, whatever it removes.  Versions begin anew with it, so drop what
        nobody changes meanwhile.

        """
        self._loop.call(self._inner.drop(name))

    def lock(
        self, name: str, *, ttl_s: float, on_lost: Callable[[LeaseLost], object] | None = None
    ) -> Lock:
        """A lock, which its holder has for `ttl_s` at a time, and is renewed in the background.

        Each object that this makes can hold it once.

        Raises:
            BadArgument: the time is shorter than 0.1 s, or longer than a day.

        """
        return Lock._of(
            self._inner.lock(
                name, ttl_s=ttl_s, on_lost=None if on_lost is None else self._loop.calling(on_lost)
            ),
            self._loop,
        )

    def semaphore(
        self,
        name: str,
        *,
        permits: int,
        ttl_s: float,
        on_lost: Callable[[LeaseLost], object] | None = None,
    ) -> Semaphore:
        """As a lock that `permits` may hold at a time; all have to say the same number.

        Raises:
            BadArgument: the time, or the number, cannot be.

        """
        return Semaphore._of(
            self._inner.semaphore(
                name,
                permits=permits,
                ttl_s=ttl_s,
                on_lost=None if on_lost is None else self._loop.calling(on_lost),
            ),
            self._loop,
        )

    def leader(
        self,
        name: str,
        *,
        value: str = "",
        ttl_s: float,
        on_lost: Callable[[LeaseLost], object] | None = None,
    ) -> Leader:
        """An election: `with` is to lead, `current` tells who does, by its `value`.

        Raises:
            BadArgument: as `lock`.

        """
        return Leader._of(
            self._inner.leader(
                name,
                value=value,
                ttl_s=ttl_s,
                on_lost=None if on_lost is None else self._loop.calling(on_lost),
            ),
            self._loop,
        )

    def barrier(self, name: str, *, parties: int, ttl_s: float = 10.0) -> Barrier:
        """A barrier, at which so many wait for each other; all have to say the same number.

        Raises:
            BadArgument: the number, or the time, cannot be.

        """
        return Barrier._of(self._inner.barrier(name, parties=parties, ttl_s=ttl_s), self._loop)
