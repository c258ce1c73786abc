r"""Registers: one value.

b"\x00"           ->  the head, with the value in it
"""

import msgspec

from roost.database import Transaction
from roost.objects.layouts.heads import Head, Shape, open_object


class RegisterHead(Head, frozen=True, array_like=True):
    """`held` None: nothing was ever set; `version` counts the changes of a life."""

    version: int = 0
    held: bytes | None = None


def put(txn: Transaction, shape: Shape, value: bytes | None) -> bytes | None:
    """Set the value, None = have none; the one that it had."""
    opened = open_object(txn, shape, RegisterHead)
    head = opened.head
    opened.save(msgspec.structs.replace(head, version=head.version + 1, held=value))
    return head.held


def put_if(txn: Transaction, shape: Shape, value: bytes, version: int) -> bool:
    """Set the value if nothing has changed since `version`."""
    opened = open_object(txn, shape, RegisterHead)
    head = opened.head
    if head.version != version:
        return False
    opened.save(msgspec.structs.replace(head, version=version + 1, held=value))
    return True
