"""The second environment of a member: a store of its own for what is derived, and not replicated.

    <data-dir>/derived/     0700; a store like the member's, see `roost.store`

It has a keeper of its own, and log positions of its own: one for each write set.  It has no
journal.  After a crash it is what it was at one of these positions, and what it holds says itself
how far it has come (`derived_rows`).

Nothing in it is needed: whatever is wrong with it, it is removed, and made anew.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from roost.database import derived_rows as layout
from roost.journal import OsDisk, lock_directory
from roost.member import World, open_file_in
from roost.store import (
    CATALOG_ID,
    GUID_KEY,
    METADATA_ID,
    METADATA_NAME,
    PARTS_ID,
    PARTS_NAME,
    STORAGE_VERSION,
    VERSION_KEY,
    InlineKeeper,
    Keeper,
    Store,
    StoreConfig,
    StoreError,
    StoreForeign,
    Txn,
    UnknownTree,
    View,
)

logger = logging.getLogger(__name__)
DIRECTORY = "derived"
LAYER_BYTES_MAX, HELD_BYTES_MAX = 16 << 20, 8 << 20
# Of the memory that is left when it is opened.
_MEMORY_PARTS = 32
_TERM = 1


class Environment:
    """One, open; its owner calls `look` a few times a second."""

    def __init__(self, store: Store, keeper: Keeper) -> None:
        """Use `open`."""
        self.store = store
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._is_closed = self._is_freeing = False

    @classmethod
    async def open(
        cls,
        world: World,
        data_dir: Path,
        cluster_id: int,
        *,
        on_failure: Callable[[StoreError], None],
        is_anew: bool = False,
    ) -> "Environment":
        """Open what is there; what cannot be used, or is to be made `anew`, is removed first.

        `on_failure` hears of what is wrong later; nothing can be written then.

        Raises:
            StoreError, OSError: the device failed.

        """
        directory = data_dir / DIRECTORY
        if not is_anew:
            try:
                return await cls._open(world, directory, cluster_id, on_failure)
            except StoreError as error:
                logger.warning("what was derived is made anew: %s", error)
        if directory.exists():
            await world.remove_tree(directory)
        return await cls._open(world, directory, cluster_id, on_failure)

    @classmethod
    async def _open(
        cls,
        world: World,
        directory: Path,
        cluster_id: int,
        on_failure: Callable[[StoreError], None],
    ) -> "Environment":
        OsDisk().make_directory(directory)
        keeper = await world.start_keeper(directory)
        try:
            share = world.memory.share
            config = StoreConfig(
                layer_bytes_max=share(LAYER_BYTES_MAX, _MEMORY_PARTS),
                held_bytes_max=share(HELD_BYTES_MAX, _MEMORY_PARTS),
            )
            store = Store.open(config=config, keeper=keeper)
        except BaseException:
            keeper.close()
            raise
        found = cls(store, keeper)
        try:
            found._check_owner(cluster_id)
        except BaseException:
            store.abandon()
            raise
        store.on_failure = on_failure
        keeper.watch(found._loop, lambda: None)
        return found

    def _check_owner(self, cluster_id: int) -> None:
        """Write whose it is, or see that it is ours.

        Raises:
            StoreForeign: it is not.

        """
        owner = layout.owner_of(cluster_id)
        if self.store.is_new:
            txn = self.store.begin()
            txn.put(CATALOG_ID, METADATA_NAME.encode(), METADATA_ID.to_bytes(2, "big"))
            txn.put(CATALOG_ID, PARTS_NAME.encode(), PARTS_ID.to_bytes(2, "big"))
            txn.put(METADATA_ID, GUID_KEY, uuid.UUID(int=cluster_id).bytes)
            txn.put(METADATA_ID, layout.OWNER_KEY, owner)
            txn.put(METADATA_ID, VERSION_KEY, STORAGE_VERSION.to_bytes(4, "big"))
            self.commit(txn)
        elif self.store.view.get(METADATA_ID, layout.OWNER_KEY) != owner:
            raise StoreForeign("it is of another cluster, or of another version of Roost")

    def commit(self, txn: Txn) -> None:
        """What was written is there, to be read now, and durable later, in this order."""
        if txn.is_empty:
            return
        index, payload = self.store.applied_index + 1, txn.encode()
        self.store.speculate(index, txn, payload)
        self.store.apply(index, payload, _TERM)

    def look(self, now_s: float) -> None:
        """Make what is old enough durable, and free what nobody sees any more."""
        self.store.flush_if_due(now_s)
        if not self._is_freeing:
            self._free()

    def _free(self) -> None:
        """Free a part, and the next one in the next turn of the loop."""
        self._is_freeing = False
        if self.store.old_count and not self._is_closed:
            self.store.free()
            self._is_freeing = True
            self._loop.call_soon(self._free)

    def close(self) -> None:
        """Make all of it durable, as far as the disk answers in time, and close it."""
        if not self._is_closed:
            self._is_closed = True
            self._keeper.unwatch(self._loop)
            self.store.close()

    def abandon(self) -> None:
        """Close it as a crash would."""
        if not self._is_closed:
            self._is_closed = True
            self._keeper.unwatch(self._loop)
            self.store.abandon()


@contextmanager
def open_derived_file(data_dir: Path) -> Iterator[View | None]:
    """Read what a member has derived, whether it runs or not; None = nothing.

    Raises:
        StoreError: it cannot be read.

    """
    directory = data_dir / DIRECTORY
    if not (directory / "data.mdb").exists():
        yield None
        return
    with open_file_in(directory) as file:
        yield file.view


def drop_offline(data_dir: Path, name: str) -> None:
    """Drop a derived tree of a member that does not run; it is emptied when it runs again.

    Raises:
        UnknownTree: there is no such derived tree.
        DirectoryLocked: the member runs.
        StoreError: the file cannot be read, or written.

    """
    directory = data_dir / DIRECTORY
    if not (directory / "data.mdb").exists():
        raise UnknownTree(f"nothing is derived in {data_dir}")
    lock = lock_directory(OsDisk(), data_dir)
    try:
        store = Store.open(config=StoreConfig(), keeper=InlineKeeper(directory))
        try:
            txn = store.begin()
            if not layout.drop_from(txn, name):
                raise UnknownTree(f"there is no derived tree {name!r}: see `roost trees`")
            store.apply(store.applied_index + 1, txn.encode(), _TERM)
            store.flush()
        finally:
            store.abandon()
    finally:
        lock.close()
