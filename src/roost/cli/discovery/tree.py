"""A place in a tree of etcd's v2, on any cluster that has one (`--discovery`; etcd: v2discovery).

The URL is that of a directory:

    {URL}/_config/size         -> how many first members there are
    {URL}/{member id}          -> name=URL,... of one
    {URL}/_clients/{member id} -> its client URLs; hidden, so etcd's members do not see it
"""

import http.client
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from roost.cli.answers import Answer
from roost.cli.discovery.asking import CannotDiscover, Unanswered, server_of
from roost.cli.discovery.first import Registered, Written, size_of
from roost.etcd.v2.faults import Reason

_ASK_S = 10.0
_KNOWN = frozenset({Reason.KEY_NOT_FOUND, Reason.KEY_EXISTS, Reason.EVENT_CLEARED})
_NO_TREE = "--discovery: whoever answers keeps no tree of etcd's v2"
_GONE = "--discovery: the directory is gone"


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer: the code of an error, or 0, and what stands there."""

    code: int
    index: int
    node: dict[str, object]


class Tree:
    """The directory of one cluster, at whoever keeps it."""

    flag = "discovery"

    def __init__(self, url: str, tls: Callable[[], ssl.SSLContext]) -> None:
        """Nobody is asked; `tls` makes a context, where the URL wants one.

        Raises:
            CannotDiscover: it is no such URL.

        """
        self._server, self._path = server_of(self.flag, url, tls)
        if self._path == "/":
            text = "http://host:port/ and the path of a directory"
            raise CannotDiscover(f"--discovery={url}: {text}")

    def look(self) -> Registered:
        """Who has come."""
        size = self._get("_config/size", {})
        if size.code:
            raise CannotDiscover("--discovery: the directory has no _config/size")
        count = size_of(self.flag, str(size.node.get("value", "")))
        said = self._get("", {"quorum": "true"})
        if said.code:
            raise CannotDiscover(_GONE)
        members = [it for it in _nodes(said.node) if not it.name.startswith("_")]
        return Registered(count, said.index, members)

    def create(self, name: str, value: str) -> str:
        """Write down what must not be there yet; return what stands there now."""
        said = self._put(name, {"prevExist": "false"}, value)
        if said.code == Reason.KEY_EXISTS:
            return str(self._get(name, {"quorum": "true"}).node.get("value", ""))
        if said.code:
            raise CannotDiscover(_GONE)
        return value

    def tell_clients(self, name: str, value: str) -> None:
        """Write down where a member serves clients."""
        if self._put(f"_clients/{name}", {}, value).code:
            raise CannotDiscover(_GONE)

    def client_urls(self) -> list[str]:
        """Where members serve clients, as they have written down."""
        said = self._get("_clients", {"quorum": "true"})
        nodes = [] if said.code else _nodes(said.node)
        return [url for it in nodes for url in it.value.split(",") if url]

    def wait(self, index: int, within_s: float) -> None:
        """Return when something has happened there since a state."""
        query = {"wait": "true", "recursive": "true", "waitIndex": str(index + 1)}
        self._get("", query, within_s)

    def _get(self, name: str, query: dict[str, str], within_s: float = _ASK_S) -> _Said:
        target = self._target(name, query)
        return _read(self._server.ask("GET", target, None, {}, within_s))

    def _put(self, name: str, query: dict[str, str], value: str) -> _Said:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        body = urlencode({"value": value})
        return _read(self._server.ask("PUT", self._target(name, query), body, headers, _ASK_S))

    def _target(self, name: str, query: dict[str, str]) -> str:
        target = self._path + (f"/{quote(name)}" if name else "")
        return target + (f"?{urlencode(query)}" if query else "")


def _read(answer: Answer) -> _Said:
    """What an answer of v2 says.

    Raises:
        CannotDiscover: whoever answers is no service of that kind.
        Unanswered: it cannot say so now.

    """
    try:
        index = int(answer.headers.get("x-etcd-index") or 0)
        said = json.loads(answer.body or b"{}")
        code = int(said.get("errorCode", 0))
        node = dict(said.get("node") or {})
    except (ValueError, AttributeError, TypeError) as error:
        if answer.status >= http.client.INTERNAL_SERVER_ERROR:
            raise Unanswered(f"HTTP {answer.status}") from error
        raise CannotDiscover(_NO_TREE) from error
    if code and code not in _KNOWN:
        raise Unanswered(f"{said.get('message', code)}: {said.get('cause', '')}")
    return _Said(code, index, node)


def _nodes(directory: dict[str, object]) -> list[Written]:
    """What stands in a directory.

    Raises:
        CannotDiscover: something else than v2 answers.

    """
    rows = directory.get("nodes", [])
    try:
        if not isinstance(rows, list):
            raise TypeError("no list")
        return [
            Written(it["key"].rpartition("/")[2], str(it.get("value", "")), int(it["createdIndex"]))
            for it in rows
        ]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CannotDiscover(_NO_TREE) from error
