"""PySyncObj's example `kvstorage_http`, with Roost: a tree behind a plain web server.

    python examples/from_pysyncobj/kvstorage_http.py 8001 m1.data m1 m1=127.0.0.1:7001 m2=... m3=...
    (m2 and m3 the same, with their names, data and ports)

    curl -d red http://127.0.0.1:8001/color        ->  201
    curl http://127.0.0.1:8002/color               ->  red

201 means: on the disks of a majority.  503 means that nothing happened, 504 that it may have;
to put the same once more does no harm.  `fastapi_app.py`, beside this directory, is for asyncio.
"""

import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import roost


class Handler(BaseHTTPRequestHandler):
    """GET reads a path's value, POST sets it."""

    db: roost.Database

    def do_GET(self) -> None:
        """Answer what the tree has, as all members acknowledged it."""
        try:
            value = self.db.tree("pages", key=str).get(self.path)
        except roost.NotExecuted as error:
            self.answer(HTTPStatus.SERVICE_UNAVAILABLE, str(error).encode())
        else:
            self.answer(HTTPStatus.OK if value is not None else HTTPStatus.NOT_FOUND, value or b"")

    def do_POST(self) -> None:
        """Set, and answer when it is durable."""
        value = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self.db.tree("pages", key=str)[self.path] = value
        except roost.Refused as error:
            self.answer(HTTPStatus.BAD_REQUEST, str(error).encode())
        except roost.NotExecuted as error:
            self.answer(HTTPStatus.SERVICE_UNAVAILABLE, str(error).encode())
        except roost.OutcomeUnknown as error:
            self.answer(HTTPStatus.GATEWAY_TIMEOUT, str(error).encode())
        else:
            self.answer(HTTPStatus.CREATED)

    def answer(self, status: HTTPStatus, body: bytes = b"") -> None:
        """Send all of an answer."""
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(port: str, path: str, name: str, *members: str) -> None:
    """Be a member, and serve."""
    with roost.open(path, name=name, members=dict(it.split("=", 1) for it in members)) as db:
        Handler.db = db
        ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
