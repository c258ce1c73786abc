"""What the blocking classes that `roost.faces.writer` makes have in common."""

import atexit
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self
from weakref import WeakSet

from roost.faces.errors import Closed
from roost.faces.loop_thread import LoopThread

logger = logging.getLogger(__name__)


class Face:
    """An object that lives on a loop, seen from other threads."""

    _inner: Any  # the object; each class made of one knows its own
    _loop: LoopThread
    _owns_loop = False

    @classmethod
    def _of(cls, inner: Any, loop: LoopThread) -> Self:
        """The face of an object on a loop that is somebody else's."""
        face = cls.__new__(cls)
        face._inner, face._loop = inner, loop  # noqa: SLF001 - our own
        return face

    @classmethod
    def _owning(cls, inner: Any, loop: LoopThread) -> Self:
        """As `_of`; the loop ends with it."""
        face = cls._of(inner, loop)
        face._owns_loop = True  # noqa: SLF001 - our own
        _opened.add(face)
        return face

    @classmethod
    def _of_any(cls, inner: Any, loop: LoopThread) -> Self | None:
        """As `_of`; None for none."""
        return None if inner is None else cls._of(inner, loop)

    def _close(self, work: Coroutine[Any, Any, object]) -> None:
        """Have `work` close it, unless that was done; and end the loop, if it is ours."""
        if self._loop.is_over:
            work.close()
            return
        try:
            with suppress(Closed):  # by another thread meanwhile
                self._loop.call(work)
        finally:
            if self._owns_loop:
                self._loop.close()


# Those that nobody may have closed when the interpreter ends.
_opened: WeakSet[Face] = WeakSet()


@atexit.register
def _close_opened() -> None:
    """Close what is open still: its loop's thread would be cut off in the middle of something."""
    for face in list(_opened):
        close: Any = getattr(face, "close", None)
        if close is not None:
            try:
                close()
            except Exception:
                logger.exception("%s could not be closed at the end", type(face).__name__)
