"""Messages of protobuf as JSON Schema, as the gateway reads and writes them (`json_answer`).

Names are those of the schema; numbers of 64 bits are strings, which are taken as numbers, too;
bytes are base64; what is left out of an answer has its default.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

Schema = dict[str, Any]  # JSON
_PLAIN: dict[int, Schema] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_UINT32: {"type": "integer", "format": "uint32"},
    FieldDescriptor.TYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptor.TYPE_UINT64: {"type": "string", "format": "uint64"},
}


def reference_to(name: str) -> Schema:
    """A schema that stands elsewhere in the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def messages_of(*kinds: Descriptor) -> Iterator[tuple[str, Schema]]:
    """Some messages and all that are within them, each once, by their names."""
    waiting, seen = list(kinds), {it.full_name for it in kinds}
    while waiting:
        kind = waiting.pop()
        yield kind.full_name, _message(kind)
        for field in kind.fields:
            inner = field.message_type
            if inner is not None and inner.full_name not in seen:
                seen.add(inner.full_name)
                waiting.append(inner)


def _message(kind: Descriptor) -> Schema:
    found: Schema = {"type": "object"}
    if kind.fields:
        found["properties"] = {it.name: _field(it) for it in kind.fields}
    return found


def _field(field: FieldDescriptor) -> Schema:
    one = _one(field)
    return {"type": "array", "items": one} if field.is_repeated else one


def _one(field: FieldDescriptor) -> Schema:
    if field.message_type is not None:
        return reference_to(field.message_type.full_name)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    assert field.type in _PLAIN, "our schemas have no others"
    return _PLAIN[field.type]


def _enum(kind: EnumDescriptor) -> Schema:
    return {"type": "string", "enum": [it.name for it in kind.values]}
