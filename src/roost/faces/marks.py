"""Marks on methods of asyncio, for whom `roost.faces.writer` makes the blocking ones of."""

from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])
Class = TypeVar("Class")


def translated(method: Method) -> Method:
    """Have the body translated, instead of the method called on the loop.

    It is for what runs code of the caller's, which belongs to the caller's thread.  The body uses
    public names of its face only.
    """
    return method


def opening(method: Method) -> Method:
    """Of an `__init__`: programs may make such an object, and get a loop for it."""
    return method


def also(_base: object) -> Callable[[type[Class]], type[Class]]:
    """Of a class: the blocking one is derived from `_base`, too, which adds what only it can have.

    Square brackets cannot wait, so a mapping for asyncio has methods, and the blocking one both.
    """
    return lambda kind: kind
