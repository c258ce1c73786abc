"""v2 over real ports and three members: any member takes a write, and what was told stays told."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


def ask(
    endpoint: str, method: str, target: str, **form: Any
) -> tuple[int, dict[str, str], dict[str, Any]]:
    connection = http.client.HTTPConnection(endpoint, timeout=PATIENCE_S)
    try:
        connection.request(
            method,
            target,
            urlencode(form) if form else None,
            {"Content-Type": "application/x-www-form-urlencoded"} if form else {},
        )
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), json.loads(answer.read() or b"{}")
    finally:
        connection.close()


class Stream:
    """A stream of events, read line by line."""

    def __init__(self, endpoint: str, target: str) -> None:
        self._connection = http.client.HTTPConnection(endpoint, timeout=PATIENCE_S)
        self._connection.request("GET", target)
        self.answer = self._connection.getresponse()
        self.heartbeats = 0

    def index(self) -> int:
        """The index of the next event."""
        while not (line := self.answer.readline().strip()):
            self.heartbeats += 1
        found: int = json.loads(line)["node"]["modifiedIndex"]
        return found

    def close(self) -> None:
        sock = self._connection.sock
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
        self.answer.close()
        self._connection.close()


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    flags = ("--enable-v2", "--v2-heartbeat-interval=100ms")
    with Cluster(tmp_path, 3, extra_flags=flags) as started:
        started.leader()
        wait_until(lambda: all(is_up_to_date(started, it, 0) for it in range(3)))
        yield started


def is_up_to_date(cluster: Cluster, position: int, index: int) -> bool:
    """Whether a member has applied everything, and answers."""
    try:
        status, headers, _ = ask(cluster.endpoints[position], "GET", "/v2/keys?quorum=true")
    except OSError:
        return False
    return status == 200 and int(headers["x-etcd-index"]) == index


def test_any_member_takes_a_write_and_tells_what_was_written(three: Cluster) -> None:
    streams = [
        Stream(it, "/v2/keys/a?wait=true&stream=true&recursive=true") for it in three.endpoints
    ]
    for number, endpoint in enumerate(three.endpoints, 1):
        status, headers, said = ask(endpoint, "PUT", f"/v2/keys/a/{number}", value="x")
        assert status == 201
        assert said["node"]["modifiedIndex"] == number
        assert headers["x-etcd-index"] == str(number)
        status, _, said = ask(endpoint, "GET", "/v2/keys/a?quorum=true")
        assert len(said["node"]["nodes"]) == number
    for stream in streams:
        assert [stream.index() for _ in range(3)] == [1, 2, 3]
        assert not stream.answer.readline().strip(), "an idle stream hears newlines"
        stream.close()


def test_what_was_told_is_told_again_after_restarts_and_by_other_leaders(three: Cluster) -> None:
    for number in range(1, 8):
        ask(three.endpoints[0], "PUT", "/v2/keys/a", value=number)
    ask(three.endpoints[0], "PUT", "/v2/keys/b", value="gone soon", ttl=1)
    three.kill(three.leader())
    endpoint = three.endpoints[three.running[0]]

    def is_gone() -> bool:
        return ask(endpoint, "GET", "/v2/keys/b")[0] == 404

    wait_until(is_gone)
    for position in list(three.running):
        three.kill(position)
    for position in range(3):
        three.start(position)
    wait_until(lambda: all(is_up_to_date(three, it, 9) for it in range(3)))
    for endpoint in three.endpoints:
        stream = Stream(endpoint, "/v2/keys?wait=true&stream=true&recursive=true&waitIndex=3")
        assert [stream.index() for _ in range(7)] == [*range(3, 10)]
        stream.close()
        assert ask(endpoint, "GET", "/v2/keys/a")[2]["node"]["value"] == "7"


def test_members_are_changed_by_any_member(three: Cluster) -> None:
    def change(method: str, target: str, urls: list[str]) -> int:
        connection = http.client.HTTPConnection(three.endpoints[1], timeout=PATIENCE_S)
        body = json.dumps({"peerURLs": urls})
        connection.request(method, target, body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
        connection.close()
        return status

    assert change("POST", "/v2/members", ["http://127.0.0.1:1"]) == 201
    assert change("POST", "/v2/members", ["http://127.0.0.1:1"]) == 409

    def added() -> list[dict[str, Any]]:
        _, _, said = ask(three.endpoints[2], "GET", "/v2/members")
        return [it for it in said["members"] if not it["name"]]

    wait_until(lambda: bool(added()))
    target = f"/v2/members/{added()[0]['id']}"
    assert change("PUT", target, ["http://127.0.0.1:2"]) == 204
    wait_until(lambda: added()[0]["peerURLs"] == ["http://127.0.0.1:2"])
    assert change("DELETE", target, []) == 204
    wait_until(lambda: not added())
    # Gone for good, as soon as it does not vote in the change that removes it either.
    wait_until(lambda: change("DELETE", target, []) == 410)


def test_without_the_setting_there_is_no_v2(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        connection = http.client.HTTPConnection(cluster.endpoints[0], timeout=PATIENCE_S)
        connection.request("GET", "/v2/keys")
        assert connection.getresponse().status == 404
        connection.close()
