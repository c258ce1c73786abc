"""JSON -> a request, as strictly as etcd's gateway reads it (protobuf's JSON mapping; Go: jsonpb).

Names are those of the schema or their camelCase; unknown names are passed over, null is absent.
Numbers of 64 bits may be strings; enumerations are names or numbers, and a name that is not there
is refused, never a default.  Bytes are base64 of either alphabet, with line breaks, with or
without padding.  Nothing is converted that is of another type.

A message is made in steps (D14): a megabyte has room for a hundred thousand fields, and each takes
three microseconds.

Full?  What is nested deeper than DEPTH_MAX messages, or deeper than Python's parser reads, is
refused, and so are more objects than all operations of a transaction take (`check_size`); how long
a text may be is up to whoever reads it.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from roost.errors import PeerFault

# As deep as protobuf's own parser goes, which reads the request again.
DEPTH_MAX = 100
# As many as 10,000 operations of a transaction take (`etcd/v3/checks.py`), and some.
OBJECTS_MAX = 40_000
# An operation has three objects, and four or five values.
VALUES_AN_OBJECT = 2
# Two milliseconds' worth.
FIELDS_A_STEP = 512
_URL_SAFE = str.maketrans("-_", "+/", "\r\n")
_NUMBER = re.compile(r"[ \t\r\n]*(-?(?:0|[1-9][0-9]*))[ \t\r\n]*")
_INTEGERS = (
    *(FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64),
    *(FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64),
)
# What null is in an array.
_ZERO = {
    **dict.fromkeys((*_INTEGERS, FieldDescriptor.TYPE_ENUM), 0),
    **dict.fromkeys((FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES), ""),
    FieldDescriptor.TYPE_BOOL: False,
}
_INT32 = range(-(1 << 31), 1 << 31)


class BadJson(PeerFault, ValueError):
    """A text is no such request; says which field is wrong."""


class _Fraction:
    """A number that is no integer: no field takes one."""

    def __init__(self, text: str) -> None:
        self.text = text


def _refuse_constant(name: str) -> None:
    raise BadJson(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_float=_Fraction, parse_constant=_refuse_constant)


def check_size(text: str, objects_max: int) -> None:
    """Refuse a text of more objects, or more values, than anybody's request has.

    Python's parser reads a text in one step, and what costs is what it makes.  Braces and commas
    within a string count as well.

    Raises:
        BadJson: there are too many.

    """
    if text.count(",") > VALUES_AN_OBJECT * objects_max:
        raise BadJson(f"a request has at most {VALUES_AN_OBJECT * objects_max} JSON values")
    if text.count("{") > objects_max:
        raise BadJson(f"a request has at most {objects_max} JSON objects")


def read_whole(text: str) -> object:
    """The value of a text that has one.

    Raises:
        BadJson: it has none, more than one, or one that is too deep.

    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise BadJson("the JSON is nested too deep") from None
    except BadJson:
        raise
    except ValueError as error:
        raise BadJson(str(error)) from error


def build(kind: type[Message], value: object) -> Message:
    """The request that a JSON object says, all at once.

    Raises:
        BadJson: it says none.

    """
    message = kind()
    for _ in fill(message, value):
        pass
    return message


def fill(message: Message, value: object) -> Iterator[None]:
    """Make of an empty message what a JSON object says, FIELDS_A_STEP or a few more a step.

    Raises:
        BadJson: it says no such message.

    """
    left = FIELDS_A_STEP
    for cost in _fill(message, value, "", 0):
        left -= cost
        if left <= 0:
            left = FIELDS_A_STEP
            yield


def _fill(message: Message, value: object, where: str, depth: int) -> Iterator[int]:
    """Fill a message; yields so many fields as were read since the last time, now and then."""
    if not isinstance(value, dict):
        raise BadJson(f"{where or 'a request'} is a JSON object")
    if depth >= DEPTH_MAX:
        raise BadJson(f"a request has at most {DEPTH_MAX} messages within each other")
    kind = message.DESCRIPTOR
    for name, inner in value.items():
        field = kind.fields_by_name.get(name) or kind.fields_by_camelcase_name.get(name)
        if field is None or inner is None:
            continue
        place = f"{where}.{name}" if where else name
        if field.is_repeated:
            yield from _extend(message, field, inner, place, depth)
            continue
        oneof = field.containing_oneof
        if oneof is not None and message.WhichOneof(oneof.name) not in (None, field.name):
            raise BadJson(f"{place}: only one of {oneof.name} may be given")
        if field.message_type is not None:
            child = getattr(message, field.name)
            child.SetInParent()
            yield from _fill(child, inner, place, depth + 1)
        else:
            _store(partial(setattr, message, field.name), _scalar(field, inner, place), place)
    yield 1 + len(value)


def _extend(message: Message, field: Any, value: object, place: str, depth: int) -> Iterator[int]:
    """Fill a repeated field; `field` is a FieldDescriptor of either implementation."""
    if not isinstance(value, list):
        raise BadJson(f"{place} is a JSON array")
    held = getattr(message, field.name)
    for inner in value:
        if field.message_type is not None:
            child = held.add()
            if inner is not None:
                yield from _fill(child, inner, place, depth + 1)
        else:
            zero = _ZERO[field.type]
            _store(held.append, _scalar(field, zero if inner is None else inner, place), place)
        yield 1


def _store(store: Callable[[Any], None], value: object, place: str) -> None:
    """Store a value, if it is in its type's range."""
    try:
        store(value)
    except ValueError as error:
        raise BadJson(f"{place}: {error}") from error


def _scalar(field: Any, value: object, place: str) -> object:
    """A value as its field takes it."""
    if field.enum_type is not None:
        return _enum(field, value, place)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(value, place)
    if field.type in _INTEGERS:
        return _integer(value, place)
    wanted = bool if field.type == FieldDescriptor.TYPE_BOOL else str
    if not isinstance(value, wanted):
        raise BadJson(f"{place} is {'a string' if wanted is str else 'true or false'}")
    return value


def _enum(field: Any, value: object, place: str) -> int:
    if isinstance(value, str):
        found = field.enum_type.values_by_name.get(value)
        if found is None:
            raise BadJson(f'{place}: unknown value "{value}" for enum {field.enum_type.full_name}')
        return int(found.number)
    if not isinstance(value, int) or isinstance(value, bool) or value not in _INT32:
        raise BadJson(f"{place} is a name or a number of enum {field.enum_type.full_name}")
    return value


def _integer(value: object, place: str) -> int:
    if isinstance(value, str) and (found := _NUMBER.fullmatch(value)):
        value = int(found[1])
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadJson(f"{place} is an integer")
    return value


def _bytes(value: object, place: str) -> bytes:
    if not isinstance(value, str):
        raise BadJson(f"{place} is base64 in a string")
    text = value.translate(_URL_SAFE)
    if not text.endswith("="):
        text += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise BadJson(f"{place}: illegal base64 data") from None
