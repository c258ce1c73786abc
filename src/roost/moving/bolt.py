"""bbolt files: the format, and a reader.  All integers little-endian.

A file is pages of one size, numbered from 0; a page may go on over those that follow it:

     0  u64  its number                10  u16  count of elements
     8  u16  kind: 1 branch, 2 leaf,   12  u32  how many pages more it takes
             4 meta, 16 freelist       16       elements, 16 bytes each, then keys and values

    branch   u32 position of the key, counted from the element; u32 its length; u64 page below
    leaf     u32 flags, 1 = a bucket; u32 position of key and value; u32, u32 their lengths

Pages 0 and 1 are metas, written by turns; the newer one that is whole counts:

    16  u32  magic                     40  u64  page of the list of free pages
    20  u32  version, 2                48  u64  pages in use: all numbers are below
    24  u32  bytes of a page           56  u64  number of the transaction
    28  u32  flags                     64  u64  FNV-1a of what lies between 16 and 64
    32  u64  root's page, 36  u64 sequence (the root is a bucket)

A bucket is u64 page of its root, u64 sequence; page 0 says that one leaf page follows, inline.

Only metas have a checksum.  So whatever a page says is looked at before it is used: numbers,
lengths, positions, order of keys, and that no page is met twice.  What a flipped bit makes of a
value is not seen here, but by the digest that a snapshot ends with (`source`).
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from roost.moving.errors import EtcdFileDamaged, EtcdFileRefused

Data = bytes | mmap.mmap
MAGIC, VERSION = 0xED0CDAED, 2
BRANCH, LEAF, META, FREELIST = 1, 2, 4, 16
BUCKET_FLAG = 1
PAGE = Struct("<QHHI")
META_BODY = Struct("<IIIIQQQQQ")
META_SUM = Struct("<Q")
BUCKET = Struct("<QQ")
BRANCH_ELEMENT, LEAF_ELEMENT = Struct("<IIQ"), Struct("<IIII")
ELEMENT_BYTES = 16
# A page has so many bytes at least, and at most; bbolt looks for the second meta the same way.
PAGE_BYTES_MIN, PAGE_BYTES_MAX = 1 << 10, 16 << 20
KEY_BYTES_MAX = 32768
# No file that fits into 64 bits is deeper: a branch has two children.
_DEPTH_MAX = 64
_FNV_BASIS, _FNV_PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def fnv1a(data: bytes) -> int:
    """The checksum of a meta."""
    total = _FNV_BASIS
    for byte in data:
        total = (total ^ byte) * _FNV_PRIME & _MASK
    return total


@dataclass(frozen=True, slots=True)
class Meta:
    """What a meta page says: `page_count` pages are in use, `root` is the root bucket's."""

    page_bytes: int
    root: int
    page_count: int
    txid: int


@dataclass(frozen=True, slots=True)
class Row:
    """An element of a leaf: a value, or the head of a bucket."""

    key: bytes
    value: bytes
    is_bucket: bool


class BoltFile:
    """Reads a file that nobody writes to."""

    def __init__(self, data: Data, size_bytes: int) -> None:
        """Read the first `size_bytes` of `data`.

        Raises:
            EtcdFileRefused: it is no bbolt file.
            EtcdFileDamaged: it was one.

        """
        self._data = data
        self._size_bytes = size_bytes
        self.meta = _newest_meta(data, size_bytes)
        if self.meta.page_count * self.meta.page_bytes > size_bytes:
            raise EtcdFileDamaged(
                f"it is cut off: {size_bytes} bytes, where there should be "
                f"{self.meta.page_count * self.meta.page_bytes}"
            )

    def buckets(self) -> dict[bytes, Iterator[Row]]:
        """The buckets of the file by name, each to be read once.

        Raises:
            EtcdFileDamaged: the root is not as bbolt leaves it; so may be what is read later.

        """
        found: dict[bytes, Iterator[Row]] = {}
        for row in self._rows(self.meta.root):
            if not row.is_bucket:
                raise EtcdFileDamaged(f"{row.key!r} stands where there are only buckets")
            found[row.key] = self._rows_of_bucket(row)
        return found

    def _rows_of_bucket(self, row: Row) -> Iterator[Row]:
        if len(row.value) < BUCKET.size:
            raise EtcdFileDamaged(f"the bucket {row.key!r} has {len(row.value)} bytes")
        root, _ = BUCKET.unpack_from(row.value)
        if root:
            return self._rows(root)
        return iter(_leaf_rows(row.value[BUCKET.size :]))

    def _rows(self, root: int) -> Iterator[Row]:
        """All rows below a page, in order."""
        last: bytes | None = None
        seen: set[int] = set()
        path = [iter((root,))]
        while path:
            number = next(path[-1], None)
            if number is None:
                path.pop()
                continue
            kind, page = self._page(number)
            covered = range(number, number + len(page) // self.meta.page_bytes)
            if not seen.isdisjoint(covered) or len(path) > _DEPTH_MAX:
                raise EtcdFileDamaged(f"page {number} is met twice")
            seen.update(covered)
            if kind == BRANCH:
                path.append(iter(_branch_pages(page)))
                continue
            if kind != LEAF:
                raise EtcdFileDamaged(f"page {number} is of kind {kind}, where rows should be")
            for row in _leaf_rows(page):
                if last is not None and row.key <= last:
                    raise EtcdFileDamaged(f"{row.key!r} stands behind {last!r}")
                last = row.key
                yield row

    def _page(self, number: int) -> tuple[int, bytes]:
        """The kind of a page, and all bytes of it, with those of the pages it goes on over."""
        meta = self.meta
        if not 2 <= number < meta.page_count:
            raise EtcdFileDamaged(f"there is no page {number}: there are {meta.page_count}")
        begin = number * meta.page_bytes
        told, kind, _, overflow = PAGE.unpack_from(self._data, begin)
        if told != number:
            raise EtcdFileDamaged(f"page {number} says that it is page {told}")
        if number + overflow >= meta.page_count:
            raise EtcdFileDamaged(f"page {number} goes on over {overflow} pages, behind the end")
        return kind, self._data[begin : begin + (overflow + 1) * meta.page_bytes]


def _newest_meta(data: Data, size_bytes: int) -> Meta:
    """Of the two metas the newer one that is whole."""
    found = []
    if (first := _meta_at(data, size_bytes, 0)) is not None:
        found.append(first)
        sizes = [first.page_bytes]
    else:
        sizes = [PAGE_BYTES_MIN << shift for shift in range(15)]
    for size in sizes:
        second = _meta_at(data, size_bytes, size)
        if second is not None and second.page_bytes == size:
            found.append(second)
            break
    if not found:
        raise EtcdFileRefused("it is no file of bbolt's, as etcd's snapshots and stores are")
    return max(found, key=lambda it: it.txid)


def _meta_at(data: Data, size_bytes: int, begin: int) -> Meta | None:
    """The meta of the page at that offset; None when it is not whole."""
    offset = begin + PAGE.size
    if offset + META_BODY.size + META_SUM.size > size_bytes:
        return None
    magic, version, page_bytes, _, root, _, _, page_count, txid = META_BODY.unpack_from(
        data, offset
    )
    body = data[offset : offset + META_BODY.size]
    (total,) = META_SUM.unpack_from(data, offset + META_BODY.size)
    if magic != MAGIC or fnv1a(body) != total:
        return None
    if version != VERSION:
        raise EtcdFileRefused(f"it is of bbolt's version {version}; this Roost knows {VERSION}")
    if not PAGE_BYTES_MIN <= page_bytes <= PAGE_BYTES_MAX or page_bytes & (page_bytes - 1):
        return None
    return Meta(page_bytes, root, page_count, txid)


def _count_of(page: bytes) -> int:
    count: int = PAGE.unpack_from(page)[2]
    if PAGE.size + count * ELEMENT_BYTES > len(page):
        raise EtcdFileDamaged(f"a page of {len(page)} bytes says that it has {count} elements")
    return count


def _branch_pages(page: bytes) -> list[int]:
    """The pages below a branch."""
    end = PAGE.size + _count_of(page) * ELEMENT_BYTES
    pages = [below for _, _, below in BRANCH_ELEMENT.iter_unpack(page[PAGE.size : end])]
    if not pages:
        raise EtcdFileDamaged("a branch has nothing below it")
    return pages


def _leaf_rows(page: bytes) -> list[Row]:
    """What a leaf holds."""
    if len(page) < PAGE.size:
        raise EtcdFileDamaged(f"a page has {len(page)} bytes")
    rows = []
    begin, size = PAGE.size, len(page)
    head_end = begin + _count_of(page) * ELEMENT_BYTES
    for flags, position, key_bytes, value_bytes in LEAF_ELEMENT.iter_unpack(page[begin:head_end]):
        at = begin + position
        end = at + key_bytes + value_bytes
        if at < head_end or end > size or not 0 < key_bytes <= KEY_BYTES_MAX:
            raise EtcdFileDamaged("a key or a value lies outside its page")
        key = page[at : at + key_bytes]
        rows.append(Row(key, page[at + key_bytes : end], bool(flags & BUCKET_FLAG)))
        begin += ELEMENT_BYTES
    return rows
