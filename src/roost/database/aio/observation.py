"""The asyncio face of observers: changes of trees as this member applies them, and its events."""

from collections.abc import AsyncGenerator
from typing import Any, Generic, Self, overload

from roost.database.bounds import K, V
from roost.database.changes import Change, Overrun, Wanted
from roost.database.embedded import Embedded
from roost.database.errors import BadArgument
from roost.database.events import Event
from roost.database.listening import Listener
from roost.database.observing import Observer
from roost.faces import translated


class Observation(Generic[K, V]):
    """Changes in the order of the log, each once; see `Observable.observe`.

    It begins with its `async with` block, and ends with that; without one it begins when it is
    iterated over, and ends with the loop.  It is iterated over once: whoever leaves a loop, and
    comes back, keeps the iterator.
    """

    def __init__(self, embedded: Embedded, wanted: Wanted[K, V], since: int | None) -> None:
        """Nothing is observed yet."""
        self._embedded = embedded
        self._wanted = wanted
        self._since = since
        self._observer: Observer | None = None
        self._is_iterated = False

    async def __aenter__(self) -> Self:
        """Begin: what is applied from now on is told.

        Raises:
            NotYourTree, OtherCodec: the tree holds something else.
            Overloaded: as many observe as can.

        """
        self._begin()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End it."""
        if self._observer is not None:
            self._observer.end()

    def _begin(self) -> Observer:
        self._embedded.check()
        if self._observer is None:
            self._observer = self._embedded.observing.observe(self._wanted, self._since)
        return self._observer

    async def pages(self) -> AsyncGenerator[list[Change[K, V] | Overrun], None]:
        """What came since the last one, a few hundred at most; it waits for some.

        Raises:
            NotYourTree, OtherCodec: the tree holds something else.
            Overloaded: as many observe as can.
            Closed, MemberEnded: nothing comes any more.

        """
        if self._is_iterated:
            raise BadArgument("it is iterated over already: keep its iterator, or observe anew")
        self._is_iterated = True
        is_ours = self._observer is None
        observer = self._begin()
        typed = self._wanted.typed
        try:
            while page := await observer.take():
                yield [it if isinstance(it, Overrun) else typed(it) for it in page]
        finally:
            if is_ours:
                observer.end()

    @translated
    async def __aiter__(self) -> AsyncGenerator[Change[K, V] | Overrun, None]:
        """Changes, one after the other, and `Overrun` where some are missing; it waits for more.

        Raises:
            NotYourTree, OtherCodec, Overloaded, Closed, MemberEnded: as `pages`.

        """
        async for page in self.pages():
            for it in page:
                yield it


class Events:
    """What happens to a member, in the order in which it sees it; see `Observable.events`.

    It begins with its `async with` block, and ends with that; without one it begins when it is
    iterated over, and ends with the loop.  It is iterated over once: whoever leaves a loop, and
    comes back, keeps the iterator.
    """

    def __init__(self, embedded: Embedded) -> None:
        """Nobody listens yet."""
        self._embedded = embedded
        self._listener: Listener | None = None
        self._is_iterated = False

    async def __aenter__(self) -> Self:
        """Begin: what happens from now on is told.

        Raises:
            Overloaded: as many listen as can.

        """
        self._begin()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End it."""
        if self._listener is not None:
            self._listener.end()

    def _begin(self) -> Listener:
        self._embedded.check()
        if self._listener is None:
            self._listener = self._embedded.listening.listen()
        return self._listener

    async def pages(self) -> AsyncGenerator[list[Event | Overrun], None]:
        """What came since the last one, a few hundred at most; it waits for some.

        Raises:
            Overloaded: as many listen as can.
            Closed, MemberEnded: nothing comes any more.

        """
        if self._is_iterated:
            raise BadArgument("it is iterated over already: keep its iterator, or listen anew")
        self._is_iterated = True
        is_ours = self._listener is None
        listener = self._begin()
        try:
            while page := await listener.take():
                yield page
        finally:
            if is_ours:
                listener.end()

    @translated
    async def __aiter__(self) -> AsyncGenerator[Event | Overrun, None]:
        """Events, one after the other, and `Overrun` where some are missing; it waits for more.

        Raises:
            Overloaded, Closed, MemberEnded: as `pages`.

        """
        async for page in self.pages():
            for it in page:
                yield it


class Observable:
    """What of a database can be observed."""

    def __init__(self, embedded: Embedded) -> None:
        """Observe what `embedded` applies."""
        self._embedded = embedded

    @overload
    def observe(
        self, tree: str | None = None, *, prefix: Any = None, since: int | None = None
    ) -> Observation[bytes, bytes]: ...
    @overload
    def observe(
        self, tree: str, *, key: type[K], prefix: Any = None, since: int | None = None
    ) -> Observation[K, bytes]: ...
    @overload
    def observe(
        self, tree: str, *, value: type[V], prefix: Any = None, since: int | None = None
    ) -> Observation[bytes, V]: ...
    @overload
    def observe(
        self, tree: str | None, *, key: type[K], value: type[V], prefix: Any = None,
        since: int | None = None,
    ) -> Observation[K, V]: ...  # fmt: skip
    def observe(
        self,
        tree: str | None = None,
        *,
        key: type[Any] = bytes,
        value: type[Any] = bytes,
        prefix: Any = None,
        since: int | None = None,
    ) -> Observation[Any, Any]:
        """Changes of a tree, or of all trees of programs, as this member applies them.

        With `since`, a position in the log, those behind it come first, as far as the log goes
        back; `before` is not known of them.  `Overrun` says that some are missing: the consumer was
        slower than 10,000 changes or 8 MiB, the log does not go back so far, a snapshot took the
        place of the trees, or a whole range was deleted in that past.

        Raises:
            BadTreeName: no tree can have that name.
            BadKey, BadValue: keys or values cannot be of these types, or begin with `prefix`.
            BadArgument: `prefix` or types without a tree, or `since` is no position.

        """
        if since is not None and (not isinstance(since, int) or since < 0):
            raise BadArgument(f"since={since!r}: a position in the log, from 0")
        return Observation(self._embedded, Wanted(tree, key, value, prefix), since)

    def events(self) -> Events:
        """What happens to this member from now on, each kind a type of `roost.events`.

        `Overrun` says that some are missing: the consumer was slower than 1,000 of them.
        """
        return Events(self._embedded)
