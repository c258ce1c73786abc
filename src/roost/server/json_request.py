"""Values of JSON -> a request, as strictly as etcd's gateway (protobuf's JSON mapping; Go: jsonpb).

Names are those of the schema or their camelCase; unknown names are passed over, null is absent.
Numbers of 64 bits may be strings; enumerations are names or numbers, and a name that is not there
is refused, never a default.  Bytes are base64 as etcd 3.5 wants it, of the first alphabet, padded,
with line breaks anywhere.  (etcd 3.6 takes more: a key `foo` is two bytes there that nobody meant.)
Nothing is converted that is of another type.

A message is made in steps (D14): a megabyte has room for a hundred thousand fields, and each takes
three microseconds; or for one whose base64 takes six milliseconds.

Full?  What is nested deeper than DEPTH_MAX messages is refused; what of a text is refused before it
comes here stands in `json_text.py`.
"""

import base64
import re
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from roost.server.json_text import BadJson

# As deep as protobuf's own parser goes, which reads the request again.
DEPTH_MAX = 100
# Two milliseconds' worth.
FIELDS_A_STEP = 512
# Longer base64 is decoded in parts of so many characters, each of which costs as so many fields.
LONG_CHARS = 64 << 10
_FIELDS_A_PART = 80
_UNBROKEN = str.maketrans("", "", "\r\n")
_WHOLE = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_STRANGE = re.compile(r"[^A-Za-z0-9+/\r\n]")
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


def build(kind: type[Message], value: object) -> Message:
    """The request that a JSON object says, all at once.

    Raises:
        BadJson: it says none.

    """
    message = kind()
    for _ in fill(message, value):
        pass
    return message


def fill(message: Message, value: object) -> Generator[None, None, None]:
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
    kind, passed = message.DESCRIPTOR, 0
    for name, inner in value.items():
        field = kind.fields_by_name.get(name) or kind.fields_by_camelcase_name.get(name)
        if field is None or inner is None:
            passed += 1
            if passed == FIELDS_A_STEP:
                passed = 0
                yield FIELDS_A_STEP
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
        elif _is_long(field, inner):
            setattr(message, field.name, (yield from _long_bytes(inner)))
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


def _is_long(field: Any, value: object) -> bool:
    """Whether a value is base64 of which a step would be long."""
    is_long = isinstance(value, str) and len(value) > LONG_CHARS
    return is_long and field.type == FieldDescriptor.TYPE_BYTES


def _long_bytes(value: str) -> Generator[int, None, bytes]:
    """As `_bytes`, in steps; yields what each costs in fields."""
    made: list[bytes] = []
    rest = ""
    for begin in range(0, len(value), LONG_CHARS):
        rest += value[begin : begin + LONG_CHARS].translate(_UNBROKEN)
        # Four characters are three bytes; the last four, which may be padded, are kept back.
        size = max(0, (len(rest) - 4) // 4 * 4)
        part, rest = rest[:size], rest[size:]
        if not _is_base64(part) or part.endswith("="):
            raise (yield from _fault(value))
        made.append(base64.b64decode(part))
        yield _FIELDS_A_PART
    if not _is_base64(rest):
        raise (yield from _fault(value))
    made.append(base64.b64decode(rest))
    return b"".join(made)


def _is_base64(text: str) -> bool:
    """Whether that is padded base64 without line breaks."""
    return len(text) % 4 == 0 and _WHOLE.fullmatch(text) is not None


def _fault(value: str) -> Generator[int, None, BadJson]:
    """What is wrong with base64, in steps: the byte at which Go's decoder stops (encoding/base64).

    That is what is strange there, or where the last four characters begin that are not four.
    """
    held = 0
    for begin in range(0, len(value), LONG_CHARS):
        found = _STRANGE.search(value, begin, begin + LONG_CHARS)
        end = min(begin + LONG_CHARS, len(value)) if found is None else found.start()
        held += end - begin - value.count("\n", begin, end) - value.count("\r", begin, end)
        if found is not None:
            return _illegal(_stop(value, end, held % 4))
        yield _FIELDS_A_PART
    return _illegal(len(value) - held % 4)


def _stop(value: str, at: int, held: int) -> int:
    """Where it stops for something strange, before which so many of the last four have come."""
    if value[at] != "=" or held < 2:
        return at

    def behind(position: int) -> int:
        return len(value) - len(value[position:].lstrip("\r\n"))

    after = behind(at + 1)
    if held == 2:
        # The second sign of padding.
        if after == len(value):
            return after
        if value[after] != "=":
            return after - 1
        after = behind(after + 1)
    return after


def _illegal(at: int) -> BadJson:
    return BadJson(f"illegal base64 data at input byte {at}")


def _bytes(value: object, place: str) -> bytes:
    if not isinstance(value, str):
        raise BadJson(f"{place} is base64 in a string")
    text = value.translate(_UNBROKEN)
    if _is_base64(text):
        return base64.b64decode(text)
    steps = _fault(value)
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            raise ended.value from None
