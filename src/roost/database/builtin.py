"""Operations that every database has: writes of a single tree, without a function of the program's.

They take bytes, as the caller's codecs made them, and the names of these codecs, which the member
that leads holds against what the tree is declared as.
"""

from typing import Any

from roost.database.committing import COMMIT, COMMIT_PARTS
from roost.database.conventions import QUEUE_KEYS, append_to, take_from
from roost.database.limits import TreeLimits
from roost.database.operations import Operation
from roost.database.rows import Row
from roost.database.transaction import Transaction
from roost.database.updates import PUT_PARTS


def _put(txn: Transaction, tree: str, keys: str, values: str, written: list[Row]) -> None:
    rows = txn.rows()
    rows.open(tree, keys, values)
    for key, value in written:
        rows.put(tree, key, value)


def _delete(txn: Transaction, tree: str, keys: str, values: str, key: bytes) -> bool:
    rows = txn.rows()
    rows.open(tree, keys, values)
    if rows.get(tree, key) is None:
        return False
    rows.delete(tree, key)
    return True


def _delete_range(
    txn: Transaction, tree: str, keys: str, values: str, first: bytes, stop: bytes | None
) -> None:
    rows = txn.rows()
    rows.open(tree, keys, values)
    rows.delete_range(tree, first, stop)


def _append(txn: Transaction, tree: str, values: str, value: bytes) -> int:
    rows = txn.rows()
    rows.open(tree, QUEUE_KEYS, values)
    return append_to(rows, tree, value)


def _take(txn: Transaction, tree: str, values: str) -> bytes | None:
    rows = txn.rows()
    rows.open(tree, QUEUE_KEYS, values)
    return take_from(rows, tree)


def _describe(
    txn: Transaction, tree: str, purpose: str, key_bytes_max: int, value_bytes_max: int
) -> None:
    txn.rows().describe(tree, purpose, TreeLimits(key_bytes_max, value_bytes_max))


PUT = Operation("roost.put", _put)
DELETE = Operation("roost.delete", _delete)
DELETE_RANGE = Operation("roost.delete_range", _delete_range)
APPEND = Operation("roost.append", _append)
TAKE = Operation("roost.take", _take)
DESCRIBE = Operation("roost.describe", _describe)
_ALL: tuple[Operation[Any, Any], ...] = (
    PUT,
    PUT_PARTS,
    DELETE,
    DELETE_RANGE,
    APPEND,
    TAKE,
    DESCRIBE,
    COMMIT,
    COMMIT_PARTS,
)
BUILTIN = {it.name: it for it in _ALL}
