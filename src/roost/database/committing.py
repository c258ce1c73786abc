"""Where transactions end that ran elsewhere (`optimistic`): on the member that leads.

It looks whether everything that was read is still so, and does what was done, or says `Conflict`.
What is short is one operation.  What is not comes in parts, as a long one (`store/long_write.py`):
nothing else runs between its parts, so what was found to be so in the first one is so in the last.
A range is scanned in pages, each of which is a part of one digest.
"""

from collections.abc import Generator, Sequence
from hashlib import blake2b
from typing import TypeVar

from roost.database.errors import Conflict, WriteSetTooLarge
from roost.database.limits import TreeLimits
from roost.database.operations import LongOperation, Operation
from roost.database.optimistic import (
    DIGEST_BYTES,
    READS_MAX,
    Annotating,
    Deleting,
    Describing,
    Done,
    GuardedRows,
    KeyRead,
    Opening,
    Putting,
    RangeDeleting,
    RangeRead,
    Read,
    digest_of,
    digest_of_value,
    head_of,
)
from roost.database.parts import BYTES_A_ROW, SLICE_ROWS, Form, Slice
from roost.database.rows import Rows
from roost.database.source import Asker
from roost.database.transaction import Transaction

T = TypeVar("T")
# A change or a read that is small, in bytes.
_SMALL_BYTES = 64
# Rows of a page, once it is known that they are small, and of a quarter of a slice; and what is
# digested in one go.
PAGE_ROWS, SMALL_PAGE_BYTES, PIECE_BYTES = 128, SLICE_ROWS * BYTES_A_ROW // 4, 1 << 20
# Rows of this very transaction that are let go of cost so much less.
_FORGOTTEN_A_ROW = 8


def _size_of(it: Done) -> int:
    match it:
        case Putting():
            return len(it.key) + len(it.value)
        case Annotating():
            return len(it.data)
        case _:
            return _SMALL_BYTES


READS: Form[Read] = Form(Read, "reads", lambda _: _SMALL_BYTES, count_max=300)
DONE: Form[Done] = Form(Done, "changes", _size_of, count_max=300)


async def commit_there(rows: GuardedRows, asker: Asker) -> None:
    """Have what was done in a transaction committed.

    Raises:
        Conflict: something that it read has changed; nothing of it is kept.
        Refused, OutcomeUnknown, NotExecuted: as any operation.

    """
    if not rows.is_short:
        reads = await READS.collect(iter(rows.reads), _as_it_is)
        done = await DONE.collect(iter(rows.done), _as_it_is)
        await asker.ask(
            COMMIT_PARTS,
            reads.parts or [READS.encode(reads.few)],
            done.parts or [DONE.encode(done.few)],
        )
    else:
        await asker.ask(COMMIT, rows.reads, rows.done)


def _as_it_is(it: T) -> T:
    return it


def commit(rows: Rows, reads: Sequence[Read], done: Sequence[Done]) -> None:
    """Carry out, where operations run, what was done elsewhere.

    Raises:
        Conflict: something that was read has changed.
        Refused: as the rows say.

    """
    _check_count(sum(map(_rows_of, reads)))
    for read in reads:
        _check(read, is_so=_is_so(rows, read))
    for it in done:
        _do(rows, it)


def _rows_of(read: Read) -> int:
    return read.limit if isinstance(read, RangeRead) else 1


def _check_count(row_count: int) -> None:
    # What comes from elsewhere may ask for more than our own side notes.
    if row_count > 2 * READS_MAX + 1:
        raise WriteSetTooLarge(f"a transaction reads {READS_MAX} rows at most")


def _check(read: Read, *, is_so: bool) -> None:
    if not is_so:
        raise Conflict(f"something in the tree {read.tree!r} has changed since it was read: "
                       "run the transaction again", code="conflict")  # fmt: skip


def _is_so(rows: Rows, read: Read) -> bool:
    match read:
        case KeyRead():
            return digest_of_value(rows.get(read.tree, read.key)) == read.digest
        case RangeRead():
            found = rows.scan(
                read.tree, read.first, read.stop, reverse=read.reverse, limit=read.limit
            )
            return digest_of(found) == read.digest


def _do(rows: Rows, done: Done) -> None:
    match done:
        case Opening(tree=tree, keys=keys, values=values):
            rows.open(tree, keys, values)
        case Putting(tree=tree, key=key, value=value):
            rows.put(tree, key, value)
        case Deleting(tree=tree, key=key):
            rows.delete(tree, key)
        case RangeDeleting(tree=tree, first=first, stop=stop):
            rows.delete_range(tree, first, stop)
        case Describing(tree=tree, purpose=purpose):
            rows.describe(tree, purpose, TreeLimits(done.key_bytes_max, done.value_bytes_max))
        case Annotating(kind=kind, data=data):
            rows.annotate(kind, data)


def _is_so_in_slices(rows: Rows, read: Read, part: Slice) -> Generator[None, None, bool]:
    """As `_is_so`, some of it at a time."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    if isinstance(read, KeyRead):
        value = rows.get(read.tree, read.key)
        if value is not None:
            yield from _digest(digest, value)
        if part.is_over_after(1, len(value or b"")):
            yield
        return (None if value is None else digest.digest()) == read.digest
    first, stop, left, count = read.first, read.stop, read.limit, 1
    while left > 0:
        count = min(count, left)
        page = rows.scan(read.tree, first, stop, reverse=read.reverse, limit=count)
        for key, value in page:
            digest.update(head_of(key, value))
            digest.update(key)
            yield from _digest(digest, value)
        size = sum(len(key) + len(value) for key, value in page)
        if part.is_over_after(1 + len(page), size):
            yield
        if len(page) < count:
            break
        left -= count
        last = page[-1][0]
        first, stop = (first, last) if read.reverse else (last + b"\0", stop)
        # Nobody knows how large rows are before they were read: so the first page is of one.
        is_small = size < SMALL_PAGE_BYTES
        count = min(2 * count, PAGE_ROWS) if is_small else max(1, count // 2)
    return digest.digest() == read.digest


def _digest(digest: blake2b, value: bytes) -> Generator[None, None, None]:
    if len(value) <= PIECE_BYTES:
        digest.update(value)
        return
    for begin in range(0, len(value), PIECE_BYTES):
        digest.update(memoryview(value)[begin : begin + PIECE_BYTES])
        yield


def _commit(txn: Transaction, reads: list[Read], done: list[Done]) -> None:
    commit(txn.rows(), reads, done)


def _commit_parts(
    txn: Transaction, reads: list[memoryview], done: list[memoryview]
) -> Generator[None, None, None]:
    rows, part, row_count = txn.rows(), Slice(), 0
    for some_reads in reads:
        for read in READS.decode(some_reads):
            row_count += _rows_of(read)
            _check_count(row_count)
            _check(read, is_so=(yield from _is_so_in_slices(rows, read, part)))
        yield
    for some_done in done:
        for it in DONE.decode(some_done):
            if isinstance(it, RangeDeleting):
                while row_count := rows.forget(it.tree, it.first, it.stop):
                    if part.is_over_after(1 + row_count // _FORGOTTEN_A_ROW):
                        yield
            _do(rows, it)
        yield


COMMIT: Operation[[list[Read], list[Done]], None] = Operation("roost.commit", _commit)
COMMIT_PARTS: LongOperation[[list[memoryview], list[memoryview]], None] = LongOperation(
    "roost.commit_parts", _commit_parts
)
