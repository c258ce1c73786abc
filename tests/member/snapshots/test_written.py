"""What was written behind a backup, in a file for the process that makes an increment of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.member.errors import BackupDamaged, HistoryTrimmed
from roost.member.snapshots.files import Files
from roost.member.snapshots.written import lend_written, pages_in


class Paged:
    """Files that have these pages behind an entry, and then end or fail."""

    def __init__(self, directory: Path, pages: list[bytes], error: Exception | None = None) -> None:
        self.directory, self.pages, self.error = directory, pages, error

    async def entries_since(self, index: int, term: int) -> AsyncIterator[bytes]:
        assert (index, term) == (7, 2)
        for page in self.pages:
            yield page
        if self.error is not None:
            raise self.error

    def path_for(self, name: str) -> Path:
        return self.directory / name

    def discard(self, path: Path) -> None:
        path.unlink(missing_ok=True)


async def lent(paged: Paged) -> list[bytes]:
    """The pages as the process finds them; it leaves an increment beside them."""
    files = cast("Files", paged)  # it has what is asked of it
    async with lend_written(files, 7, 2) as path:
        path.with_suffix(".inc").touch()
        return list(pages_in(path))


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
def test_pages_come_as_they_were_and_nothing_is_left(
    tmp_path_factory: pytest.TempPathFactory, pages: list[bytes]
) -> None:
    directory = tmp_path_factory.mktemp("home")
    assert asyncio.run(lent(Paged(directory, pages))) == pages
    assert list(directory.iterdir()) == []


def test_pages_that_end_in_an_error_leave_nothing(tmp_path: Path) -> None:
    paged = Paged(tmp_path, [b"one"], HistoryTrimmed("the journal begins at 9"))
    with pytest.raises(HistoryTrimmed):
        asyncio.run(lent(paged))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept_bytes", range(1, 11))
def test_a_page_that_ends_early_is_no_end(tmp_path: Path, kept_bytes: int) -> None:
    """Five bytes and two, each behind its length: cut anywhere but between them, it is told."""
    whole = b"\x05\0\0\0first\x02\0\0\0in"
    path = tmp_path / "written.pages"
    path.write_bytes(whole[: kept_bytes + (kept_bytes >= 9)])
    with pytest.raises(BackupDamaged, match="ends early"):
        list(pages_in(path))
