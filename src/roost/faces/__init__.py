"""Two faces of one implementation: asyncio's, written by people, and a blocking one, made of it.

What has square brackets is imported when it is used: a client has none.
"""

from typing import TYPE_CHECKING

from roost.faces.errors import CalledInsideLoop, Closed, Forked
from roost.faces.face import Face
from roost.faces.loop_thread import LoopThread
from roost.faces.marks import also, opening, translated
from roost.lazy import lazily

if TYPE_CHECKING:
    from roost.faces.mapping import KeyedRead, KeyedWrite, WithLength
else:
    __getattr__ = lazily(
        __name__, dict.fromkeys(("KeyedRead", "KeyedWrite", "WithLength"), "roost.faces.mapping")
    )

__all__ = [
    "CalledInsideLoop",
    "Closed",
    "Face",
    "Forked",
    "KeyedRead",
    "KeyedWrite",
    "LoopThread",
    "WithLength",
    "also",
    "opening",
    "translated",
]
