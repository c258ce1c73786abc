"""Whether a file can be LMDB's: what its first two pages say, read before it is mapped.

LMDB maps the file and follows what stands there.  A file that is shorter than that ends the
process by SIGBUS, a damaged number of pages asks for memory that there is not.  So we look first.

Pages 0 and 1 (LMDB 0.9, lmdb.h and mdb.c, `MDB_page` and `MDB_meta`; integers and padding as the
machine has them):

    page number, u16 pad, u16 flags, u32    the head that every page has
    u32 magic, u32 version, address, size of the map
    twice (free pages, records):  u32, u16 flags, u16 depth, branch, leaf and overflow pages,
            entries, root          the first u32 is the size of a page
    last page in use, transaction id
"""

import os
from errno import EIO
from pathlib import Path
from struct import Struct

from roost.store.errors import PageCorrupt, StoreBroken

_HEAD = "NHHI"
_TREE = "IHHNNNNN"
META = Struct(f"@{_HEAD}IIPN{_TREE}{_TREE}NN")
_FLAGS, _MAGIC, META_PAGE_BYTES = 2, 4, 8
META_ROOT, _LAST_PAGE, META_TRANSACTION = -3, -2, -1
META_FLAG, MAGIC = 0x08, 0xBEEFC0DE
PAGE_BYTES_MIN, PAGE_BYTES_MAX = 512, 65536
# Pages of the last transaction that were given back in it; seen: one.
_UNWRITTEN_PAGES_MAX = 16


def check_file(path: Path) -> None:
    """Refuse a file that LMDB would not survive.

    Raises:
        PageCorrupt: one of its first pages is not what LMDB writes there, or the file is shorter
            than they say.
        StoreBroken: it cannot be read at all.

    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            first = _decode(path, file.read(META.size))
            file.seek(first[META_PAGE_BYTES])
            second = _decode(path, file.read(META.size))
    except OSError as error:
        kind = PageCorrupt if error.errno == EIO else StoreBroken
        raise kind(f"{path.name}: {error}") from error
    wanted = (max(first[_LAST_PAGE], second[_LAST_PAGE]) + 1) * first[META_PAGE_BYTES]
    if size < wanted and not _is_lengthened(path, wanted, first[META_PAGE_BYTES], size):
        raise PageCorrupt(f"{path.name} has {size} bytes, and must have {wanted}")


def _is_lengthened(path: Path, wanted: int, page_bytes: int, size: int) -> bool:
    """Give a file the pages at its end that LMDB counts and has not written; whether that is all.

    A page that a transaction takes and gives back is written by nobody, and when it is the last one
    the file ends before it.  A page of zeros is no page to LMDB and no record to us, so where more
    is missing than that it is found when it is read.
    """
    if wanted - size > _UNWRITTEN_PAGES_MAX * page_bytes or size % page_bytes:
        return False
    try:
        os.truncate(path, wanted)
    except OSError:
        return False
    return True


def _decode(path: Path, data: bytes) -> tuple[int, ...]:
    """The fields of page 0 or 1."""
    if len(data) < META.size:
        raise PageCorrupt(f"{path.name} ends within its first pages")
    fields = META.unpack(data)
    page_bytes = fields[META_PAGE_BYTES]
    is_size = page_bytes.bit_count() == 1 and PAGE_BYTES_MIN <= page_bytes <= PAGE_BYTES_MAX
    if fields[_MAGIC] != MAGIC or not fields[_FLAGS] & META_FLAG or not is_size:
        raise PageCorrupt(f"{path.name} does not begin as LMDB begins its files")
    return fields
