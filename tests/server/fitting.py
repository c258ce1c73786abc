"""Whether JSON has the form that a schema says: of JSON Schema, what our document uses.

Strict where the standard is not: an object has no properties but those that are named, if any are.
"""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]  # JSON
_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}
# What a schema may say besides, that is not looked at here.
PASSED = {"title", "description", "default", "format", "contentEncoding", "required"}
LOOKED_AT = {"type", "properties", "items", "enum", "anyOf", "$ref", "additionalProperties"}


def misfits(value: Any, schema: Schema, document: Schema, where: str = "$") -> list[str]:
    """What is wrong with a value, if anything is."""
    unknown = set(schema) - PASSED - LOOKED_AT
    assert not unknown, f"{where}: nobody looks at {unknown}"
    if "$ref" in schema:
        return misfits(value, followed(schema["$ref"], document), document, where)
    if "anyOf" in schema:
        found = [misfits(value, it, document, where) for it in schema["anyOf"]]
        return [] if [] in found else found[0]
    kind = schema.get("type")
    if kind is not None:
        is_one = isinstance(value, _KINDS[kind])
        if not is_one or (isinstance(value, bool) and kind != "boolean"):
            return [f"{where}: {value!r} is no {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where}: {value!r} is none of {schema['enum']}"]
    if isinstance(value, list):
        inner = schema.get("items", {})
        return [it for at, one in enumerate(value)
                for it in misfits(one, inner, document, f"{where}[{at}]")]  # fmt: skip
    return _of_object(value, schema, document, where) if isinstance(value, dict) else []


def _of_object(value: Any, schema: Schema, document: Schema, where: str) -> list[str]:
    named, others = schema.get("properties"), schema.get("additionalProperties")
    found = [f"{where}: no {it}" for it in schema.get("required", ()) if it not in value]
    for name, one in value.items():
        place = f"{where}.{name}"
        if named is not None and name in named:
            found += misfits(one, named[name], document, place)
        elif isinstance(others, Mapping):
            found += misfits(one, others, document, place)
        elif named is not None:
            found.append(f"{place} is not described")
    return found


def followed(reference: str, document: Schema) -> Schema:
    """What stands at a reference within a document (RFC 6901)."""
    assert reference.startswith("#/"), reference
    found: Any = document
    for part in reference[2:].split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    assert isinstance(found, Mapping)
    return found
