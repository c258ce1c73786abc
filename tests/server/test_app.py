"""The pages of HTTP/1.1: who serves is told so; other origins read what `cors` lets them."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from roost.errors import NoLeader
from roost.figures import Family, Sample
from roost.server.app import LIVE, READY, make_app
from roost.server.origins import Hosts, Origins


class Source:
    """A member of which all that counts is said."""

    def __init__(self, *alarms: str, leads: bool = True, reads: bool = True) -> None:
        self.raised = alarms
        self.leads, self.reads = leads, reads
        self.noted: list[bool] = []

    def collect(self) -> list[Family]:
        return [Family("roost_test", "gauge", "A figure.", [Sample(1.0)])]

    def alarms(self) -> tuple[str, ...]:
        return self.raised

    def note_health(self, *, is_good: bool) -> None:
        self.noted.append(is_good)

    async def check_health(self, *, is_serializable: bool) -> None:
        if not (self.reads if is_serializable else self.leads):
            raise NoLeader("nobody leads")


@dataclass(slots=True)
class Answer:
    """What was answered."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    source: Source,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    scheme: str = "http",
    **options: Any,
) -> Answer:
    """One request, without a socket."""
    app = make_app(source, server_version="3.5.1", **options)
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [
            (name.encode(), value.encode())
            for name, value in {"host": "here:2379", **(headers or {})}.items()
        ],
    }
    answer = Answer()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {a.decode(): b.decode() for a, b in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    async def story() -> None:
        await app(scope, receive, send)

    asyncio.run(story())
    return answer


@pytest.mark.parametrize(
    ("source", "query", "status", "reason"),
    [
        (Source(), "", 200, ""),
        (Source(leads=False), "", 503, "nobody leads"),
        (Source(leads=False), "?serializable=true", 200, ""),
        (Source(leads=False), "?serializable=false", 503, "nobody leads"),
        (Source(reads=False), "?serializable=true", 503, "nobody leads"),
        (Source("NOSPACE"), "", 503, "ALARM NOSPACE"),
        (Source("NOSPACE"), "?exclude=NOSPACE", 200, ""),
        (Source("NOSPACE", "CORRUPT"), "?exclude=NOSPACE", 503, "ALARM CORRUPT"),
        (Source("NOSPACE", "CORRUPT"), "?exclude=NOSPACE&exclude=CORRUPT", 200, ""),
        (Source("NOSPACE", leads=False), "?exclude=NOSPACE", 503, "nobody leads"),
    ],
)
def test_health_says_whether_this_member_serves_and_why_not(
    source: Source, query: str, status: int, reason: str
) -> None:
    """etcd: etcdhttp/health.go; the texts are etcd's, since who watches a member reads them."""
    source.noted.clear()
    answer = ask(source, f"/health{query}")
    assert answer.status == status
    assert answer.json == {"health": "true" if status == 200 else "false", "reason": reason}
    assert source.noted == [status == 200]


def test_each_check_has_a_page_and_all_have_one() -> None:
    broken = Source("CORRUPT", leads=False)
    assert ask(broken, "/livez").body == b"ok\n"
    lines = ask(broken, "/readyz").body.decode().splitlines()
    assert lines == [
        "[-]data_corruption failed: alarm activated: CORRUPT",
        "[+]serializable_read ok",
        "[-]linearizable_read failed: nobody leads",
    ]
    for names, page in ((LIVE, "livez"), (READY, "readyz")):
        for name in names:
            assert ask(Source(), f"/{page}/{name}").body == b"ok\n"
    assert ask(broken, "/readyz/linearizable_read").status == 503
    assert ask(broken, "/readyz/serializable_read").status == 200
    assert ask(broken, "/livez/linearizable_read").status == 404, "it is none of these"


def test_a_check_can_be_left_out_and_all_be_named() -> None:
    broken = Source("CORRUPT")
    answer = ask(broken, "/readyz?exclude=data_corruption&verbose")
    assert answer.status == 200
    assert answer.body == b"[+]serializable_read ok\n[+]linearizable_read ok\nok\n"
    assert ask(broken, "/readyz?verbose").status == 503


def test_versions_are_etcds() -> None:
    assert ask(Source(), "/version").json == {"etcdserver": "3.5.1", "etcdcluster": "3.5.0"}


def test_figures_are_shown_unless_a_port_of_their_own_shows_them() -> None:
    shown = ask(Source(), "/metrics")
    assert shown.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"roost_test 1" in shown.body
    assert ask(Source(), "/debug/vars").json
    assert ask(Source(), "/metrics", has_metrics=False).status == 404


@pytest.mark.parametrize(
    ("path", "method", "status", "body"),
    [
        ("/nothing", "GET", 404, b"404 page not found\n"),
        ("/v3/nothing", "POST", 404, b"Not Found\n"),
        ("/health", "POST", 405, b"Method Not Allowed\n"),
    ],
)
def test_what_is_not_here_is_said_in_etcds_words(
    path: str, method: str, status: int, body: bytes
) -> None:
    answer = ask(Source(), path, method=method)
    assert (answer.status, answer.body) == (status, body)
    # RFC 9110, 15.5.6: who refuses a method says which there are.
    assert answer.headers.get("allow") == ("GET, HEAD" if status == 405 else None)


@pytest.mark.parametrize(
    ("cors", "origin", "allowed"),
    [
        (("*",), "http://a", "*"),
        (("*",), "", "*"),
        (("http://a",), "http://a", "http://a"),
        (("http://a",), "http://b", None),
        (("http://a",), "", None),
        ((), "http://a", None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_page_of_another_origin_reads_what_it_is_let(
    cors: tuple[str, ...], origin: str, allowed: str | None, method: str
) -> None:
    """etcd: etcdhttp/base.go."""
    headers = {"origin": origin} if origin else {}
    answer = ask(Source(), "/version", method=method, headers=headers, origins=Origins(cors))
    assert answer.status == 200
    assert answer.headers.get("access-control-allow-origin") == allowed
    assert ("access-control-allow-methods" in answer.headers) is (allowed is not None)
    assert (answer.body == b"") is (method == "OPTIONS")
    is_another_for_others = bool(cors) and "*" not in cors
    assert answer.headers.get("vary") == ("origin" if is_another_for_others else None)


@pytest.mark.parametrize(
    ("host", "scheme", "status"),
    [
        ("good:2379", "http", 200),
        ("good", "http", 200),
        ("[::1]:2379", "http", 200),
        ("evil:2379", "http", 421),
        ("evil.good", "http", 421),
        ("", "http", 421),
        ("evil", "https", 200),  # a certificate says whom a client means
    ],
)
def test_a_name_that_was_bound_anew_does_not_reach_us(host: str, scheme: str, status: int) -> None:
    """CVE-2018-1099: a page had its own name lead to 127.0.0.1."""
    hosts = Hosts(("good", "::1"))
    answer = ask(Source(), "/version", headers={"host": host}, scheme=scheme, hosts=hosts)
    assert answer.status == status
    if status == 421:
        assert b"--host-whitelist" in answer.body


class Said:
    """A page that says its name, whatever it is asked."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(self._name)(scope, receive, send)


def test_pages_with_a_path_of_their_own_are_found_as_by_looking_through_all() -> None:
    pages = [
        Route("/deep/{rest:path}", Said("deep")),
        Route("/deep/known", Said("hidden")),
        Route("/plain", Said("plain")),
        Route("/plain", Said("second")),
        Route("/health", Said("not theirs")),
    ]
    seen = {
        path: ask(Source(), path, pages=pages, method=method).body
        for path, method in (
            ("/deep/known", "GET"), ("/plain", "PUT"), ("/plain?a=b", "GET"), ("/health", "GET"),
        )
    }  # fmt: skip
    health = b'{"health":"true","reason":""}'
    assert seen == {
        "/deep/known": b"deep", "/plain": b"plain", "/plain?a=b": b"plain", "/health": health,
    }  # fmt: skip
    assert ask(Source(), "/plain/", pages=pages).status == 307, "as Starlette has it"
