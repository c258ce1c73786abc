"""Everybody who listens to what happens to one member.

Full?  A listener keeps EVENTS_MAX events; of several `Committed` in a row, the last.  Who is slower
loses what comes until everything that was kept is taken: then there is an `Overrun`, and it goes
on.  There are LISTENERS_MAX of them; one more is refused.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from roost.database.events import Committed, Event, Overrun
from roost.errors import Overloaded
from roost.member import Member

LISTENERS_MAX = 64
EVENTS_MAX = 1000
# What is handed over at once.
PAGE = 256


class Listener:
    """What one consumer has not taken yet."""

    def __init__(self, listening: "Listening") -> None:
        """`Listening.listen` makes them."""
        self._listening = listening
        self._events: deque[Event] = deque()
        self._is_lost = self._is_over = False
        self._news = asyncio.Event()

    def put(self, event: Event) -> None:
        """Another event."""
        events = self._events
        if self._is_lost:
            return
        if isinstance(event, Committed) and events and isinstance(events[-1], Committed):
            events[-1] = event
        elif len(events) < EVENTS_MAX:
            events.append(event)
        else:
            self._is_lost = True
        self._news.set()

    def wake(self) -> None:
        """There is news."""
        self._news.set()

    async def take(self) -> list[Event | Overrun]:
        """What came, PAGE of it at most; it waits for some.

        There is nothing when it was ended, by another task.

        Raises:
            Closed, MemberEnded: nothing comes any more.

        """
        while not self._is_over:
            if page := self.take_nowait():
                return page
            self._listening.check()
            self._news.clear()
            await self._news.wait()
        return []

    def take_nowait(self) -> list[Event | Overrun]:
        """As `take`; nothing when there is nothing yet."""
        page: list[Event | Overrun] = []
        while self._events and len(page) < PAGE:
            page.append(self._events.popleft())
        if not page and self._is_lost:
            self._is_lost = False
            page.append(Overrun(self._listening.applied_index))
        return page

    def end(self) -> None:
        """Nobody takes any more."""
        self._listening.forget(self)
        self._events.clear()
        self._is_over = True
        self.wake()


class Listening:
    """All listeners of one member."""

    def __init__(self, member: Member, *, check: Callable[[], None]) -> None:
        """Nobody listens; `check()` raises when nobody can any more."""
        self._member = member
        self.check = check
        self._listeners: list[Listener] = []

    @property
    def applied_index(self) -> int:
        """How far the member has come."""
        return self._member.store.applied_index

    def listen(self) -> Listener:
        """Have somebody told what happens from now on.

        Raises:
            Overloaded: as many listen as can.

        """
        if len(self._listeners) >= LISTENERS_MAX:
            raise Overloaded(f"{LISTENERS_MAX} listeners are all there can be")
        listener = Listener(self)
        self._listeners.append(listener)
        self._member.news.hear(listener.put)
        return listener

    def forget(self, listener: Listener) -> None:
        """Tell it nothing any more; done again it does nothing."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            self._member.news.forget(listener.put)

    def close(self) -> None:
        """The member has ended: whoever waits is told."""
        for it in self._listeners:
            it.wake()
