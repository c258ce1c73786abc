"""The HTTP/1.1 side of the port: health, version, metrics and the JSON gateway, as one ASGI app.

`/health`, `/livez`, `/readyz`, `/version`, `/metrics` and `/debug/vars` answer as etcd's do (etcd:
server/etcdserver/api/etcdhttp).  Nothing here names the cluster or its members.

A page of another origin gets nothing unless `cors` names it; a request for a host that `hosts`
does not name is refused, so that no name can be bound anew to reach us (CVE-2018-1099).
"""

import json
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roost.errors import RoostError
from roost.figures import Family
from roost.server.exposition import as_json, as_text, process_families

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# What stands behind /livez and /readyz (etcd: etcdhttp/health.go).
LIVE = ("serializable_read",)
READY = ("data_corruption", "serializable_read", "linearizable_read")
_CORS_METHODS = b"POST, GET, OPTIONS, PUT, DELETE"
_CORS_HEADERS = b"accept, content-type, authorization"


class StatusSource(Protocol):
    """What the pages show."""

    def collect(self) -> Sequence[Family]:
        """All figures as of now."""

    def alarms(self) -> Sequence[str]:
        """Names of the alarms that are raised."""

    def note_health(self, *, is_good: bool) -> None:
        """Somebody was told whether this member serves."""

    async def check_health(self, *, is_serializable: bool) -> None:
        """Return when this member serves.

        Raises:
            RoostError: it does not.

        """


class _Pages:
    """The handlers, over what a source says."""

    def __init__(self, source: StatusSource, server_version: str) -> None:
        self._source = source
        self._server_version = server_version

    async def health(self, request: Request) -> Response:
        """Whether this member serves; `exclude` names alarms that do not matter."""
        reason = await self._what_is_wrong(request)
        self._source.note_health(is_good=not reason)
        if reason:
            return JSONResponse({"health": "false", "reason": reason}, status_code=503)
        return JSONResponse({"health": "true", "reason": ""})

    async def _what_is_wrong(self, request: Request) -> str:
        excluded = request.query_params.getlist("exclude")
        for alarm in self._source.alarms():
            if alarm not in excluded:
                return f"ALARM {alarm}"
        is_serializable = request.query_params.get("serializable", "") == "true"
        try:
            await self._source.check_health(is_serializable=is_serializable)
        except RoostError as error:
            return str(error) or type(error).__name__
        return ""

    async def _check(self, name: str) -> str:
        """What is wrong, as one of the checks of /readyz sees it; empty when nothing is."""
        try:
            match name:
                case "data_corruption":
                    return "alarm activated: CORRUPT" if "CORRUPT" in self._source.alarms() else ""
                case "serializable_read":
                    await self._source.check_health(is_serializable=True)
                case _:
                    await self._source.check_health(is_serializable=False)
        except RoostError as error:
            return str(error)
        return ""

    def checks(self, names: Sequence[str]) -> Callable[[Request], object]:
        """The page of some checks; `exclude` leaves one out, `verbose` names all."""

        async def page(request: Request) -> Response:
            excluded = request.query_params.getlist("exclude")
            lines, is_good = [], True
            for name in names:
                if name in excluded:
                    continue
                wrong = await self._check(name)
                is_good &= not wrong
                lines.append(f"[-]{name} failed: {wrong}" if wrong else f"[+]{name} ok")
            if not is_good:
                return PlainTextResponse("\n".join(lines) + "\n", status_code=503)
            if "verbose" in request.query_params:
                return PlainTextResponse("\n".join([*lines, "ok"]) + "\n")
            return PlainTextResponse("ok\n")

        return page

    async def version(self, _request: Request) -> Response:
        """Versions as etcd names them."""
        cluster = ".".join([*self._server_version.split(".")[:2], "0"])
        return JSONResponse({"etcdserver": self._server_version, "etcdcluster": cluster})

    async def metrics(self, _request: Request) -> Response:
        """All metrics, for Prometheus."""
        families = [*self._source.collect(), *process_families()]
        return Response(as_text(families), media_type=METRICS_TYPE)

    async def variables(self, _request: Request) -> Response:
        """The same figures as one JSON object."""
        figures = as_json(self._source.collect())
        # With it whoever looks after a cluster sees whose clock is off (RFC 9110, 6.6.1).
        said = {"date": formatdate(usegmt=True)}
        body = json.dumps(figures, indent=1) + "\n"
        return Response(body, headers=said, media_type="application/json")


async def _not_found(request: Request, _error: Exception) -> Response:
    is_gateway = request.url.path.startswith("/v3")
    text = "Not Found\n" if is_gateway else "404 page not found\n"
    return PlainTextResponse(text, status_code=404)


async def _not_allowed(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse("Method Not Allowed\n", status_code=405)


class _OtherOrigins:
    """Says which pages of other origins may read our answers (etcd: etcdhttp/base.go)."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = self._headers(dict(scope["headers"]).get(b"origin", b""))
        if scope["method"] == "OPTIONS":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        await self._app(scope, receive, send_more)

    def _headers(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        if "*" in self._origins:
            allowed = b"*"
        elif origin.decode("latin-1") in self._origins:
            allowed = origin
        else:
            return []
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-allow-methods", _CORS_METHODS),
            (b"access-control-allow-headers", _CORS_HEADERS),
        ]


class _KnownHosts:
    """Refuses requests for hosts that nobody has named."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("scheme") != "https":
            fields = dict(scope["headers"])
            host = fields.get(b"host", b"").decode("latin-1").rsplit(":", 1)[0].strip("[]")
            if host not in self._hosts:
                text = f"bad Host header {host!r}: not in --host-whitelist\n"
                await PlainTextResponse(text, status_code=421)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def make_app(
    source: StatusSource,
    *,
    server_version: str,
    gateway: Sequence[BaseRoute] = (),
    cors: Sequence[str] = ("*",),
    hosts: Sequence[str] = ("*",),
    has_metrics: bool = True,
) -> Starlette:
    """Build the application over what `source` says."""
    pages = _Pages(source, server_version)
    table: dict[str, Callable[..., object]] = {
        "/health": pages.health,
        "/version": pages.version,
        "/livez": pages.checks(LIVE),
        "/readyz": pages.checks(READY),
        "/debug/vars": pages.variables,
        **{f"/livez/{name}": pages.checks((name,)) for name in LIVE},
        **{f"/readyz/{name}": pages.checks((name,)) for name in READY},
    }
    if has_metrics:
        table["/metrics"] = pages.metrics
    middleware = []
    if "*" not in hosts:
        middleware.append(Middleware(_KnownHosts, hosts=hosts))
    middleware.append(Middleware(_OtherOrigins, origins=cors))
    routes = [Route(path, page, methods=["GET"]) for path, page in table.items()]
    handlers = {404: _not_found, 405: _not_allowed}
    return Starlette(routes=[*routes, *gateway], middleware=middleware, exception_handlers=handlers)
