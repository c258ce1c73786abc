"""Which pages LMDB has given up: what its tree of free pages says, read without mapping the file.

A page that a transaction takes at the end of the file and gives back is counted, and written by
nobody.  A file that ends before such pages is whole; one that ends before others was cut.

The tree (LMDB 0.9, mdb.c: `MDB_page`, `MDB_node`, `MDB_IDL`; numbers as the machine has them):

    page      u64 number, u16 pad, u16 flags, u16 lower, u16 upper, then u16 offsets of its nodes,
              up to `lower`; an overflow page has u32 pages of it instead of `lower` and `upper`
    branch    node: u16 u16 u16, the low, middle and high part of a page's number; then its key
    leaf      node: u16 low, u16 high part of the value's length, u16 flags, u16 length of the key,
              the key (a transaction's id), the value or the u64 number of an overflow page
    value     u64 how many, then u64 each
"""

from collections.abc import Iterator
from pathlib import Path
from struct import Struct, error, unpack_from
from typing import BinaryIO

_PAGE, _NODE, _NUMBER = Struct("@NHHHH"), Struct("@HHHH"), Struct("@N")
_BRANCH, _LEAF, _OVERFLOW = 0x01, 0x02, 0x04
_IS_BIG = 0x01
NO_PAGE = (1 << 8 * _NUMBER.size) - 1
# LMDB's own bound of a tree (CURSOR_STACK).
_DEPTH_MAX = 32


def are_free(path: Path, root: int, page_bytes: int, missing: range) -> bool:
    """Whether all of these pages stand in the tree of free pages that begins at `root`.

    What cannot be read is no list of free pages.
    """
    found: set[int] = set()
    try:
        with path.open("rb") as file:
            for numbers in _Reading(file, page_bytes).lists(root, _DEPTH_MAX):
                found.update(it for it in numbers if missing.start <= it < missing.stop)
    except (OSError, error, ValueError, OverflowError):
        return False
    return len(found) == missing.stop - missing.start


class _Reading:
    """One file's pages."""

    def __init__(self, file: BinaryIO, page_bytes: int) -> None:
        self._file = file
        self._page_bytes = page_bytes
        self._seen: set[int] = set()

    def lists(self, root: int, depth: int) -> Iterator[tuple[int, ...]]:
        """The lists of free pages below a page, one a transaction.

        Raises:
            ValueError, struct.error: it is no such tree.

        """
        if root == NO_PAGE:
            return
        if root in self._seen:
            raise ValueError("a page stands once in a tree")
        self._seen.add(root)
        page = self._page(root, 1)
        flags, lower = _PAGE.unpack_from(page)[2:4]
        if depth == 0 or not flags & (_BRANCH | _LEAF):
            raise ValueError("no page of a tree")
        for place in unpack_from(f"@{(lower - _PAGE.size) // 2}H", page, _PAGE.size):
            low, middle, high, key_bytes = _NODE.unpack_from(page, place)
            if flags & _BRANCH:
                yield from self.lists(low | middle << 16 | high << 32, depth - 1)
            else:
                value = place + _NODE.size + key_bytes
                yield self._numbers(page, value, low | middle << 16, is_big=bool(high & _IS_BIG))

    def _numbers(self, page: bytes, place: int, size: int, *, is_big: bool) -> tuple[int, ...]:
        if is_big:
            number = _NUMBER.unpack_from(page, place)[0]
            place = _PAGE.size
            page = self._page(number, (place + size - 1) // self._page_bytes + 1)
            if not _PAGE.unpack_from(page)[2] & _OVERFLOW:
                raise ValueError("no overflow page")
        count = _NUMBER.unpack_from(page, place)[0]
        if (count + 1) * _NUMBER.size > size:
            raise ValueError("a list that is longer than its value")
        return unpack_from(f"@{count}N", page, place + _NUMBER.size)

    def _page(self, number: int, count: int) -> bytes:
        self._file.seek(number * self._page_bytes)
        page = self._file.read(count * self._page_bytes)
        if len(page) < count * self._page_bytes or _PAGE.unpack_from(page)[0] != number:
            raise ValueError("not in the file")
        return page
