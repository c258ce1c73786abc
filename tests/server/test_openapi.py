"""The description is one that OpenAPI 3.1 knows: each rule of it that ours could break."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from roost.server.openapi import _Forms
from tests.server.fitting import followed, misfits
from tests.test_docs import load_generator

DESCRIBED = load_generator().all_endpoints()
METHODS = {"get", "head", "put", "post", "delete", "options", "patch", "trace"}
FIELDS = {"operationId", "tags", "summary", "parameters", "requestBody", "responses"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DESCRIBED["paths"].items():
        for method, operation in item.items():
            if method != "$ref":
                yield path, method, operation


def all_within(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a document."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for it in value:
            yield from all_within(it)


def test_the_frame_is_whole() -> None:
    assert re.fullmatch(r"3\.1\.\d+", DESCRIBED["openapi"])
    assert {"title", "version"} <= set(DESCRIBED["info"])
    names = [it["name"] for it in DESCRIBED["tags"]]
    assert len(set(names)) == len(names)
    known = {"openapi", "info", "tags", "paths", "components", "security"}
    assert all(it in known or it.startswith("x-") for it in DESCRIBED)
    schemes = set(DESCRIBED["components"]["securitySchemes"])
    assert {it for one in DESCRIBED["security"] for it in one} == schemes


def test_every_operation_is_one() -> None:
    tags, ids = {it["name"] for it in DESCRIBED["tags"]}, set()
    for path, method, operation in operations():
        told = f"{method} {path}"
        assert method in METHODS, told
        assert all(it in FIELDS or it.startswith("x-") for it in operation), told
        assert operation["operationId"] not in ids, told
        ids.add(operation["operationId"])
        assert set(operation["tags"]) <= tags, told
        assert operation["summary"].endswith("."), told
        assert all(re.fullmatch(r"[1-5]\d\d|default", it) for it in operation["responses"]), told
        assert all(it["description"] for it in operation["responses"].values()), told
        assert method in ("put", "post") or "requestBody" not in operation, told


def test_variable_parts_of_a_path_are_its_parameters() -> None:
    for path, method, operation in operations():
        assert path.startswith("/")
        parameters = operation.get("parameters", [])
        keys = [(it["name"], it["in"]) for it in parameters]
        assert len(set(keys)) == len(keys), f"{method} {path}"
        in_path = {it["name"] for it in parameters if it["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path)), f"{method} {path}"
        for it in parameters:
            assert it["in"] in ("query", "path", "header")
            assert it.get("required") or it["in"] != "path", f"{method} {path}"
            assert it["schema"] in (
                *({"type": kind} for kind in ("string", "integer", "boolean")),
                {"type": "array", "items": {"type": "string"}},
            )


def test_paths_differ_by_more_than_the_names_of_their_parts() -> None:
    """Two templates of one shape are one path (OpenAPI 3.1, 4.8.8.2)."""
    shapes = [re.sub(r"\{\w+\}", "{}", it) for it in DESCRIBED["paths"]]
    assert len(set(shapes)) == len(shapes)


def test_every_reference_leads_somewhere_and_every_form_is_used() -> None:
    references = [it["$ref"] for it in all_within(DESCRIBED) if "$ref" in it]
    assert references
    for it in references:
        followed(it, DESCRIBED)
    used = {it.rpartition("/")[2] for it in references if "/schemas/" in it}
    assert used == set(DESCRIBED["components"]["schemas"])


def test_forms_say_what_a_checker_knows() -> None:
    for schema in DESCRIBED["components"]["schemas"].values():
        samples: tuple[object, ...] = ({}, [], "", 1, None, True)
        for value in samples:
            misfits(value, schema, DESCRIBED)


def test_streams_and_deep_paths_say_so() -> None:
    paths = DESCRIBED["paths"]
    assert paths["/v3/watch"]["post"]["x-roost-stream"] is True
    assert "x-roost-stream" not in paths["/v3/kv/put"]["post"]
    assert paths["/v3/kv/put"]["post"]["x-grpc-method"] == "etcdserverpb.KV/Put"
    assert paths["/v3alpha/kv/put"] == {"$ref": "#/paths/~1v3~1kv~1put"}
    assert paths["/v2/keys/{key}"]["put"]["x-roost-deep"] is True
    assert "x-roost-deep" not in paths["/v2/members/{id}"]["put"]


def test_one_name_is_one_form() -> None:
    """References lead by names, so another form of the name would be described in its place."""
    first, other = (msgspec.defstruct("Same", [("value", kind)]) for kind in (int, str))
    forms = _Forms()
    forms.add([first])
    forms.add([first])
    assert forms.of(first) == {"$ref": "#/components/schemas/Same"}
    with pytest.raises(AssertionError, match="two forms are called Same"):
        forms.add([other])
