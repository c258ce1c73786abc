"""Reads the base, by every process but the keeper.

A reader sees the base as it was at one commit, until it is told to look again.  Whatever a read
finds to be damaged is told to somebody who must know before it is raised: whoever reads may not
know whom to tell.
"""

from collections.abc import Callable, Iterator, Sequence

import lmdb

from roost.compiled import mypyc_attr
from roost.store import digest
from roost.store.base import (
    APPLIED_KEY,
    DIGEST_KEY,
    READ_FAULTS,
    bounds,
    fault_of,
    faults_told,
    open_sealed,
)
from roost.store.catalog import METADATA_ID
from roost.store.errors import StoreCorrupt, StoreError
from roost.store.long_keys import LONG_KEY_BYTES, Cut, Levels, below, name_of


@mypyc_attr(allow_interpreted_subclasses=True)
class BaseReader:
    """Reads the base; one read transaction, renewed after each flush."""

    def __init__(self, env: lmdb.Environment, *, is_shared: bool = False) -> None:
        """Read `env`; a shared one is closed by its writer."""
        # Called with what is wrong before it is raised: whoever reads may not know whom to tell.
        self.on_corrupt: Callable[[StoreCorrupt], None] = lambda _error: None
        # Called before what is pinned cannot be read any more, with why: pins must be closed.
        self.on_closing: Callable[[str], None] = lambda _why: None
        self._open(env, is_shared=is_shared)

    def _open(self, env: lmdb.Environment, *, is_shared: bool) -> None:
        self._env = env
        self._is_shared = is_shared
        with faults_told():
            self._env.reader_check()
            self._txn = self._env.begin(buffers=False)

    def become(self, other: "BaseReader") -> None:
        """Read what `other` reads, which is used up; views that read through us stay good."""
        self.on_closing("the file was replaced")
        self._close()
        other.release()
        self._open(other._env, is_shared=other._is_shared)  # noqa: SLF001 - of our own kind

    def refresh(self) -> None:
        """See what the keeper has committed meanwhile.

        Raises:
            PageCorrupt, StoreBroken: LMDB refuses.

        """
        self.release()
        with faults_told():
            try:
                self._txn = self._env.begin(buffers=False)
            except lmdb.MapResizedError:
                self.on_closing("the file has outgrown its map")
                self._env.set_mapsize(0)
                self._txn = self._env.begin(buffers=False)

    def pin(self) -> "BaseReader":
        """A reader that goes on to see what is committed now; whoever has it closes it.

        Raises:
            PageCorrupt, StoreBroken: LMDB refuses.

        """
        with faults_told():
            try:
                return _PinnedReader(self, self._env)
            except lmdb.MapResizedError:
                self.refresh()
                return _PinnedReader(self, self._env)

    def release(self) -> None:
        """End the read transaction; nothing may be read until `refresh`."""
        self._txn.abort()

    def applied(self) -> tuple[int, int]:
        """Index and term of the log entry up to which the base holds everything."""
        held = self.get(METADATA_ID, APPLIED_KEY) or bytes(16)
        return int.from_bytes(held[:8], "big"), int.from_bytes(held[8:], "big")

    def digest(self) -> bytes:
        """The digest of everything, at the applied index."""
        return self.get(METADATA_ID, DIGEST_KEY) or bytes(digest.DIGEST_BYTES)

    def get(self, tree_id: int, key: bytes) -> bytes | None:
        """One value.

        Raises:
            ValueCorrupt: its checksum does not match.
            PageCorrupt: LMDB does not find its way to it.

        """
        try:
            return self._get(tree_id, key)
        except READ_FAULTS as error:
            raise self._told(error) from error

    def _told(self, error: BaseException) -> StoreError:
        """What a read that failed says of the store; whoever must know is told."""
        fault = error if isinstance(error, StoreError) else fault_of(error)
        if isinstance(fault, StoreCorrupt):
            self.on_corrupt(fault)
        return fault

    def _get(self, tree_id: int, key: bytes) -> bytes | None:
        name = _name_of(tree_id, key)
        sealed = self._txn.get(name)
        return None if sealed is None else open_sealed(name, sealed)

    def has(self, tree_id: int, key: bytes) -> bool:
        """Whether there is a value; it is not read.

        Raises:
            PageCorrupt: as `get`.

        """
        try:
            with self._txn.cursor() as cursor:
                return bool(cursor.set_key(_name_of(tree_id, key)))
        except READ_FAULTS as error:
            raise self._told(error) from error

    def items(
        self,
        tree_id: int,
        first: bytes,
        stop: bytes | None,
        *,
        reverse: bool,
        keys_only: bool = False,
        covered: Sequence[dict[bytes, bytes | None]] = (),
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in a range, in order; b"" for values that are not read.

        Those of keys that are `covered`, of which somebody else speaks, are not: a client may have
        written little over much, and that much would be read for nothing (D14).

        Raises:
            ValueCorrupt: the checksum of one does not match.
            PageCorrupt: LMDB does not find its way to it.

        """
        rows = self._items(tree_id, first, stop, reverse, keys_only, covered)
        try:
            for key, value in rows:
                assert not isinstance(value, Cut), "there are none but where they are asked for"
                yield key, value
        except READ_FAULTS as error:
            raise self._told(error) from error

    def parts(
        self,
        tree_id: int,
        first: bytes,
        stop: bytes | None,
        *,
        reverse: bool,
        keys_only: bool = False,
        covered: Sequence[dict[bytes, bytes | None]] = (),
        inside: bytes | None = None,
    ) -> Iterator[tuple[bytes, bytes | Cut]]:
        """As `items`, and a cut now and then on the way to a long key, where a reader may go away.

        It comes back with what the cut was (`Walk`); `inside` is that of one.

        Raises:
            ValueCorrupt, PageCorrupt: as `items`.

        """
        levels = Levels()
        try:
            yield from self._items(
                tree_id, first, stop, reverse, keys_only, covered, inside=inside, levels=levels
            )
        except READ_FAULTS as error:
            raise self._told(error) from error

    def _items(
        self,
        tree_id: int,
        first: bytes,
        stop: bytes | None,
        reverse: bool,  # noqa: FBT001 - of ours alone
        keys_only: bool,  # noqa: FBT001 - the same
        covered: Sequence[dict[bytes, bytes | None]],
        *,
        inside: bytes | None = None,
        levels: Levels | None = None,
    ) -> Iterator[tuple[bytes, bytes | Cut]]:
        begin, end = bounds(tree_id, first, stop)
        with self._txn.cursor() as cursor:
            if reverse:
                is_on = cursor.last() if not cursor.set_range(end) else cursor.prev()
                names = cursor.iterprev(keys=True, values=False)
            else:
                is_on = cursor.set_range(begin)
                names = cursor.iternext(keys=True, values=False)
            if not is_on:
                return  # else they would begin at an end of the tree
            for name in names:
                if not begin <= name < end:
                    return
                if len(name) >= LONG_KEY_BYTES + 2:
                    yield from self._long_items(
                        name, first, stop, reverse, keys_only, covered, inside, levels
                    )
                elif keys_only or (covered and _is_covered(name[2:], covered)):
                    yield name[2:], b""
                else:
                    yield name[2:], open_sealed(name, cursor.value())

    def _long_items(
        self,
        stem: bytes,
        first: bytes,
        stop: bytes | None,
        reverse: bool,  # noqa: FBT001 - the same
        keys_only: bool,  # noqa: FBT001 - the same
        covered: Sequence[dict[bytes, bytes | None]],
        inside: bytes | None,
        levels: Levels | None,
    ) -> Iterator[tuple[bytes, bytes | Cut]]:
        with self._txn.cursor() as cursor:
            found = below(cursor, stem, first, stop, reverse=reverse, inside=inside, levels=levels)
            for key, name in found:
                if isinstance(name, Cut):
                    yield key, name
                elif keys_only or (covered and _is_covered(key, covered)):
                    yield key, b""
                else:
                    yield key, open_sealed(name, cursor.value())

    def size_bytes(self) -> tuple[int, int]:
        """Bytes of the file, and bytes of it in use."""
        info, stat = self._env.info(), self._env.stat()
        page = stat["psize"]
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return (info["last_pgno"] + 1) * page, pages * page

    def close(self) -> None:
        """Close the environment, unless its writer does."""
        self.on_closing("the store is closed")
        self._close()

    def _close(self) -> None:
        self._txn.abort()
        if not self._is_shared:
            self._env.close()


class _PinnedReader(BaseReader):
    """Reads the base as of one commit, whatever another reader does."""

    def __init__(self, owner: BaseReader, env: lmdb.Environment) -> None:
        """Begin now; what is damaged is told to whom `owner` tells it."""
        self._env = env
        self._is_shared = True
        self._txn = env.begin(buffers=False)
        self.on_corrupt = owner.on_corrupt
        self.on_closing = lambda _why: None


def _is_covered(key: bytes, covered: Sequence[dict[bytes, bytes | None]]) -> bool:
    for it in covered:  # noqa: SIM110 - asked for each row: a generator takes twice as long
        if key in it:
            return True
    return False


def _name_of(tree_id: int, key: bytes) -> bytes:
    """The record of a key's value."""
    if len(key) < LONG_KEY_BYTES:
        return tree_id.to_bytes(2, "big") + key
    return name_of(tree_id, key)
