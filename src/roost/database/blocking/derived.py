"""The asyncio face of derived trees: read as any other, on the member that derives them."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from typing import Generic

from roost.database.aio import derived as aio
from roost.database.blocking.observation import Observable
from roost.database.blocking.trees import ReadTree
from roost.database.bounds import K, V
from roost.database.derivations import Derivation


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


class Derivable(Observable):
    """What of a database can be derived, besides what can be observed."""

    _inner: aio.Derivable

    def derived(self, derivation: Derivation[K, V]) -> DerivedTree[K, V]:
        """A tree that this member derives from another one, from now on: `roost.derived` says how.

        It is local: each member that asks for it has its own, which is no part of the consensus, of
        backups and of what members send each other.  It is made in the background, and kept; when
        the database is opened again it goes on where it was, and is made anew when its version or
        its source is another one, or its files are lost or damaged.

        Raises:
            BadDeclaration: another tree of that name is derived here already.
            NotYourTree, OtherCodec: the source holds something else.
            Overloaded: as many are derived as can be.
            DerivedLost: what is derived cannot be stored.

        """
        return DerivedTree._of(self._loop.call(self._inner.derived(derivation)), self._loop)

    def drop_derived(self, name: str) -> bool:
        """Have a derived tree of this member no more, whether it is asked for here or was once.

        It is gone when this returns; what it took is given back in the background.  Whether there
        was one.

        Raises:
            BadTreeName: no derived tree can have that name.
            DerivedLost: what is derived cannot be stored.

        """
        return self._loop.call(self._inner.drop_derived(name))
