"""What runs where the cluster leads, besides names: points staged, ranges deleted, blocks put.

None of these reads or makes a block: a record comes encoded, blocks come as `Edits` that were made
of what was committed, and are taken if nothing has changed meanwhile.  So what each of them costs
goes by its bytes, and never by how many points a series has.
"""

import msgspec

from roost.database import Refused, Transaction
from roost.series import records
from roost.series.draft import Edits
from roost.series.errors import BAD_RECORD, OVERTAKEN, STAGING_FULL, STALE, SeriesDamaged
from roost.series.head import (
    END,
    STAGED_TREE,
    STATES_TREE,
    Head,
    Mark,
    read_head,
    record_key,
    write_head,
)
from roost.series.levels import POINTS_TREE, ROWS_TREE
from roost.series.records import Batch

EDITED_TREES = (POINTS_TREE, ROWS_TREE, STATES_TREE)


class Rewrite(msgspec.Struct, frozen=True, array_like=True):
    """Blocks that were made of a generation from one mark to the next."""

    generation: int
    begun: Mark
    done: Mark
    edits: list[Edits]


def append(txn: Transaction, epoch: int, record: bytes) -> int:
    """Stage a record of points; the number that it has in the order of all.

    Raises:
        Refused: STALE, a series of it may be deleted; STAGING_FULL, it has to wait; BAD_RECORD.

    """
    head = read_head(txn)
    if epoch != head.epoch:
        raise Refused("a series was deleted meanwhile: look up the numbers again", code=STALE)
    try:
        held = records.decode(record)
    except SeriesDamaged as error:
        raise Refused(str(error), code=BAD_RECORD) from error
    if not isinstance(held, Batch):
        raise Refused("this record has no points", code=BAD_RECORD)
    if int(held.sids[-1]) >= head.next_sid:
        raise Refused(f"there is no series {int(held.sids[-1])}", code=BAD_RECORD)
    return stage(txn, head, record, len(held))


def stage(txn: Transaction, head: Head, record: bytes, point_count: int) -> int:
    """Stage a record, and write the head; its number.

    Raises:
        Refused: STAGING_FULL.

    """
    if head.is_full:
        if head.frozen is not None:
            raise Refused(
                "points come faster than they are put into blocks: wait, and append again",
                code=STAGING_FULL,
            )
        head = head.freeze()
    number, active = head.next_record, head.active
    txn.tree(STAGED_TREE)[record_key(active.number, number)] = record
    held = active.with_record(point_count)
    write_head(txn, msgspec.structs.replace(head, next_record=number + 1, active=held))
    return number


def freeze(txn: Transaction) -> bool:
    """Have what is staged sealed, though it is not full; whether there is something to seal."""
    head = read_head(txn)
    if head.frozen is None and head.active.record_count:
        head = head.freeze()
        write_head(txn, head)
    return head.frozen is not None


def put_blocks(txn: Transaction, given: Rewrite) -> None:
    """Put blocks in the place of what is staged; all of it, or nothing.

    Raises:
        Refused: OVERTAKEN, somebody else has sealed meanwhile; BAD_RECORD, it is no slice.

    """
    head = read_head(txn)
    frozen = head.frozen
    if not given.begun < given.done:
        raise Refused("a slice that seals nothing", code=BAD_RECORD)
    if frozen is None or frozen.number != given.generation or head.mark != given.begun:
        raise Refused("somebody else has sealed this: make it anew", code=OVERTAKEN)
    for edits in given.edits:
        if edits.tree not in EDITED_TREES:
            raise Refused(f"sealing does not write to {edits.tree!r}", code=BAD_RECORD)
        tree = txn.tree(edits.tree)
        for first, stop in edits.removed:
            if stop == first + b"\0":
                tree.discard(first)  # a block; it takes less than half as much
            else:
                tree.delete_range(first=first, stop=stop)
        for key, value in edits.rows:
            tree[key] = value
    if given.done >= END:
        staged = txn.tree(STAGED_TREE)
        staged.delete_range(
            first=record_key(frozen.number, 0), stop=record_key(frozen.number + 1, 0)
        )
        head = msgspec.structs.replace(head, frozen=None, mark=Mark())
    else:
        head = msgspec.structs.replace(head, mark=given.done)
    write_head(txn, head)
