"""The HTTP/1.1 side of the port: health, version and metrics, as one ASGI application.

`/health`, `/version` and `/metrics` answer as etcd's do (etcd: server/etcdserver/api/etcdhttp).
"""

from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from roost.errors import RoostError

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class StatusSource(Protocol):
    """What the pages show."""

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Metric name -> (help, value)."""

    def counters(self) -> dict[str, tuple[str, float]]:
        """Metric name without `_total` -> (help, value)."""

    async def check_health(self, *, is_serializable: bool) -> None:
        """Return when this member serves.

        Raises:
            RoostError: it does not.

        """


class _StatusCollector(Collector):
    def __init__(self, source: StatusSource) -> None:
        self._source = source

    def collect(self) -> list[Metric]:
        rows: list[Metric] = [
            GaugeMetricFamily(name, text, value=value)
            for name, (text, value) in self._source.gauges().items()
        ]
        rows += [
            CounterMetricFamily(name, text, value=value)
            for name, (text, value) in self._source.counters().items()
        ]
        return rows


def make_app(source: StatusSource, *, server_version: str) -> Starlette:
    """Build the application over what `source` says."""
    registry = CollectorRegistry()
    registry.register(_StatusCollector(source))

    async def health(request: Request) -> Response:
        is_serializable = request.query_params.get("serializable", "") == "true"
        try:
            await source.check_health(is_serializable=is_serializable)
        except RoostError as error:
            return JSONResponse({"health": "false", "reason": str(error)}, status_code=503)
        return JSONResponse({"health": "true", "reason": ""})

    async def version(_request: Request) -> Response:
        cluster = ".".join([*server_version.split(".")[:2], "0"])
        return JSONResponse({"etcdserver": server_version, "etcdcluster": cluster})

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=METRICS_TYPE)

    return Starlette(
        routes=[
            Route("/health", health, methods=["GET"]),
            Route("/version", version, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ]
    )
