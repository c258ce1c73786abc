"""The asyncio face of observers: changes of trees as this member applies them, and its events."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Generator
from typing import Any, Generic, Self, overload

from roost.database.aio import observation as aio
from roost.database.bounds import K, V
from roost.database.changes import Change, Overrun
from roost.database.events import Event
from roost.faces import Face


class Observation(Face, Generic[K, V]):
    """Changes in the order of the log, each once; see `Observable.observe`.

    It begins with its `with` block, and ends with that; without one it begins when it is
    iterated over, and ends with the loop.  It is iterated over once: whoever leaves a loop, and
    comes back, keeps the iterator.

    """

    _inner: aio.Observation[K, V]

    def __enter__(self) -> Self:
        """Begin: what is applied from now on is told.

        Raises:
            NotYourTree, OtherCodec: the tree holds something else.
            Overloaded: as many observe as can.

        """
        self._loop.call(self._inner.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        """End it."""
        self._loop.call(self._inner.__aexit__(*exc))

    def pages(self) -> Generator[list[Change[K, V] | Overrun], None, None]:
        """What came since the last one, a few hundred at most; it waits for some.

        Raises:
            NotYourTree, OtherCodec: the tree holds something else.
            Overloaded: as many observe as can.
            Closed, MemberEnded: nothing comes any more.

        """
        return self._loop.iterate(self._inner.pages())

    def __iter__(self) -> Generator[Change[K, V] | Overrun, None, None]:
        """Changes, one after the other, and `Overrun` where some are missing; it waits for more.

        Raises:
            NotYourTree, OtherCodec, Overloaded, Closed, MemberEnded: as `pages`.

        """
        for page in self.pages():
            for it in page:
                yield it


class Events(Face):
    """What happens to a member, in the order in which it sees it; see `Observable.events`.

    It begins with its `with` block, and ends with that; without one it begins when it is
    iterated over, and ends with the loop.  It is iterated over once: whoever leaves a loop, and
    comes back, keeps the iterator.

    """

    _inner: aio.Events

    def __enter__(self) -> Self:
        """Begin: what happens from now on is told.

        Raises:
            Overloaded: as many listen as can.

        """
        self._loop.call(self._inner.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        """End it."""
        self._loop.call(self._inner.__aexit__(*exc))

    def pages(self) -> Generator[list[Event | Overrun], None, None]:
        """What came since the last one, a few hundred at most; it waits for some.

        Raises:
            Overloaded: as many listen as can.
            Closed, MemberEnded: nothing comes any more.

        """
        return self._loop.iterate(self._inner.pages())

    def __iter__(self) -> Generator[Event | Overrun, None, None]:
        """Events, one after the other, and `Overrun` where some are missing; it waits for more.

        Raises:
            Overloaded, Closed, MemberEnded: as `pages`.

        """
        for page in self.pages():
            for it in page:
                yield it


class Observable(Face):
    """What of a database can be observed."""

    _inner: aio.Observable

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
        self,
        tree: str | None,
        *,
        key: type[K],
        value: type[V],
        prefix: Any = None,
        since: int | None = None,
    ) -> Observation[K, V]: ...

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
        return Observation._of(
            self._inner.observe(tree, key=key, value=value, prefix=prefix, since=since), self._loop
        )

    def events(self) -> Events:
        """What happens to this member from now on, each kind a type of `roost.events`.

        `Overrun` says that some are missing: the consumer was slower than 1,000 of them.

        """
        return Events._of(self._inner.events(), self._loop)
