"""The asyncio face of derived trees: read as any other, on the member that derives them."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from typing import Generic

from roost.database.aio import derived as aio
from roost.database.blocking.trees import ReadTree
from roost.database.bounds import K, V


class DerivedTree(ReadTree[K, V], Generic[K, V]):
    """A tree that this member derives from another one; see `Database.derived`.

    A read waits until the tree shows everything that was acknowledged before it; what is written
    meanwhile may be seen in part.  While the tree is made anew, reads raise `Rebuilding`.

    """

    _inner: aio.DerivedTree[K, V]

    def wait_built(self) -> None:
        """Wait until all of it is there, however long that takes.

        Raises:
            DerivedFailed, DerivedDropped, DerivedLost: it never will be; the text says why.

        """
        self._loop.call(self._inner.wait_built())
