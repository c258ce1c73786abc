"""The HTTP/1.1 side of the port: health, version, metrics and the JSON gateway, as one ASGI app.

`/health`, `/livez`, `/readyz`, `/version`, `/metrics` and `/debug/vars` answer as etcd's do (etcd:
server/etcdserver/api/etcdhttp).  Nothing here names the cluster or its members.

Who may read the answers, and by which names we may be asked, is decided before (`origins`).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from email.utils import formatdate
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roost import endpoint
from roost.endpoint import JSON_KIND, TEXT_KIND, Endpoint, Kind, Parameter
from roost.errors import RoostError
from roost.figures import Family
from roost.server.exposition import TextPage, as_json
from roost.server.origins import ANY, Hosts, Origins

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# What stands behind /livez and /readyz (etcd: etcdhttp/health.go).
LIVE = ("serializable_read",)
READY = ("data_corruption", "serializable_read", "linearizable_read")
_NOT_ALLOWED = "Method Not Allowed\n"
_MISDIRECTED = 421


class Health(msgspec.Struct, frozen=True):
    """Whether a member serves, as etcd says it; the words are in quotes."""

    health: str
    reason: str


_NAMES = {"server": "etcdserver", "cluster": "etcdcluster"}


class Versions(msgspec.Struct, frozen=True, rename=_NAMES):
    """Versions of etcd's interface that are answered."""

    server: str
    cluster: str


MEMBER = endpoint.Protocol(
    name="Member",
    text="Whether a member serves, what it is, and its figures; for everybody.",
    page="how-to/operate.md",
)
_EXCLUDE = Parameter("exclude", "Leave out an alarm, or a check.", is_many=True)
_VERBOSE = Parameter("verbose", "Name each check, however it is.")


def own_endpoint(path: str, text: str, *parameters: Parameter, **said: object) -> Endpoint:
    """A page of the port itself; `said` are other fields of the row."""
    row = Endpoint(protocol=MEMBER, method="GET", path=path, text=text, parameters=parameters)
    return msgspec.structs.replace(row, **said)


def _check(path: str, text: str) -> Endpoint:
    return own_endpoint(path, text, _EXCLUDE, _VERBOSE, gives=(TEXT_KIND,), statuses=(200, 503))


HEALTH = own_endpoint(
    *("/health", "Whether this member serves, as etcd says it."),
    *(_EXCLUDE, Parameter("serializable", "Whether alone, not with the others.", Kind.FLAG)),
    answer=Health,
    statuses=(200, 503),
)
VERSION = own_endpoint("/version", "Versions, as etcd names them.", answer=Versions)
LIVEZ = _check("/livez", "Whether this member is alive: a probe.")
READYZ = _check("/readyz", "Whether this member is ready for clients: a probe.")
LIVE_CHECKS = tuple(_check(f"/livez/{it}", "One check of `/livez`.") for it in LIVE)
READY_CHECKS = tuple(_check(f"/readyz/{it}", "One check of `/readyz`.") for it in READY)
METRICS = own_endpoint("/metrics", "All figures, for Prometheus.", gives=(TEXT_KIND,))
VARIABLES = own_endpoint("/debug/vars", "All figures as one JSON object.", gives=(JSON_KIND,))
ENDPOINTS = (
    *(HEALTH, VERSION, LIVEZ, READYZ, *LIVE_CHECKS, *READY_CHECKS, METRICS, VARIABLES),
)  # fmt: skip


class StatusSource(Protocol):
    """What the pages show."""

    def collect(self) -> Iterable[Family]:
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
        self._text_page = TextPage(source.collect)

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
        return Response(await self._text_page.read(), media_type=METRICS_TYPE)

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


async def _not_allowed(_request: Request, error: Exception) -> Response:
    said = error.headers if isinstance(error, HTTPException) else None
    methods = sorted((said or {}).get("Allow", "").split(", "))  # Starlette's are those of a set
    return PlainTextResponse(_NOT_ALLOWED, status_code=405, headers={"allow": ", ".join(methods)})


class _Front:
    """What stands before all pages: hosts, other origins, and those that have a path by name.

    Calls as JSON are looked up here, and so are pages of data models that have one path each,
    because Starlette looks through its routes one after another: 40 µs for a point of a series.
    """

    def __init__(
        self,
        pages: ASGIApp,
        calls: Mapping[str, ASGIApp],
        named: Mapping[str, ASGIApp],
        origins: Origins,
        hosts: Hosts,
    ) -> None:
        self._pages = pages
        self._calls = calls
        self._named = named
        self._origins = origins
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
            return
        origin = host = b""
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = value
            elif name == b"host":
                host = value
        wrong = self._hosts.refusal(host, is_secure=scope.get("scheme") == "https")
        if wrong:
            await PlainTextResponse(wrong, status_code=_MISDIRECTED)(scope, receive, send)
            return
        fields = self._origins.fields(origin)
        if scope["method"] == "OPTIONS":
            await send({"type": "http.response.start", "status": 200, "headers": [*fields]})
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *fields]
            await send(message)

        await self._find(scope)(scope, receive, send_more)

    def _find(self, scope: Scope) -> ASGIApp:
        path = scope["path"]
        call = self._calls.get(path)
        if call is not None:
            return call if scope["method"] == "POST" else _post_only
        return self._named.get(path, self._pages)


async def _post_only(scope: Scope, receive: Receive, send: Send) -> None:
    """A call is a POST, and nothing else."""
    answer = PlainTextResponse(_NOT_ALLOWED, status_code=405, headers={"allow": "POST"})
    await answer(scope, receive, send)


def _named(routes: Sequence[BaseRoute]) -> dict[str, ASGIApp]:
    """Applications that answer one path, whatever the method is, by that path.

    Each of them is the first that matches it, as Starlette looks.
    """
    known = [it for it in routes if isinstance(it, Route)]
    found: dict[str, ASGIApp] = {}
    for route in known:
        first = next(it for it in known if it.path_regex.match(route.path))
        if route is first and route.methods is None and not route.param_convertors:
            found[route.path] = route.app
    return found


def make_app(
    source: StatusSource,
    *,
    server_version: str,
    calls: Mapping[str, ASGIApp] | None = None,
    pages: Sequence[BaseRoute] = (),
    origins: Origins | None = None,
    hosts: Hosts | None = None,
    has_metrics: bool = True,
) -> ASGIApp:
    """Build the application over what `source` says; `pages` are those of data models.

    `calls` are calls as JSON, by their paths.  Without `origins` and `hosts` all are let in.
    """
    own = _Pages(source, server_version)
    table: dict[Endpoint, Callable[..., object]] = {
        HEALTH: own.health,
        VERSION: own.version,
        LIVEZ: own.checks(LIVE),
        READYZ: own.checks(READY),
        VARIABLES: own.variables,
        METRICS: own.metrics,
        **{it: own.checks((name,)) for it, name in zip(LIVE_CHECKS, LIVE, strict=True)},
        **{it: own.checks((name,)) for it, name in zip(READY_CHECKS, READY, strict=True)},
    }
    assert set(table) == set(ENDPOINTS), "each row is answered"
    if not has_metrics:
        del table[METRICS]
    own_routes = [Route(it.path, page, methods=[it.method]) for it, page in table.items()]
    handlers = {404: _not_found, 405: _not_allowed}
    routes: list[BaseRoute] = [*own_routes, *pages]
    starlette = Starlette(routes=routes, exception_handlers=handlers)
    return _Front(
        starlette,
        calls or {},
        _named(routes),
        origins or Origins((ANY,)),
        hosts or Hosts((ANY,)),
    )
