"""Writes a bbolt file in one pass: buckets whose rows come in the order of their keys.

Leaves are written as rows come, full pages one behind the other; then, level by level, the branches
above them, then the root.  Nothing is ever freed, so the list of free pages is empty.  In memory is
one leaf, and for each leaf its first key.  `bolt` has the format.
"""

from collections.abc import Iterable
from typing import BinaryIO

from roost.moving.bolt import (
    BRANCH,
    BRANCH_ELEMENT,
    BUCKET,
    BUCKET_FLAG,
    ELEMENT_BYTES,
    FREELIST,
    KEY_BYTES_MAX,
    LEAF,
    LEAF_ELEMENT,
    MAGIC,
    META,
    META_BODY,
    META_SUM,
    PAGE,
    VERSION,
    fnv1a,
)
from roost.moving.errors import NotForEtcd

PAGE_BYTES = 4096
_FREELIST_PAGE, _FIRST_PAGE = 2, 3
# bbolt merges a branch of one, and takes none for whole.
_CHILDREN_MIN = 2
_VALUE_BYTES_MAX = (1 << 31) - 2
# The first key of a page, and its number.
_Child = tuple[bytes, int]


class BoltWriter:
    """Fills an empty file; it is one when `finish` has returned, and not before."""

    def __init__(self, file: BinaryIO) -> None:
        """Leave room for what is written last."""
        self._file = file
        self._file.write(bytes(_FIRST_PAGE * PAGE_BYTES))
        self._page_count = _FIRST_PAGE
        self._buckets: dict[bytes, int] = {}

    def add_bucket(self, name: bytes, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Write a bucket; its rows come in the order of their keys.

        Raises:
            NotForEtcd: bbolt has no keys or values of that size.

        """
        assert name not in self._buckets, "a bucket is written once"
        self._buckets[name] = self._write_rows(rows, flags=0)

    def finish(self) -> None:
        """Write the root and the metas."""
        heads = [(name, BUCKET.pack(root, 0)) for name, root in sorted(self._buckets.items())]
        root = self._write_rows(heads, flags=BUCKET_FLAG)
        self._file.seek(0)
        for number in (0, 1):
            self._file.write(self._meta(number, root))
        head = PAGE.pack(_FREELIST_PAGE, FREELIST, 0, 0)
        self._file.write(head + bytes(PAGE_BYTES - len(head)))

    def _meta(self, number: int, root: int) -> bytes:
        """A meta page; the number of the page is that of its transaction, as in a new file."""
        body = META_BODY.pack(
            MAGIC, VERSION, PAGE_BYTES, 0, root, 0, _FREELIST_PAGE, self._page_count, number
        )
        page = PAGE.pack(number, META, 0, 0) + body + META_SUM.pack(fnv1a(body))
        return page + bytes(PAGE_BYTES - len(page))

    def _write_rows(self, rows: Iterable[tuple[bytes, bytes]], *, flags: int) -> int:
        """Write leaves and what stands above them; return the page of the root."""
        children: list[_Child] = []
        leaf: list[tuple[bytes, bytes]] = []
        size = PAGE.size
        last = b""
        for key, value in rows:
            if not 0 < len(key) <= KEY_BYTES_MAX or len(value) > _VALUE_BYTES_MAX:
                raise NotForEtcd(f"etcd's store has no row of {len(key)} and {len(value)} bytes")
            assert key > last, "rows come in the order of their keys"
            last = key
            added = ELEMENT_BYTES + len(key) + len(value)
            if leaf and size + added > PAGE_BYTES:
                children.append((leaf[0][0], self._write_leaf(leaf, flags)))
                leaf, size = [], PAGE.size
            leaf.append((key, value))
            size += added
        if leaf or not children:
            first = leaf[0][0] if leaf else b""
            children.append((first, self._write_leaf(leaf, flags)))
        while len(children) > 1:
            children = [(it[0][0], self._write_branch(it)) for it in _groups(children)]
        return children[0][1]

    def _write_leaf(self, rows: list[tuple[bytes, bytes]], flags: int) -> int:
        heads = []
        position = len(rows) * ELEMENT_BYTES
        for key, value in rows:
            heads.append(LEAF_ELEMENT.pack(flags, position, len(key), len(value)))
            position += len(key) + len(value) - ELEMENT_BYTES
        bodies = [it for row in rows for it in row]
        return self._write_page(LEAF, len(rows), b"".join((*heads, *bodies)))

    def _write_branch(self, children: list[_Child]) -> int:
        heads = []
        position = len(children) * ELEMENT_BYTES
        for key, number in children:
            heads.append(BRANCH_ELEMENT.pack(position, len(key), number))
            position += len(key) - ELEMENT_BYTES
        keys = [key for key, _ in children]
        return self._write_page(BRANCH, len(children), b"".join((*heads, *keys)))

    def _write_page(self, kind: int, count: int, body: bytes) -> int:
        number = self._page_count
        pages = -(-(PAGE.size + len(body)) // PAGE_BYTES)
        page = PAGE.pack(number, kind, count, pages - 1) + body
        self._file.write(page + bytes(pages * PAGE_BYTES - len(page)))
        self._page_count += pages
        return number


def _groups(children: list[_Child]) -> list[list[_Child]]:
    """Children by the branch that they stand in: a page full each, and two at least."""
    groups: list[list[_Child]] = []
    group: list[_Child] = []
    size = PAGE.size
    for child in children:
        added = ELEMENT_BYTES + len(child[0])
        if len(group) >= _CHILDREN_MIN and size + added > PAGE_BYTES:
            groups.append(group)
            group, size = [], PAGE.size
        group.append(child)
        size += added
    if len(group) < _CHILDREN_MIN and groups:
        groups[-1] += group  # it takes a second page then
    else:
        groups.append(group)
    return groups
