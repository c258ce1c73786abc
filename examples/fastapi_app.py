"""A web application that keeps its own data, the same on three machines: FastAPI on Roost.

    python examples/fastapi_app.py 8001 m1 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003
    python examples/fastapi_app.py 8002 m2 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003
    python examples/fastapi_app.py 8003 m3 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=127.0.0.1:7003

    curl -X POST 'http://127.0.0.1:8001/counters/visits?by=2'    ->  {"value": 2}
    curl 'http://127.0.0.1:8003/counters/visits'                 ->  {"value": 2}

Each process is a member of the database and a web server, on one event loop; data is in NAME.data
where it is started.  Any process takes any request, and two of three are enough.  A POST with an
Idempotency-Key counts once, however often it is sent.
"""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse

import roost
import roost.aio

counters = roost.Operations("counters")


@counters.operation
def add(txn: roost.Transaction, name: str, by: int) -> int:
    """Count; the new value."""
    held = txn.tree("counters", key=str, value=int)
    value = held.get(name, 0) + by
    if value < 0:
        raise roost.Refused(f"{name} would be {value}", code="negative")
    held[name] = value
    return value


def application(name: str, members: Mapping[str, str]) -> FastAPI:
    """The application whose database is the member `name` of `members`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        opening = roost.aio.open(f"{name}.data", name=name, members=members, operations=[counters])
        async with opening as app.state.db:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/counters/{name}")
    async def read(request: Request, name: str) -> dict[str, int]:
        tree = request.app.state.db.tree("counters", key=str, value=int)
        return {"value": await tree.get(name, 0)}

    @app.post("/counters/{name}")
    async def count(
        request: Request,
        name: str,
        by: int = 1,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> dict[str, int]:
        return {"value": await request.app.state.db.run(add, name, by, once=idempotency_key)}

    @app.exception_handler(roost.Refused)
    async def refused(_request: Request, error: roost.Refused) -> JSONResponse:
        return JSONResponse({"error": str(error), "code": error.code}, 409)

    @app.exception_handler(roost.BadArgument)
    async def bad(_request: Request, error: roost.BadArgument) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 400)

    @app.exception_handler(roost.NotExecuted)
    async def not_executed(_request: Request, error: roost.NotExecuted) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 503, {"Retry-After": "1"})

    @app.exception_handler(roost.OutcomeUnknown)
    async def unknown(_request: Request, error: roost.OutcomeUnknown) -> JSONResponse:
        text = f"{error}; it may have happened: ask again with the same Idempotency-Key"
        return JSONResponse({"error": text}, 504)

    return app


def main(port: str, name: str, *members: str) -> None:
    """Serve one member."""
    app = application(name, dict(it.split("=", 1) for it in members))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
