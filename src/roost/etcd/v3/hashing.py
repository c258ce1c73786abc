"""The hash of keys: equal on all members that hold the same, however far a removal has come.

It is a CRC-32C over what can still be seen: of the revisions up to the compacted one the living
keys, then every revision up to the one asked for.  How far the removal of older ones has come makes
no difference.
"""

from collections.abc import Generator

from crc32c import crc32c

from roost.database.model import View, Walk
from roost.etcd.model.mvcc import KV_TREE, Mvcc
from roost.etcd.model.rows import BYTES_MAX, ROWS_MAX, OldRows


def hash_keys(mvcc: Mvcc, view: View, compacted: int, revision: int) -> Generator[int, None, int]:
    """The hash up to `revision`, in steps; `compacted` is 0 when nothing is."""
    # Never nothing: a hash of no keys is one too.
    crc = crc32c(KV_TREE.encode())
    if compacted:
        rows = OldRows(mvcc, view, b"", None, compacted)
        while not rows.is_done:
            for _, encoded in rows.take():
                crc = crc32c(encoded, crc)
            yield ROWS_MAX
    stop = (revision + 1).to_bytes(8, "big")
    walk = Walk(view, mvcc.revisions, (compacted + 1).to_bytes(8, "big"), stop)
    while not walk.is_done:
        for name, encoded in walk.take(ROWS_MAX, BYTES_MAX):
            crc = crc32c(encoded, crc32c(name, crc))
        yield ROWS_MAX
    return crc
