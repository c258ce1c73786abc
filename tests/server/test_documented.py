"""A member's description of itself is held to the member: what it says is answered, and no more."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from roost.database.aio import open_database
from roost.database.embedded import Embedded, Rooms
from roost.etcd import JSON_PATHS, JSON_TEXTS
from roost.server.embedding import Services
from roost.server.gateway import VERSIONS
from roost.server.models import MODELS
from roost.server.options import serving_of
from roost.server.port import Listener
from roost.server.serving import MemberServer
from roost.settings import Settings
from roost.testing.ports import free_ports
from tests.server.fitting import misfits
from tests.test_docs import load_generator

METHODS = ("GET", "POST", "PUT", "DELETE")
# What stands for a variable part, so that something is there.
SAMPLES = {"file": "main.js", "number": "1", "id": "abc", "label": "job"}
# What nobody answers at a path, in the words of both routers.
NOBODY = (b"404 page not found\n", b"Not Found\n")
# Answered by any method: moved, gone, or etcd's way of adding a member.
ANY_METHOD = {"/ping", "/v1/{rest}", "/mod/dashboard", "/mod/dashboard/", "/dashboard",
              "/v2/members/{id}", "/v2/members/leader"}  # fmt: skip


class Served(Services):
    """What `roost.open` builds, with a port, and with v2 or without it."""

    server: MemberServer

    def __init__(self, *, has_v2: bool) -> None:
        self._has_v2 = has_v2

    def build(self, embedded: Embedded, settings: Settings) -> Rooms:
        settings = replace(settings, enable_v2=self._has_v2)
        self.server = MemberServer(embedded, serving_of(settings))
        return self.server


class Said(NamedTuple):
    """An answer; of one without end what came first."""

    status: int
    kind: str
    body: bytes


class Asking:
    """A member, asked over its port."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def ask(self, method: str, target: str, body: bytes = b"") -> Said:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        kind = "content-type: application/json\r\n" if body else ""
        writer.write(f"{head}{kind}content-length: {len(body)}\r\n\r\n".encode() + body)
        told = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        found = re.search(r"content-length: (\d+)", told)
        said = await reader.readexactly(int(found[1])) if found and method != "HEAD" else b""
        writer.close()
        await writer.wait_closed()
        kinds = re.search(r"content-type: ([^;\r]+)", told)
        return Said(int(told.split(" ")[1]), kinds[1] if kinds else "", said)

    async def described(self) -> dict[str, Any]:  # JSON
        said = await self.ask("GET", "/openapi.json")
        assert (said.status, said.kind) == (200, "application/json")
        found: dict[str, Any] = json.loads(said.body)
        return found


def served(story: Any, *, has_v2: bool = True) -> None:  # Any: a coroutine function
    builder = Served(has_v2=has_v2)

    async def all_of_it() -> None:
        [port] = free_ports(1)
        async with await open_database(None, builder=builder):
            await builder.server.listen([Listener(("127.0.0.1", port))])
            await story(Asking(port))

    asyncio.run(all_of_it())


def operations(described: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Methods, paths and what is said of them; but for older names of others."""
    for path, item in described["paths"].items():
        for method, operation in item.items():
            if method != "$ref":
                yield method.upper(), path, operation


def sampled(path: str) -> str:
    """A path with something in its variable parts."""
    return re.sub(r"\{(\w+)\}", lambda it: SAMPLES.get(it[1], "sample"), path)


def pattern_of(path: str) -> re.Pattern[str]:
    """What a path stands for."""
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))


@pytest.mark.slow
def test_what_is_described_is_answered_and_nothing_else_is() -> None:
    pytest.importorskip("numpy", reason="time series are not installed")

    async def story(member: Asking) -> None:
        described = await member.described()
        rows = [it for it in operations(described) if "x-grpc-method" not in it[2]]
        answered = {(method, path) for method, path, _ in rows}
        for method, path, operation in rows:
            said = await member.ask(method, sampled(path))
            told = f"{method} {path}: {said}"
            assert said.status != 405, told
            assert said.body not in NOBODY, told
            assert said.status < 500 or said.status == 503, told
            if str(said.status) in operation["responses"]:
                _check_form(said, operation["responses"][str(said.status)], described, told)
            else:
                assert said.status >= 400, told
                _check_form(said, operation["responses"]["default"], described, told)
        for path in {path for _, path in answered} - ANY_METHOD:
            for method in METHODS:
                others = [row for row in answered if row[0] == method]
                if any(pattern_of(it).fullmatch(sampled(path)) for _, it in others):
                    continue
                said = await member.ask(method, sampled(path))
                assert said.status in (404, 405), f"{method} {path} is not described: {said}"

    served(story)


def _check_form(said: Said, response: Any, described: Any, told: str) -> None:
    """An answer has a media type that was said, and that one's form."""
    content = response.get("content", {})
    if not said.body:
        return
    assert said.kind in content, told
    schema = content[said.kind].get("schema")
    if schema is not None and said.kind == "application/json":
        assert misfits(json.loads(said.body), schema, described) == [], told


def test_answers_of_values_that_are_there_have_the_forms_that_are_said() -> None:
    async def story(member: Asking) -> None:
        described = await member.described()

        async def look(method: str, path: str, target: str, body: bytes = b"") -> None:
            said = await member.ask(method, target, body)
            operation = described["paths"][path][method.lower()]
            told = f"{method} {target}: {said}"
            assert str(said.status) in operation["responses"], told
            assert said.body, told
            _check_form(said, operation["responses"][str(said.status)], described, told)

        key = "/v2/keys/{key}"
        await look("PUT", key, "/v2/keys/a/b?value=1&ttl=60")
        await look("PUT", key, "/v2/keys/a/b?value=2&noValueOnSuccess=true")
        await look("GET", key, "/v2/keys/a?recursive=true")
        await look("DELETE", key, "/v2/keys/a?recursive=true")
        await look("GET", "/v2/members", "/v2/members")
        await look("GET", "/dashboard/cluster", "/dashboard/cluster")
        await look("GET", "/dashboard/storage", "/dashboard/storage")
        await look("GET", "/dashboard/trees", "/dashboard/trees?limit=3")
        rows = "/dashboard/trees/rows"
        await look("GET", rows, f"{rows}?tree=$members&limit=3")
        await look("POST", rows, rows, b'{"tree": "$members"}')
        await look("GET", "/dashboard/backups", "/dashboard/backups")
        await look("GET", "/dashboard/backups/job", "/dashboard/backups/job")
        level = b'{"module": "roost.peer", "level": ""}'
        await look("POST", "/dashboard/log", "/dashboard/log", level)
        await look("POST", "/counters/increment", "/counters/increment", b'[["a", 2]]')
        await look("GET", "/counters/read", "/counters/read?id=a&raw=true")
        await look("GET", "/counters", "/counters?prefix=a")
        await look("DELETE", "/counters/{name}", "/counters/a")
        await look("POST", "/v3/kv/put", "/v3/kv/put", b'{"key": "YQ==", "value": "Yg=="}')
        await look("POST", "/v3/kv/range", "/v3/kv/range", b'{"key": "YQ=="}')
        await look("POST", "/v3/maintenance/status", "/v3/maintenance/status", b"{}")
        await look("POST", "/v3/cluster/member/list", "/v3/cluster/member/list", b"{}")
        wrong = await member.ask("POST", "/v3/kv/put", b"{}")
        refusal = described["paths"]["/v3/kv/put"]["post"]["responses"]["default"]
        assert wrong.status == 400
        _check_form(wrong, refusal, described, str(wrong))

    served(story)


def test_all_routes_are_described_and_those_that_are_off_are_not() -> None:
    async def story(member: Asking) -> None:
        described = await member.described()
        calls = {it for it in described["paths"] if it.startswith("/v3")}
        assert calls == {f"/{version}/{path}" for version in VERSIONS for path in JSON_PATHS}
        assert not [it for it in described["paths"] if it.startswith(("/v2/", "/mod/v2/"))]
        assert (await member.ask("GET", "/v2/keys/a")).status == 404
        methods = described["x-grpc-services"]
        assert methods["etcdserverpb.KV"] == ["Compact", "DeleteRange", "Put", "Range", "Txn"]
        assert "roost.Counters" in methods

    served(story, has_v2=False)


def test_every_page_of_a_data_model_has_rows() -> None:
    """What Starlette is given leads somewhere that is described."""
    builder = Served(has_v2=True)

    async def story() -> None:
        async with await open_database(None, builder=builder):
            pass

    asyncio.run(story())
    attached = builder.server._attached
    rows = [row for it in attached for row in it.endpoints]
    pages = [page.path for it in attached for page in it.pages]
    pages += [page.path for it in attached for page in it.streams]
    pages += [page.prefix.decode() + "{rest:path}" for it in attached for page in it.direct]
    for page in pages:
        begin = page.removesuffix("{rest:path}")
        is_deep = begin != page
        assert any(it.path.startswith(begin) if is_deep else it.path == page for it in rows), page
    assert len({it.key for it in rows}) == len(rows), "each stands there once"


def test_the_reference_has_what_a_member_describes() -> None:
    async def story(member: Asking) -> None:
        described = await member.described()
        held = json.loads(json.dumps(load_generator().all_endpoints()))
        for part in ("paths", "tags", "components", "x-grpc-services"):
            assert described[part] == held[part], part

    served(story)


def test_people_are_told_the_same_as_lines() -> None:
    async def story(member: Asking) -> None:
        described = await member.described()
        said = await member.ask("GET", "/endpoints")
        assert (said.status, said.kind) == (200, "text/plain")
        lines = said.body.decode().splitlines()
        told = {tuple(it.split()[:2]) for it in lines if it.startswith("  ")}
        assert {(method, path) for method, path, _ in operations(described)} <= told
        assert "  etcdserverpb.KV: Compact, DeleteRange, Put, Range, Txn" in lines

    served(story)


def test_every_call_of_the_gateway_has_its_sentence() -> None:
    assert set(JSON_TEXTS) == set(JSON_PATHS.values())
    assert set(JSON_TEXTS) == {name for it in MODELS for name in it.json_paths.values()}


@pytest.mark.slow
def test_parameters_of_time_series_are_those_that_are_described() -> None:
    """Whoever says one that is not known is told those that are."""
    pytest.importorskip("numpy", reason="time series are not installed")

    async def story(member: Asking) -> None:
        described, seen = await member.described(), 0
        for method, path, operation in operations(described):
            if operation["tags"][0] not in ("Time series", "InfluxDB's line protocol"):
                continue
            said = await member.ask(method, f"{sampled(path)}?start=0&end=1&zzz=1")
            found = re.search(r"known: (?:end, start, )?zzz; known: ([\w, ]+)", said.body.decode())
            if found is None:
                continue
            seen += 1
            named = {it["name"] for it in operation.get("parameters", ()) if it["in"] == "query"}
            assert set(found[1].split(", ")) == named, f"{method} {path}"
        assert seen >= 6

    served(story)


def test_parameters_of_counters_are_known_to_them() -> None:
    samples = {"raw": "true", "force": "true", "missing": "null", "limit": "1"}

    async def story(member: Asking) -> None:
        described = await member.described()
        for method, path, operation in operations(described):
            if operation["tags"] != ["Counters"] or method != "GET":
                continue
            named = [it["name"] for it in operation.get("parameters", ()) if it["in"] == "query"]
            asked = "&".join(f"{it}={samples.get(it, 'a')}" for it in named)
            assert (await member.ask(method, f"{path}?{asked}")).status == 200, path
            if named:
                wrong = await member.ask(method, f"{path}?zzz=1")
                assert wrong.status == 400, path

    served(story)
