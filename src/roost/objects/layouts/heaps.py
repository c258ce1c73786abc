r"""Priority queues: values in the order of their priorities, and of their coming among equals.

    b"\x01" + priority as a part of `ordered` + u64 number    ->  the value

A part ends where it says so, so the number never takes part in comparing priorities.  What is put
or taken writes the value's row and the head.
"""

from struct import Struct

import msgspec

from roost.database import Transaction
from roost.objects.layouts.heads import END, ITEM, Head, Opened, Shape, open_object

U64 = Struct(">Q")
Entry = tuple[bytes, bytes]


class HeapHead(Head, frozen=True, array_like=True):
    """`next`: the next number; `low`: no row comes before this one."""

    next: int = 0
    low: bytes = b""


def put(txn: Transaction, shape: Shape, entries: list[Entry], count_max: int) -> bool:
    """Put entries in; False when there is no room for all of them (0 = there always is)."""
    opened: Opened[HeapHead] = open_object(txn, shape, HeapHead)
    head = opened.head
    if count_max and head.count + len(entries) > count_max:
        return False
    low, number = head.low, head.next
    for priority, value in entries:
        key = priority + U64.pack(number)
        opened.tree[ITEM + key] = value
        low = min(low, key)
        number += 1
    opened.save(
        msgspec.structs.replace(head, count=head.count + len(entries), next=number, low=low)
    )
    return True


def _first(opened: Opened[HeapHead]) -> Entry | None:
    if not opened.head.count:
        return None
    # Traces of what was taken before may lie before `low`: they are not walked over.
    found = opened.tree.items(first=ITEM + opened.head.low, stop=END, limit=1)
    return next(((key[1:], value) for key, value in found), None)


def peek(txn: Transaction, shape: Shape) -> Entry | None:
    """The entry with the lowest priority, which stays."""
    found = _first(open_object(txn, shape, HeapHead))
    return None if found is None else (found[0][: -U64.size], found[1])


def take(txn: Transaction, shape: Shape) -> Entry | None:
    """Take out the entry with the lowest priority."""
    opened: Opened[HeapHead] = open_object(txn, shape, HeapHead)
    found = _first(opened)
    if found is None:
        return None
    key, value = found
    opened.tree.discard(ITEM + key)
    opened.save(msgspec.structs.replace(opened.head, count=opened.head.count - 1, low=key))
    return key[: -U64.size], value


def clear(txn: Transaction, shape: Shape) -> None:
    """Take out all entries."""
    opened: Opened[HeapHead] = open_object(txn, shape, HeapHead)
    opened.tree.delete_range(first=ITEM, stop=END)
    opened.save(msgspec.structs.replace(opened.head, count=0, low=b""))
