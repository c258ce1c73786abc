"""What a port answers over HTTP, as OpenAPI 3.1: made of the tables by which it answers.

    rows of data models and of the port (`roost.endpoint`)   paths, parameters, forms
    calls of the gateway, with protobuf's schemas            POST below /v3/ and its older names
    methods of gRPC                                          x-grpc-services: no word for that

Older names of the gateway are references to those of /v3/.  A path whose last part may have slashes
in it says so by `x-roost-deep`, which OpenAPI has no word for either.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from google.protobuf.descriptor import MethodDescriptor

from roost import endpoint
from roost.endpoint import EVENTS_KIND, JSON_KIND, TEXT_KIND, Endpoint, Parameter
from roost.server.schemas import Schema, messages_of, reference_to

VERSION = "3.1.0"
GATEWAY = endpoint.Protocol(
    name="etcd v3 as JSON",
    text="etcd's API as its gateway has it: bytes are base64, numbers of 64 bits are strings.",
    page="reference/http.md",
)
_ERROR = "roost.GatewayError"
_TOKEN = "token"  # noqa: S105 - the name of a scheme
_GATEWAY_ERROR = {
    "type": "object",
    "properties": {
        "error": {"type": "string"},
        "message": {"type": "string"},
        "code": {"type": "integer", "description": "gRPC's."},
    },
    "required": ["error", "message", "code"],
}


class Method(Protocol):
    """A call of the gateway."""

    @property
    def descriptor(self) -> MethodDescriptor:
        """What protobuf knows of it."""


def document(
    endpoints: Sequence[Endpoint],
    calls: Mapping[str, Method],
    texts: Mapping[str, str],
    methods: Iterable[bytes],
    version: str,
) -> Generator[None, None, Schema]:
    """Make it, a form or a path a step.

    `calls` are by their paths, `texts` by `package.Service/Method`, `methods` gRPC's paths.
    """
    protocols = dict.fromkeys(it.protocol for it in endpoints)
    forms = yield from _forms_of(endpoints)
    made: Schema = {
        "openapi": VERSION,
        "info": {
            "title": "Roost",
            "version": version,
            "description": "What this member answers over HTTP, with its present settings.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [
            {"name": it.name, "description": f"{it.text} More: docs/{it.page}"}
            for it in (*protocols, *((GATEWAY,) if calls else ()))
        ],
        "paths": {},
        "components": {
            "schemas": forms.named,
            "securitySchemes": {
                _TOKEN: {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "While users are on: a token of /v3/auth/authenticate.",
                }
            },
        },
        # With and without: whether users are asked for is up to the cluster.
        "security": [{}, {_TOKEN: []}],
        "x-grpc-services": _grouped(methods),
    }
    for row in endpoints:
        made["paths"].setdefault(row.path, {})[row.method.lower()] = _operation(row, forms)
        yield
    for path, method in calls.items():
        _add_call(made, path, method, texts)
        yield
    return made


class _Forms:
    """Forms of answers, bodies and errors; those that have names stand in one place."""

    def __init__(self) -> None:
        """There are none."""
        self._schemas: dict[object, Schema] = {}
        self.named: Schema = {}

    def add(self, kinds: Sequence[object]) -> None:
        """Make those of some types; no two that have another form may have one name."""
        schemas, named = msgspec.json.schema_components(
            kinds, ref_template="#/components/schemas/{name}"
        )
        self._schemas.update(zip(kinds, schemas, strict=True))
        for name, schema in named.items():
            assert self.named.setdefault(name, schema) == schema, f"two forms are called {name}"

    def of(self, kind: object) -> Schema:
        """The schema of one."""
        return self._schemas[kind]


def _forms_of(endpoints: Sequence[Endpoint]) -> Generator[None, None, _Forms]:
    """All of them, a type a step: all at once takes longer than a turn may."""
    said = [it for row in endpoints for it in (row.answer, row.body, row.protocol.error)]
    found = _Forms()
    for kind in dict.fromkeys(it for it in said if it is not None):
        found.add([kind])
        yield
    return found


def _operation(row: Endpoint, forms: _Forms) -> Schema:
    made: Schema = {
        "operationId": _id_of(row.method, row.path),
        "tags": [row.protocol.name],
        "summary": row.text,
    }
    if row.parameters:
        made["parameters"] = [_parameter(it) for it in row.parameters]
    if row.takes:
        made["requestBody"] = {"content": {it: _content(it, row.body, forms) for it in row.takes}}
    made["responses"] = {str(it): _response(row, it, forms) for it in row.statuses}
    made["responses"]["default"] = _refusal(row.protocol, forms)
    if row.is_deep:
        made["x-roost-deep"] = True
    return made


def _parameter(it: Parameter) -> Schema:
    one: Schema = {"type": it.kind.value}
    made: Schema = {"name": it.name, "in": it.where.value, "description": it.text}
    if it.is_needed:
        made["required"] = True
    made["schema"] = {"type": "array", "items": one} if it.is_many else one
    return made


def _content(kind: str, form: object, forms: _Forms) -> Schema:
    if form is not None and kind == JSON_KIND:
        return {"schema": forms.of(form)}
    if kind.startswith("text/") or kind == EVENTS_KIND:
        return {"schema": {"type": "string"}}
    return {}  # anything


def _response(row: Endpoint, status: int, forms: _Forms) -> Schema:
    made: Schema = {"description": HTTPStatus(status).phrase}
    if row.gives and status != HTTPStatus.NO_CONTENT:
        made["content"] = {it: _content(it, row.answer, forms) for it in row.gives}
    return made


def _refusal(protocol: endpoint.Protocol, forms: _Forms) -> Schema:
    plain: Schema = {TEXT_KIND: {"schema": {"type": "string"}}}
    if protocol.error is None:
        return {"description": "Why not.", "content": plain}
    # What no data model has seen is refused in a line of text.
    form = {JSON_KIND: {"schema": forms.of(protocol.error)}}
    return {"description": "Why not.", "content": {**form, **plain}}


def _id_of(method: str, path: str) -> str:
    """A name that programs may have: `get_counters_read`."""
    words = "".join(it if it.isalnum() else " " for it in path.replace("[]", "")).split()
    # Only a slash at the end tells these two apart.
    end = ["index"] if path.endswith("/") else []
    return "_".join((method.lower(), *words, *end))


def _add_call(made: Schema, path: str, method: Method, texts: Mapping[str, str]) -> None:
    _, version, rest = path.split("/", 2)
    if version != "v3":
        made["paths"][path] = {"$ref": f"#/paths/~1v3~1{rest.replace('/', '~1')}"}
        return
    found = method.descriptor
    schemas = made["components"]["schemas"]
    schemas.update(messages_of(found.input_type, found.output_type))
    schemas[_ERROR] = _GATEWAY_ERROR
    name = f"{found.containing_service.full_name}/{found.name}"
    answer = reference_to(found.output_type.full_name)
    if found.server_streaming:
        # A line each.
        answer = {"type": "object", "properties": {"result": answer, "error": {"type": "object"}}}
    operation: Schema = {
        "operationId": _id_of("post", path),
        "tags": [GATEWAY.name],
        "summary": texts[name],
        "requestBody": {
            "content": {JSON_KIND: {"schema": reference_to(found.input_type.full_name)}}
        },
        "responses": {
            "200": {"description": "OK", "content": {JSON_KIND: {"schema": answer}}},
            "default": {
                "description": "Why not.",
                "content": {JSON_KIND: {"schema": reference_to(_ERROR)}},
            },
        },
        "x-grpc-method": name,
    }
    if found.server_streaming:
        operation["x-roost-stream"] = True
    made["paths"][path] = {"post": operation}


def _grouped(methods: Iterable[bytes]) -> dict[str, list[str]]:
    """Methods of gRPC by their services."""
    found: dict[str, list[str]] = {}
    for path in sorted(methods):
        service, _, name = path.decode().removeprefix("/").partition("/")
        found.setdefault(service, []).append(name)
    return found


def listed(made: Mapping[str, Any]) -> Iterator[str]:  # Any: JSON
    """The same for people: a line each, by protocols; older names are left out."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for path, item in made["paths"].items():
        for method, operation in item.items():
            if method == "$ref":
                continue
            rows.setdefault(operation["tags"][0], []).append(
                (f"{method.upper():6} {path}", operation["summary"])
            )
    for tag in made["tags"]:
        yield f"{tag['name']}: {tag['description']}"
        yield ""
        found = rows.get(tag["name"], [])
        width = max((len(it) for it, _ in found), default=0)
        yield from (f"  {request:{width}}  {text}" for request, text in found)
        yield ""
    yield "gRPC on the same port:"
    yield ""
    for service, names in made["x-grpc-services"].items():
        yield f"  {service}: {', '.join(names)}"


def encoded(made: Mapping[str, Any]) -> bytes:  # Any: JSON
    """The document as it is sent."""
    return msgspec.json.encode(made)
