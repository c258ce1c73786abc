"""Compaction: revisions below one are refused at once, and removed slice by slice afterwards.

What nobody can see any more is every history entry at or below the compacted revision but a key's
last one, and that one too if it is a delete below it (a delete *at* it is still an event to a
watch from there).  Where the removal has come stands in the tree itself (`mvcc.py`), so whoever
leads next goes on there.
"""

from roost.database.model import Txn, Walk
from roost.etcd import errors
from roost.etcd.model.costs import Costs
from roost.etcd.model.mvcc import (
    COMPACTED_KEY,
    COMPACTING_KEY,
    REVISION_BYTES,
    TOMBSTONE,
    Mvcc,
    main_of,
)

# What it costs to remove a revision, from two trees, and to apply that.
_ROWS_A_REMOVAL = 2


def compact(mvcc: Mvcc, txn: Txn, revision: int) -> None:
    """Refuse reads below `revision` from now on; the removal follows by `compact_slice`.

    Raises:
        Refused: it is compacted already, or not there yet.

    """
    if revision <= mvcc.compacted(txn):
        raise errors.compacted()
    if revision > mvcc.revision(txn):
        raise errors.future_revision()
    txn.put(mvcc.meta, COMPACTED_KEY, revision.to_bytes(8, "big"))
    # A removal that is on its way starts over with the new revision.
    txn.put(mvcc.meta, COMPACTING_KEY, b"")


def compact_slice(mvcc: Mvcc, txn: Txn, count_max: int) -> Costs[bool]:
    """Remove what nobody can see from a part of the history; say whether more is left.

    Before there is something, all that the last compaction has removed may have to be passed.
    """
    assert count_max > 1, "a slice begins with the entry that the last one ended with"
    cursor = txn.get(mvcc.meta, COMPACTING_KEY)
    if cursor is None:
        return False
    walk, rows = Walk(txn, mvcc.history, cursor, None), list[tuple[bytes, bytes]]()
    while not walk.is_done and len(rows) < count_max:
        rows += walk.take(count_max - len(rows))
        yield walk.cost
    has_more = len(rows) == count_max
    doomed = _invisible(rows, mvcc.compacted(txn), has_more=has_more)
    for name in doomed:
        txn.delete(mvcc.history, name)
        txn.delete(mvcc.revisions, name[-REVISION_BYTES:])
    txn.cost += _ROWS_A_REMOVAL * len(doomed)
    if has_more:
        txn.put(mvcc.meta, COMPACTING_KEY, rows[-1][0])
    else:
        txn.delete(mvcc.meta, COMPACTING_KEY)
    return has_more


def _invisible(rows: list[tuple[bytes, bytes]], revision: int, *, has_more: bool) -> list[bytes]:
    """Names of history entries, in order, that no read and no watch can come to any more."""
    doomed: list[bytes] = []
    for position, (name, flag) in enumerate(rows):
        main = main_of(name[-REVISION_BYTES:])
        if main > revision:
            continue
        if position + 1 < len(rows):
            following = rows[position + 1][0]
            is_same_key = following[:-REVISION_BYTES] == name[:-REVISION_BYTES]
            is_outdone = is_same_key and main_of(following[-REVISION_BYTES:]) <= revision
        elif has_more:
            break  # its key may go on in the next slice, which begins with this entry
        else:
            is_outdone = False
        if is_outdone or (flag == TOMBSTONE and main < revision):
            doomed.append(name)
    return doomed
