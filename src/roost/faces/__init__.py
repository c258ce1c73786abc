"""Two faces of one implementation: asyncio's, written by people, and a blocking one, made of it."""

from roost.faces.errors import CalledInsideLoop, Closed, Forked
from roost.faces.face import Face
from roost.faces.loop_thread import LoopThread
from roost.faces.mapping import KeyedRead, KeyedWrite
from roost.faces.marks import also, opening, translated

__all__ = [
    "CalledInsideLoop",
    "Closed",
    "Face",
    "Forked",
    "KeyedRead",
    "KeyedWrite",
    "LoopThread",
    "also",
    "opening",
    "translated",
]
