"""Real etcd 3.5.1 with v2, asked over one connection; and what can be compared of an answer."""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from roost.etcd.v2.forms import FORM
from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until
from tests.integration.etcdctl import binary

_DATE = re.compile(rb'"expiration":"[-0-9T:.]+Z"')
_LEFT = re.compile(rb'"ttl":-?[0-9]+')
HEADERS = ("content-type", "allow", "location", "x-etcd-index", "x-content-type-options")


class Said(NamedTuple):
    """What can be compared of an answer."""

    status: int
    headers: dict[str, str]
    body: Any  # of JSON, or bytes


class Asked(NamedTuple):
    """A request."""

    method: str
    target: str
    body: str | None
    headers: tuple[tuple[str, str], ...] = ()


def _ordered(node: dict[str, Any]) -> dict[str, Any]:
    if "nodes" in node:
        node["nodes"] = sorted(
            (_ordered(it) for it in node["nodes"]), key=lambda it: str(it["key"])
        )
    return node


def said(status: int, headers: dict[str, str], body: bytes, *, has_body: bool = True) -> Said:
    kept = {name: headers[name] for name in HEADERS if name in headers}
    # Whether there are any, for what is different in both.
    kept |= {it: "" for it in ("x-raft-index", "x-raft-term", "x-etcd-cluster-id") if it in headers}
    if not has_body:
        return Said(status, kept, b"")
    masked = _LEFT.sub(b'"ttl":1', _DATE.sub(b'"expiration":"D"', body))
    if b'"nodes"' not in masked:
        return Said(status, kept, masked)
    told = json.loads(masked)
    return Said(status, kept, {**told, "node": _ordered(told["node"])})


class Oracle:
    """Real etcd, asked over one connection; or Roost, to be compared with it."""

    def __init__(self, endpoint: str) -> None:
        self._connection = http.client.HTTPConnection(endpoint, timeout=30)

    def ask(self, asked: Asked) -> Said:
        self.send(asked)
        return self.hear(asked)

    def send(self, asked: Asked) -> None:
        """Ask, and let the answer come."""
        headers = dict(asked.headers)
        if asked.body is not None:
            headers.setdefault("Content-Type", FORM.decode())
        self._connection.request(asked.method, asked.target, asked.body, headers)

    def hear(self, asked: Asked) -> Said:
        """The answer to what was asked last."""
        answer = self._connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return said(answer.status, found, answer.read(), has_body=asked.method != "HEAD")

    def index(self) -> int:
        return int(self.ask(Asked("GET", "/v2/keys", None)).headers["x-etcd-index"])

    def watchers(self) -> int:
        """How many watch."""
        told = json.loads(self.ask(Asked("GET", "/v2/stats/store", None)).body)
        found: int = told["watchers"]
        return found

    def clear(self) -> None:
        """Delete what other tests have left there, as far as a list shows it."""
        body = self.ask(Asked("GET", "/v2/keys", None)).body
        for node in body["node"]["nodes"] if isinstance(body, dict) else ():
            self.ask(Asked("DELETE", f"/v2/keys{quote(node['key'])}?recursive=true", None))

    def is_ready(self) -> bool:
        """Whether its members have agreed on a version, which is a change of its tree."""
        self._connection.request("GET", "/version")
        return b'"etcdcluster":"3.5.0"' in self._connection.getresponse().read()

    def close(self) -> None:
        self._connection.close()


@contextmanager
def etcd_member(root: Path) -> Iterator[str]:
    """A member of real etcd that answers v2 there, as long as this is open."""
    command = (binary("etcd"), "--log-level=error", "--enable-v2", "--unsafe-no-fsync")
    with Cluster(root, 1, command=command) as cluster:
        cluster.leader()
        made = Oracle(cluster.endpoints[0])
        wait_until(made.is_ready)
        made.close()
        yield cluster.endpoints[0]


@contextmanager
def real_etcd(root: Path) -> Iterator[Oracle]:
    """The same, asked over one connection."""
    with etcd_member(root) as endpoint:
        made = Oracle(endpoint)
        yield made
        made.close()
