"""What differs between lists and deques where they do the same, and CPython's words for it."""

from dataclasses import dataclass

from roost.database import Operation
from roost.objects.layouts import operations as ops
from roost.objects.layouts.deques import DequeHead
from roost.objects.layouts.heads import Shape
from roost.objects.layouts.lists import ListHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of sequence: its first row, its operations, and what an IndexError says."""

    head: type[ListHead] | type[DequeHead]
    get: Operation[[Shape, int], bytes | None]
    put: Operation[[Shape, int, bytes], bool]
    remove: Operation[[Shape, int, int], bool]
    reverse: Operation[[Shape], None]
    clear: Operation[[Shape], None]
    not_there: str
    not_settable: str


LIST = Kind(
    head=ListHead,
    get=ops.LIST_GET,
    put=ops.LIST_SET,
    remove=ops.LIST_REMOVE,
    reverse=ops.LIST_REVERSE,
    clear=ops.LIST_CLEAR,
    not_there="list index out of range",
    not_settable="list assignment index out of range",
)
DEQUE = Kind(
    head=DequeHead,
    get=ops.DEQUE_GET,
    put=ops.DEQUE_SET,
    remove=ops.DEQUE_REMOVE,
    reverse=ops.DEQUE_REVERSE,
    clear=ops.DEQUE_CLEAR,
    not_there="deque index out of range",
    not_settable="deque index out of range",
)
