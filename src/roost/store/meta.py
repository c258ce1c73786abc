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

from errno import EIO
from pathlib import Path
from struct import Struct

from roost.store.errors import PageCorrupt, StoreBroken
from roost.store.free_pages import are_free

_HEAD = "NHHI"
_TREE = "IHHNNNNN"
META = Struct(f"@{_HEAD}IIPN{_TREE}{_TREE}NN")
_FLAGS, _MAGIC, META_PAGE_BYTES, _FREE_ROOT = 2, 4, 8, 15
META_ROOT, _LAST_PAGE, META_TRANSACTION = -3, -2, -1
META_FLAG, MAGIC = 0x08, 0xBEEFC0DE
PAGE_BYTES_MIN, PAGE_BYTES_MAX = 512, 65536


def check_file(path: Path) -> None:
    """Refuse a file that LMDB would not survive.

    Raises:
        PageCorrupt: one of its first pages is not what LMDB writes there, or the file is shorter
            than they say, and what is missing was not given up.
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
    newest = max(first, second, key=lambda it: it[META_TRANSACTION])
    page_bytes, count = first[META_PAGE_BYTES], max(first[_LAST_PAGE], second[_LAST_PAGE]) + 1
    missing = range(size // page_bytes, count)
    if missing.start < missing.stop and not are_free(path, newest[_FREE_ROOT], page_bytes, missing):
        raise PageCorrupt(f"{path.name} has {size} bytes, and must have {count * page_bytes}")


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
