"""Messages as JSON, as protobuf's own mapping has it; for answers, which are large and many.

Names are as in the schema, 64-bit numbers are strings, bytes are base64 (as msgspec writes them),
enumerations are names, and defaults are left out.  The library's `json_format`, which is the oracle
in the tests, asks of every value what it is; here that is looked up once for each field of a
schema.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_Convert = Callable[[Any], Any]
_AS_TEXT = (
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
)
_AS_IT_IS = (
    FieldDescriptor.TYPE_BOOL,
    FieldDescriptor.TYPE_BYTES,
    FieldDescriptor.TYPE_STRING,
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_UINT32,
)
_FIELDS: dict[FieldDescriptor, tuple[str, _Convert]] = {}


def to_json(message: Message) -> dict[str, Any]:
    """A message as what `msgspec.json.encode` takes."""
    said: dict[str, Any] = {}
    for descriptor, value in message.ListFields():
        found = _FIELDS.get(descriptor)
        if found is None:
            found = _FIELDS[descriptor] = (descriptor.name, _converter(descriptor))
        name, convert = found
        said[name] = convert(value)
    return said


def _converter(field: FieldDescriptor) -> _Convert:
    """How the value of a field is said."""
    convert = _of_one(field)
    if field.is_repeated:
        return lambda values: [convert(it) for it in values]
    return convert


def _of_one(field: FieldDescriptor) -> _Convert:
    kind = field.type
    if kind in _AS_TEXT:
        return str
    if kind == FieldDescriptor.TYPE_MESSAGE:
        return to_json
    if field.enum_type is not None:
        names = {it.number: it.name for it in field.enum_type.values}
        return lambda value: names.get(value, value)
    assert kind in _AS_IT_IS, "our schemas have no others"
    return lambda value: value
