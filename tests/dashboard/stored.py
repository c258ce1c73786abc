"""A store and backups of which a test says what they are."""

from collections.abc import AsyncIterator

from roost.dashboard.storing import (
    BackupState,
    Counts,
    File,
    Job,
    RowPage,
    StorageState,
    Tree,
    TreePage,
)
from roost.errors import CallerFault, Overloaded


class Stored:
    """One tree, counted by nobody."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def state(self) -> StorageState:
        return StorageState(
            applied_index=7, digest="aa", corrupt=(), scrub=None, derived=(), works=()
        )

    def trees(self, after: str, limit: int) -> TreePage:
        self.asked.append((after, limit))
        return TreePage(trees=[Tree(name="a", keys="", values="", purpose="")], after="")

    def rows(self, tree: str, first: bytes, limit: int) -> RowPage:
        self.asked.append((tree, first, limit))
        if tree != "a":
            raise CallerFault(f"there is no tree {tree!r}")
        return RowPage(tree=tree, rows=(), rest="")

    async def count(self) -> Counts:
        raise Overloaded("wait")


class Kept:
    """No backups; what is begun is noted."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.closed_count = 0

    async def look(self) -> BackupState:
        return BackupState.of_none(Job())

    def job(self) -> Job:
        return Job()

    def begin_save(self) -> Job:
        self.begun.append("save")
        return Job(kind="save", is_over=False)

    def begin_verify(self, name: str) -> Job:
        self.begun.append(name)
        return Job(kind="verify", name=name, is_over=False)

    async def kept(self, name: str) -> File:
        return self._file(name)

    async def whole(self) -> File:
        return self._file("m1.db")

    def _file(self, name: str) -> File:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"abc"

        def close() -> None:
            self.closed_count += 1

        return File(name, 3, pieces(), close)
