"""Requests at the edges of every field, made from the schemas.

A message is begun with a plain request and has one or two of its fields, however deep, set to
what lies at the edge of their type: absent, zero, negative, the largest, empty, with a NUL, not
in the enumeration.  Both ends of ranges are of KEYS, so that some are the wrong way round.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

KEYS = [b"", b"\0", b"a", b"a\0", b"a\0b", b"b", b"c", b"\xff", b"\xff\xff", b"k" * 5000]
TEXTS = ["", "\0", "a", "a\0b", "root", "ä", "n" * 5000]
INT64 = [0, 1, 2, -1, 7, (1 << 63) - 1, -(1 << 63)]
UINT64 = [0, 1, 2, (1 << 63) - 1, (1 << 64) - 1]
# Numbers that no enumeration has.
UNKNOWN = [-1, 99, (1 << 31) - 1, -(1 << 31)]
_DEPTH_MAX = 3
Path = tuple[FieldDescriptor, ...]


def _values(field: FieldDescriptor) -> Sequence[object]:
    """What lies at the edge of a field's type; a message is only made to be there."""
    if field.enum_type is not None:
        return [*(it.number for it in field.enum_type.values), *UNKNOWN]
    match field.type:
        case FieldDescriptor.TYPE_BYTES:
            return KEYS
        case FieldDescriptor.TYPE_STRING:
            return TEXTS
        case FieldDescriptor.TYPE_INT64:
            return INT64
        case FieldDescriptor.TYPE_UINT64:
            return UINT64
        case FieldDescriptor.TYPE_BOOL:
            return [False, True]
        case _:
            assert field.message_type is not None, f"edges of {field.full_name} are not known"
            return [None]


def _paths(kind: Any, depth: int = _DEPTH_MAX) -> Iterator[Path]:  # Any: either's Descriptor
    """Every field of a message and of those within it."""
    for field in kind.fields:
        yield (field,)
        if field.message_type is not None and depth:
            yield from ((field, *rest) for rest in _paths(field.message_type, depth - 1))


def _set(message: Message, path: Path, value: object) -> None:
    """Set one field, deep inside; what is on the way is made, and repeated fields grow."""
    *way, last = path
    for field in way:
        inner = getattr(message, field.name)
        if field.is_repeated:
            inner = inner[0] if len(inner) else inner.add()
        else:
            inner.SetInParent()
        message = inner
    if last.message_type is None and last.is_repeated:
        getattr(message, last.name).append(value)
    elif last.message_type is None:
        setattr(message, last.name, value)
    elif last.is_repeated:
        getattr(message, last.name).add()
    else:
        getattr(message, last.name).SetInParent()


def _copy(message: Message) -> Message:
    made = type(message)()
    made.CopyFrom(message)
    return made


def every_edge(plain: Message) -> Iterator[Message]:
    """A plain request, and all that have one field of it at an edge, or absent."""
    yield plain
    for path in _paths(plain.DESCRIPTOR):
        for value in _values(path[-1]):
            request = _copy(plain)
            _set(request, path, value)
            yield request
        if len(path) == 1:
            request = _copy(plain)
            request.ClearField(path[0].name)
            yield request


class Edges:
    """Requests with some of their fields at an edge, by chance."""

    def __init__(self, seed: int) -> None:
        """One seed, one sequence."""
        self.dice = random.Random(seed)
        # The current revision: what is just before and behind it is an edge too.
        self.revision = 1

    def of(self, plain: Message) -> Message:
        """A request with up to three fields at an edge."""
        request = _copy(plain)
        every = list(_paths(plain.DESCRIPTOR))
        for _ in range(self.dice.randrange(4) if every else 0):
            path = self.dice.choice(every)
            values = _values(path[-1])
            if path[-1].name.endswith("revision"):
                values = [*values, *range(self.revision - 3, self.revision + 3)]
            _set(request, path, self.dice.choice(values))
        return request
