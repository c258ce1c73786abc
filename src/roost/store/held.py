"""Held views: a state that stays readable over many turns of the loop, while the store goes on.

A long read takes one, reads a bounded part in each turn, and closes it.  It is a read transaction
of its own upon LMDB and a hold on the layers above it (`stack`): nothing is copied, and nothing
waits for it, not writes, flushes, or the journal.  What it costs is what it keeps: pages of LMDB
that cannot be used again, so the file grows, and layers that are durable already.

Those that ask at one state share it.  Full?  There are STATES_MAX states; who asks for another one
is told so (`Overloaded`), and may ask again when `on_room` was called.  A state lasts HELD_S_MAX,
and the layers that are in memory for their sake alone have a bound: then the oldest is lost.

A view is lost, too, when LMDB's file is replaced, or its map has to be moved.  Whoever reads it
then is told so (`HeldViewLost`), and may begin anew: nothing was changed by a read.
"""

from collections.abc import Callable
from types import TracebackType
from typing import NoReturn

from roost.errors import Overloaded
from roost.store.base_reader import BaseReader
from roost.store.errors import HeldViewLost
from roost.store.stack import Held, LayerStack
from roost.store.view import View

STATES_MAX = 4
HELD_S_MAX = 60.0


class HeldView(View):
    """One state; whoever has it closes it."""

    __slots__ = ("_held_views", "_state", "index")

    def __init__(self, held_views: "HeldViews", state: "_State") -> None:
        """Read `state`; `HeldViews.hold` makes them."""
        super().__init__(state.held.layers, state.base)
        self._held_views = held_views
        self._state: _State | None = state
        # The log position of the state.
        self.index = state.index

    @property
    def is_over(self) -> bool:
        """Whether it is closed, or lost: nothing can be read any more."""
        return self._state is None

    def close(self) -> None:
        """Read no more; done again it does nothing."""
        state = self._state
        if state is not None:
            self.end("it is closed")
            self._held_views.leave(state, self)

    def end(self, why: str) -> None:
        """Be over: whoever reads is told why."""
        self._state = None
        self._layers = ()
        self._base = _NoBase(why)

    def __enter__(self) -> "HeldView":
        """Close it behind the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


class HeldViews:
    """All states of one store that somebody reads."""

    def __init__(self, stack: LayerStack, base: BaseReader, *, bytes_max: int) -> None:
        """Nobody reads; `bytes_max` is of layers that are kept for nothing else."""
        self._stack = stack
        self._base = base
        self._bytes_max = bytes_max
        # The oldest first.
        self._states: list[_State] = []
        self._now_s = 0.0
        self.lost_count = 0
        # Called when a state was let go, and another one may be held.
        self.on_room: Callable[[], None] = lambda: None
        base.on_closing = self.lose_all

    @property
    def count(self) -> int:
        """How many states are held."""
        return len(self._states)

    @property
    def bytes(self) -> int:
        """What of them is in memory for nothing else."""
        return self._stack.held_bytes

    @property
    def age_s(self) -> float:
        """How long the oldest has been held, as of the last `look`."""
        return max(0.0, self._now_s - self._states[0].began_s) if self._states else 0.0

    def has_room(self, index: int) -> bool:
        """Whether the state at `index`, the newest there is, can be held."""
        return len(self._states) < STATES_MAX or self._states[-1].index == index

    def hold(self, index: int) -> HeldView:
        """Hold the state at `index`, which is that of now.

        Raises:
            Overloaded: as many states are held as can be.

        """
        if not self.has_room(index):
            raise Overloaded("too many states of the store are being read")
        if not self._states or self._states[-1].index != index:
            base = self._base.pin()  # it may lose all others
            self._states.append(_State(index, base, self._stack.hold(), self._now_s))
        state = self._states[-1]
        view = HeldView(self, state)
        state.views.append(view)
        return view

    def leave(self, state: "_State", view: HeldView) -> None:
        """A view is closed; the last one of a state lets that go."""
        state.views.remove(view)
        if not state.views:
            self._let_go(state)
            self.on_room()

    def _let_go(self, state: "_State") -> None:
        self._states.remove(state)
        self._stack.release(state.held)
        state.base.close()

    def _lose(self, state: "_State", why: str) -> None:
        """Whoever reads a state is told that it is gone, and why."""
        self.lost_count += 1
        for view in state.views:
            view.end(why)
        state.views.clear()
        self._let_go(state)

    def lose_all(self, why: str) -> None:
        """LMDB cannot be read any more as it was."""
        while self._states:
            self._lose(self._states[0], why)

    def shrink(self) -> None:
        """Lose the oldest states while more is kept for them than may be."""
        while self._states and self.bytes > self._bytes_max:
            self._lose(self._states[0], "it kept too much in memory")
            self.on_room()

    def look(self, now_s: float) -> None:
        """Lose what has been held for too long; `now_s` never goes back."""
        self._now_s = now_s
        while self._states and now_s - self._states[0].began_s > HELD_S_MAX:
            self._lose(self._states[0], f"it was read for more than {HELD_S_MAX:.0f} s")
            self.on_room()


class _State:
    """One state, and who reads it."""

    __slots__ = ("base", "began_s", "held", "index", "views")

    def __init__(self, index: int, base: BaseReader, held: Held, now_s: float) -> None:
        self.index, self.base, self.held = index, base, held
        self.began_s = now_s
        self.views: list[HeldView] = []


class _NoBase(BaseReader):
    """Nothing can be read."""

    def __init__(self, why: str) -> None:
        self._why = why

    def _tell(self, *_given: object, **_named: object) -> NoReturn:
        raise HeldViewLost(f"the state that was read is gone: {self._why}")

    get = has = items = _tell
