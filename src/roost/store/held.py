"""Held views: a state that stays readable over many turns of the loop, while the store goes on.

A long read takes one, reads a bounded part in each turn, and closes it.  It is a read transaction
of its own upon LMDB and a hold on the layers above it (`stack`): nothing is copied, and nothing
waits for it, not writes, flushes, or the journal.  What it costs is what it keeps: pages of LMDB
that cannot be used again, so the file grows, and layers that are durable already.

Those that ask at one state share it.  Full?  There are STATES_MAX states; who asks for another one
is told so (`Overloaded`), and may ask again when there is room (`hear_room`).  A state lasts
HELD_S_MAX, and the layers that are in memory for their sake alone have a bound: then the oldest is
lost.  Those who hear of room are added when a member is put together, and never go.

A view is lost, too, when LMDB's file is replaced, or its map has to be moved.  Whoever reads it
then is told so (`HeldViewLost`), and may begin anew: nothing was changed by a read.
"""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Final

from roost.errors import Overloaded
from roost.store.base_reader import BaseReader
from roost.store.errors import HeldViewLost
from roost.store.layer import Layer
from roost.store.long_keys import Cut
from roost.store.stack import Held, LayerStack
from roost.store.view import View

STATES_MAX: Final = 4
HELD_S_MAX: Final = 60.0


class HeldView(View):
    """One state; whoever has it closes it.

    A `glimpse` is of the state of now, and good for one turn of the loop: it costs nothing.  `hold`
    makes it last, within that turn.  So what turns out to be short has held nothing.
    """

    __slots__ = ("_held_views", "_state", "index")

    def __init__(self, held_views: "HeldViews", layers: Sequence[Layer], base: BaseReader) -> None:
        """Read the state of now; `HeldViews` makes them."""
        super().__init__(layers, base)
        self._held_views = held_views
        self._state: _State | None = None
        # The log position of what it shows.
        self.index = held_views.newest_index()

    @property
    def is_over(self) -> bool:
        """Whether it is closed, or lost: nothing can be read any more."""
        return isinstance(self._base, _NoBase)

    @property
    def is_newest(self) -> bool:
        """Whether it shows what is applied now."""
        return self.index == self._held_views.newest_index()

    def hold(self) -> None:
        """Last until it is closed, or lost.

        Raises:
            Overloaded: as many states are held as can be.

        """
        assert self._state is None, "it is held once"
        state = self._state = self._held_views.enter(self)
        self._layers, self._base = state.held.layers, state.base

    def close(self) -> None:
        """Read no more; done again it does nothing."""
        state = self._state
        self.end("it is closed")
        if state is not None:
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

    def __init__(
        self,
        stack: LayerStack,
        base: BaseReader,
        newest_index: Callable[[], int],
        *,
        bytes_max: int,
    ) -> None:
        """Nobody reads; `bytes_max` is of layers that are kept for nothing else.

        `newest_index()` is the log position of what was written last: what tells states apart.
        """
        self._stack = stack
        self._base = base
        self._bytes_max = bytes_max
        self.newest_index = newest_index
        # The oldest first.
        self._states: list[_State] = []
        self._now_s = 0.0
        self._has_looked = False
        self.lost_count = 0
        # Each is called when a state was let go, and another one may be held.
        self._room_hearers: list[Callable[[], None]] = []
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

    @property
    def has_room(self) -> bool:
        """Whether the state of now can be held."""
        states = self._states
        return len(states) < STATES_MAX or states[-1].index == self.newest_index()

    def hear_room(self, callback: Callable[[], None]) -> None:
        """Have `callback` called whenever a state was let go; it must return soon."""
        self._room_hearers.append(callback)

    def _tell_room(self) -> None:
        for callback in self._room_hearers:
            callback()

    def glimpse(self) -> HeldView:
        """The state of now, for this turn of the loop, or longer if it is held in it."""
        return HeldView(self, self._stack.layers, self._base)

    def hold(self) -> HeldView:
        """Hold the state of now.

        Raises:
            Overloaded: as many states are held as can be.

        """
        view = self.glimpse()
        view.hold()
        return view

    def enter(self, view: HeldView) -> "_State":
        """The state of now for a view: its own, or one that others hold already."""
        if not self.has_room:
            raise Overloaded("too many states of the store are being read")
        index = self.newest_index()
        if not self._states or self._states[-1].index != index:
            base = self._base.pin()  # it may lose all others
            self._states.append(_State(index, base, self._stack.hold(), self._now_s))
        state = self._states[-1]
        state.views.append(view)
        return state

    def leave(self, state: "_State", view: HeldView) -> None:
        """A view is closed; the last one of a state lets that go."""
        state.views.remove(view)
        if not state.views:
            self._let_go(state)
            self._tell_room()

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
            self._tell_room()

    def look(self, now_s: float) -> None:
        """Lose what has been held for too long; `now_s` never goes back."""
        self._now_s = now_s
        if not self._has_looked:
            # Those that were held before had no time to begin at.
            self._has_looked = True
            for state in self._states:
                state.began_s = now_s
        while self._states and now_s - self._states[0].began_s > HELD_S_MAX:
            self._lose(self._states[0], f"it was read for more than {HELD_S_MAX:.0f} s")
            self._tell_room()


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

    def get(self, tree_id: int, key: bytes) -> bytes | None:  # noqa: ARG002 - as its base
        """Say that it is gone."""
        raise self._gone()

    def has(self, tree_id: int, key: bytes) -> bool:  # noqa: ARG002 - as its base
        """Say that it is gone."""
        raise self._gone()

    def items(
        self,
        tree_id: int,  # noqa: ARG002 - as its base
        first: bytes,  # noqa: ARG002 - the same
        stop: bytes | None,  # noqa: ARG002 - the same
        *,
        reverse: bool,  # noqa: ARG002 - the same
        keys_only: bool = False,  # noqa: ARG002 - the same
        covered: Sequence[dict[bytes, bytes | None]] = (),  # noqa: ARG002 - the same
    ) -> Iterator[tuple[bytes, bytes]]:
        """Say that it is gone, at once."""
        raise self._gone()

    def parts(
        self,
        tree_id: int,  # noqa: ARG002 - as its base
        first: bytes,  # noqa: ARG002 - the same
        stop: bytes | None,  # noqa: ARG002 - the same
        *,
        reverse: bool,  # noqa: ARG002 - the same
        keys_only: bool = False,  # noqa: ARG002 - the same
        covered: Sequence[dict[bytes, bytes | None]] = (),  # noqa: ARG002 - the same
        inside: bytes | None = None,  # noqa: ARG002 - the same
    ) -> Iterator[tuple[bytes, bytes | Cut]]:
        """Say that it is gone, at once."""
        raise self._gone()

    def _gone(self) -> HeldViewLost:
        return HeldViewLost(f"the state that was read is gone: {self._why}")
