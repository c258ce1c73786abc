"""Page views of a web application: counted by any member, also while the cluster is split.

    python examples/page_views.py 127.0.0.1:12379,127.0.0.1:22379 8000
    curl localhost:8000/any/page localhost:8000/

docs/how-to/counters.md has how to start three members for it.

Each view is handed to `later`, which costs the visitor nothing: it is summed up in this process and
sent a few times a second, each lot as a whole and once.  The page `/` shows what was counted.

What may be lost: views of the last moment, when this process is killed.  What never is: a lot
that a member has acknowledged, whichever are gone or cut off afterwards.  What a visitor reads is
what the member that answers has heard; it may be behind for as long as members cannot talk.
"""

import sys
from collections.abc import Iterable
from typing import Any
from wsgiref.simple_server import make_server

from roost.client import Client, ClientError, Later

PREFIX = "views"
# Of a counter's name; a longer path counts under its beginning.
PATH_CHARACTERS_MAX = 100


def name_of(path: str) -> str:
    """The counter of a page: what cannot be in a name is left out."""
    printable = "".join(it for it in path if it.isprintable() and it.isascii())
    return f"{PREFIX}{printable[:PATH_CHARACTERS_MAX]}"


class Application:
    """A WSGI application whose pages are counted."""

    def __init__(self, client: Client, later: Later) -> None:
        """Read by the client, and count in the background."""
        self._counters = client.counters
        self._later = later

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one visitor."""
        path = environ["PATH_INFO"] or "/"
        try:
            status, text = "200 OK", self._overview() if path == "/" else self._page(path)
        except ClientError as error:
            status, text = "503 Service Unavailable", f"nobody can tell just now: {error}\n"
        start_response(status, [("content-type", "text/plain; charset=utf-8")])
        return [text.encode()]

    def _page(self, path: str) -> str:
        name = name_of(path)
        self._later.increment(name)
        seen = self._counters.read(name)[name] or 0
        return f"{path}: {seen} views before yours, or a moment ago\n"

    def _overview(self) -> str:
        rows = list(self._counters.search(PREFIX))
        return "".join(f"{value:8} {name.removeprefix(PREFIX)}\n" for name, value in rows)


def main() -> None:
    """Serve until interrupted, and say what could not be delivered."""
    endpoints, port = sys.argv[1], int(sys.argv[2])
    with Client(endpoints) as client:
        later = client.counters.later()
        try:
            with make_server("127.0.0.1", port, Application(client, later)) as server:
                server.serve_forever()
        except KeyboardInterrupt:
            print("stopping")
        finally:
            print("not delivered:", later.end())


if __name__ == "__main__":
    main()
