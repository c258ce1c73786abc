"""How many pages of the base rows take: what an operator reads of a tree (`roost trees`).

All trees share one B+tree of LMDB's, which does not say which of its pages are whose.  What lies in
a page is simple, though: a head of 16 bytes, and for each record 2 bytes of a table and a node of 8
bytes, the name and the sealed value, an even number of bytes; a record of more than half a page has
its value in pages of its own, and their number in its place.  So this fills pages as LMDB does when
records come in order: a tree that is written at random takes up to twice as many, and pages that
only lead to others, about one in a hundred, are not counted.
"""

from mmap import PAGESIZE

from roost.store.long_keys import LONG_KEY_BYTES, SPACE_BYTES

# mdb.c: PAGEHDRSZ, NODESIZE, sizeof(indx_t), me_nodemax, OVPAGES.
_PAGE_HEAD_BYTES, _NODE_HEAD_BYTES, _INDEX_BYTES, _NUMBER_BYTES = 16, 8, 2, 8
_TREE_ID_BYTES, _CHECKSUM_BYTES = 2, 4
_ROOM_BYTES = PAGESIZE - _PAGE_HEAD_BYTES
_NODE_BYTES_MAX = (_ROOM_BYTES // 2 & ~1) - _INDEX_BYTES


class Pages:
    """Pages that are filled by the rows of one tree, in the order of its keys."""

    def __init__(self) -> None:
        """There are no rows."""
        self.count = 0
        self._left_bytes = 0

    def add(self, key_bytes: int, value_bytes: int) -> None:
        """Another row, of such a key and value; no two long keys count as beginning alike."""
        stem_count, last_bytes = divmod(key_bytes, LONG_KEY_BYTES)
        for number in range(stem_count):
            self._add((SPACE_BYTES if number else _TREE_ID_BYTES) + LONG_KEY_BYTES, 0)
        self._add((SPACE_BYTES if stem_count else _TREE_ID_BYTES) + last_bytes, value_bytes)

    def _add(self, name_bytes: int, value_bytes: int) -> None:
        """Another record."""
        node_bytes = _NODE_HEAD_BYTES + name_bytes
        sealed_bytes = _CHECKSUM_BYTES + value_bytes
        if node_bytes + sealed_bytes > _NODE_BYTES_MAX:
            self.count += (_PAGE_HEAD_BYTES - 1 + sealed_bytes) // PAGESIZE + 1
            sealed_bytes = _NUMBER_BYTES
        node_bytes += sealed_bytes
        taken_bytes = node_bytes + node_bytes % 2 + _INDEX_BYTES
        if taken_bytes > self._left_bytes:
            self.count += 1
            self._left_bytes = _ROOM_BYTES
        self._left_bytes -= taken_bytes
