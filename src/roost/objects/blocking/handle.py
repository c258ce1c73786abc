"""The asyncio face of replicated objects: what all that live in a tree of their own have alike.

A method that changes an object is one operation: it runs where the cluster leads, as a whole, and
is durable on a majority when it returns.  What it costs stands with it, in round trips (one is
from here to the member that leads, and from there to a majority) and in rows read and written.
Whatever is raised by `Database.run` is raised by all of them: `Refused`, `NotExecuted`,
`OutcomeUnknown`.

What walks over an object sees one state of it: short objects are read at once, longer ones hold a
view meanwhile (`Database.view`), which lasts for a minute at most, and then raises `ViewClosed`.
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from typing import TypeVar

from roost.faces import Face
from roost.objects.aio import handle as aio

R = TypeVar("R")
T = TypeVar("T")
E = TypeVar("E")


class Handle(Face):
    """An object, by its name."""

    _inner: aio.Handle

    @property
    def name(self) -> str:
        """Its name."""
        return self._inner.name
