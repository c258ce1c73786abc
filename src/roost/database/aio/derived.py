"""The asyncio face of derived trees: read as any other, on the member that derives them."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic

from roost.database import derived_rows as layout
from roost.database.aio.observation import Observable
from roost.database.aio.trees import ReadTree
from roost.database.bounds import K, V, check_users_name
from roost.database.derivations import Derivation
from roost.database.deriving import Deriving
from roost.database.deriving_tree import DerivingTree
from roost.database.embedded import Embedded
from roost.database.errors import BadArgument, Rebuilding
from roost.database.rows import Row
from roost.store import StoreError, View


class DerivedTree(ReadTree[K, V], Generic[K, V]):
    """A tree that this member derives from another one; see `Database.derived`.

    A read waits until the tree shows everything that was acknowledged before it; what is written
    meanwhile may be seen in part.  While the tree is made anew, reads raise `Rebuilding`.
    """

    def __init__(
        self,
        derivation: Derivation[K, V],
        deriving: Deriving,
        tree: DerivingTree,
        barrier: Callable[[], Awaitable[None]],
    ) -> None:
        """Read what `deriving` has of it."""
        self._shape = derivation.shape
        self._tree = tree
        self._derived = self._source = _DerivedSource(deriving, tree, barrier)

    async def wait_built(self) -> None:
        """Wait until all of it is there, however long that takes.

        Raises:
            DerivedFailed, DerivedDropped, DerivedLost: it never will be; the text says why.

        """
        await self._derived.wait_committed()
        await self._tree.wait(None)


class Derivable(Observable):
    """What of a database can be derived, besides what can be observed."""

    def __init__(self, embedded: Embedded) -> None:
        """Derive from what `embedded` applies."""
        super().__init__(embedded)

    async def derived(self, derivation: Derivation[K, V]) -> DerivedTree[K, V]:
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
        if not isinstance(derivation, Derivation):
            raise BadArgument(f"{derivation!r} is no derived tree: declare it with roost.derived")
        embedded = self._embedded
        embedded.check()
        tree = await embedded.deriving.attach(derivation)
        return DerivedTree(derivation, embedded.deriving, tree, embedded.barrier)

    async def drop_derived(self, name: str) -> bool:
        """Have a derived tree of this member no more, whether it is asked for here or was once.

        It is gone when this returns; what it took is given back in the background.  Whether there
        was one.

        Raises:
            BadTreeName: no derived tree can have that name.
            DerivedLost: what is derived cannot be stored.

        """
        check_users_name(name, is_derived=True)
        self._embedded.check()
        return await self._embedded.deriving.drop(name)


class _DerivedSource:
    """See `roost.database.source.Source`."""

    def __init__(
        self, deriving: Deriving, tree: DerivingTree, barrier: Callable[[], Awaitable[None]]
    ) -> None:
        self._deriving = deriving
        self._tree = tree
        self._barrier = barrier

    async def wait_committed(self) -> None:
        await self._barrier()
        self._tree.note_committed(self._deriving.applied_index)

    async def ready(self) -> None:
        await self.wait_committed()
        await self._tree.wait(self._deriving.applied_index)

    def open(self, tree: str, keys: str, values: str) -> int | None:
        del tree, keys, values  # it is what it was declared as
        return self._tree.rows_id

    def _read(self, read: Callable[[View], Any]) -> Any:  # Any: what is read
        """Read what is there.

        Raises:
            Rebuilding: it is not there any more.

        """
        self._tree.check()
        try:
            return read(self._deriving.view)
        except StoreError as error:
            raise Rebuilding(f"the derived tree {self._tree.name!r} is damaged: {error}") from error

    def get(self, tree_id: int | None, key: bytes) -> bytes | None:
        found: bytes | None = self._read(lambda view: layout.get(view, tree_id or 0, key))
        return found

    def parts(
        self,
        tree_id: int | None,
        first: bytes,
        stop: bytes | None,
        *,
        reverse: bool = False,
        keys_only: bool = False,
    ) -> "_DerivedParts":
        parts: layout.Parts = self._read(
            lambda view: layout.Parts(
                view, tree_id or 0, first, stop, reverse=reverse, keys_only=keys_only
            )
        )
        return _DerivedParts(parts, self._read)


class _DerivedParts:
    """See `roost.database.source.Parts`; each is read as the source is."""

    def __init__(self, parts: layout.Parts, read: Callable[[Callable[[View], Any]], Any]) -> None:
        self._parts = parts
        self._read = read

    @property
    def is_done(self) -> bool:
        return self._parts.is_done

    def take(self, count_max: int) -> list[Row]:
        found: list[Row] = self._read(lambda _view: self._parts.take(count_max))
        return found
