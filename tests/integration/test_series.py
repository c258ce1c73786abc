"""Time series over real ports and members: what was told durable is there, whoever is killed."""

import gzip
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from struct import pack
from typing import Any
from urllib.parse import quote

import pytest

from roost.client import Client, Permission
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
BEGIN = 1_700_000_000


def ask(
    endpoint: str, method: str, target: str, body: bytes = b"", **headers: Any
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(endpoint, timeout=PATIENCE_S)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body, named)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def rows(endpoint: str, target: str) -> dict[str, list[Any]]:
    status, body = ask(endpoint, "GET", f"/series/query?{target}")
    assert status == 200, body
    return {it["name"]: it["rows"] for it in json.loads(body)["series"]}


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, 3) as started:
        started.leader()
        yield started


class Stream:
    """A streamed request of points; what is answered is read line by line."""

    def __init__(self, endpoint: str, query: str = "") -> None:
        host, port = endpoint.split(":")
        self._socket = socket.create_connection((host, int(port)), PATIENCE_S)
        self._answers = self._socket.makefile("rb")
        self._is_begun = False
        try:
            self._begin(endpoint, query)
        except OSError:
            self.close()
            raise

    def _begin(self, endpoint: str, query: str) -> None:
        self._socket.sendall(
            f"POST /series/append{query} HTTP/1.1\r\nhost: {endpoint}\r\n"
            "content-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )

    def send(self, data: bytes) -> None:
        self._socket.sendall(b"%x\r\n%s\r\n" % (len(data), data) if data else b"0\r\n\r\n")

    def answer(self) -> dict[str, Any]:
        """The next line that is answered; an error when the member has gone."""
        if not self._is_begun:
            while self._read() != b"\r\n":
                continue
            self._is_begun = True
        size = int(self._read(), 16)
        line = self._answers.read(size)
        self._read()
        found: dict[str, Any] = json.loads(line)
        return found

    def _read(self) -> bytes:
        line = self._answers.readline()
        if not line:
            raise ConnectionError("the member has gone")
        return line

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


def test_any_member_takes_points_and_all_of_them_answer_alike(three: Cluster) -> None:
    one, two, _ = three.endpoints
    body = b"\n".join(b"cpu,host=a usage=%d %d" % (it, BEGIN + it) for it in range(3000))
    assert ask(one, "POST", "/api/v2/write?bucket=b&org=o&precision=s", body) == (204, b"")
    packed = gzip.compress(b"cpu,host=b usage=7i,up=t %d\n" % BEGIN)
    status, _ = ask(two, "POST", "/write?db=x&precision=s", packed, content_encoding="gzip")
    assert status == 204
    for endpoint in three.endpoints:
        found = rows(endpoint, f"name=cpu.usage&start={BEGIN}&end=now&window=1y&agg=count,max"
                     "&precision=s")  # fmt: skip
        assert {name: row[0][1:] for name, row in found.items()} == {
            "cpu.usage{host=a}": [3000, 2999.0], "cpu.usage{host=b}": [1, 7.0]
        }  # fmt: skip
    assert rows(one, "name=cpu.up")["cpu.up{host=b}"] == [["2023-11-14T22:13:20Z", 1.0]]
    status, body = ask(two, "POST", "/api/v2/write", b"ok f=1 1\nnot a line\nok f=2 2")
    said = json.loads(body)
    assert (status, said["code"], said["line"], said["written"]) == (400, "invalid", 2, 2)
    status, body = ask(one, "DELETE", "/series/" + quote("cpu.usage{host=b}", safe=""))
    assert status == 200, body
    for endpoint in three.endpoints:
        assert set(rows(endpoint, "name=cpu.usage")) == {"cpu.usage{host=a}"}


def test_a_streamed_request_is_answered_while_it_goes_on(three: Cluster) -> None:
    stream = Stream(three.endpoints[1])
    stream.send(b"a %d 1\na %d 2\n#flush 1\n" % (BEGIN, BEGIN + 1))
    assert stream.answer()["flushed"] == 1
    assert len(rows(three.endpoints[2], "name=a")["a"]) == 2
    stream.send(b"a %d 3\n#flush 2\nwrong\n" % (BEGIN + 2))
    assert stream.answer()["flushed"] == 2
    said = stream.answer()
    assert (said["error"], said["line"], said["points"]) == ("bad_points", 6, 3)
    stream.close()
    columns = pack("<BI", 1, 5) + b'["b"]' + pack("<BIIIqd", 2, 24, 1, 0, 5, 2.5)
    status, body = ask(three.endpoints[0], "POST", "/series/append", columns,
                       content_type="application/vnd.roost.points")  # fmt: skip
    assert (status, json.loads(body)["points"]) == (200, 1)
    assert rows(three.endpoints[0], "name=b&precision=ns")["b"] == [[5, 2.5]]


def test_what_was_flushed_is_there_after_kills_of_leaders(three: Cluster) -> None:
    """A writer at each member; the leader is killed, and comes back; then all are."""
    stop = threading.Event()
    flushed = [0, 0, 0]

    def write(position: int) -> None:
        while not stop.is_set():
            try:
                with closing(Stream(three.endpoints[position])) as stream:
                    write_on(stream, position)
            except (OSError, ValueError):
                if stop.wait(0.05):  # its member is down
                    return

    def write_on(stream: Stream, position: int) -> None:
        number = flushed[position]
        while not stop.is_set():
            lines = [b"w%d %d %d\n" % (position, (number + it) * 10**9, number + it)
                     for it in range(20)]  # fmt: skip
            stream.send(b"".join(lines) + b"#flush %d\n" % (number + 20))
            if stream.answer().get("flushed") != number + 20:
                break  # it may be there or not: the same points are sent again
            number += 20
            flushed[position] = number

    writers = [threading.Thread(target=write, args=(it,)) for it in range(3)]
    for it in writers:
        it.start()
    try:
        wait_until(lambda: min(flushed) >= 200)
        leader = three.leader()
        three.kill(leader)
        before = list(flushed)
        others = [it for it in range(3) if it != leader]
        wait_until(lambda: all(flushed[it] > before[it] + 100 for it in others))
        three.start(leader)
        wait_until(lambda: flushed[leader] > before[leader] + 100)
        three.kill(0, 1, 2)
    finally:
        stop.set()
        for it in writers:
            it.join()
    for position in range(3):
        three.start(position)
    three.leader()
    for endpoint in three.endpoints:
        for position, count in enumerate(flushed):
            found = rows(endpoint, f"name=w{position}&precision=s")[f"w{position}"]
            assert [row[0] for row in found[:count]] == list(range(count))
            assert all(row[0] == row[1] for row in found)


def test_who_may_write_points_has_the_right_to_write_below_series(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        (endpoint,) = cluster.endpoints
        with Client(endpoint) as client:
            for name in ("root", "reader", "writer"):
                client.users.add_user(name, "secret")
                client.users.add_role(name)
                client.users.grant_role(name, name)
            for name, kind in (("reader", "read"), ("writer", "readwrite")):
                right = Permission(kind, b"series/", b"series0")
                client.users.grant_permission(name, right)
            client.users.enable()

        def token(name: str) -> str:
            form = json.dumps({"name": name, "password": "secret"}).encode()
            status, body = ask(endpoint, "POST", "/v3/auth/authenticate", form)
            assert status == 200, body
            found: str = json.loads(body)["token"]
            return found

        def statuses(**headers: Any) -> list[int]:
            return [
                ask(endpoint, "POST", "/write", b"m f=1 1", **headers)[0],
                ask(endpoint, "GET", "/series/query?name=m.f", **headers)[0],
            ]

        assert statuses() == [401, 401]
        assert statuses(authorization=token("reader")) == [403, 200]
        assert statuses(authorization=f"Token {token('writer')}") == [204, 200]


def test_a_learner_answers_with_all_that_was_told_durable(three: Cluster) -> None:
    first, newcomer = three.endpoints[0], three.grow()
    body = b"\n".join(b"cpu usage=%d %d" % (it, BEGIN + it) for it in range(2000))
    assert ask(first, "POST", "/write?precision=s", body) == (204, b"")
    with Client([first]) as client:
        client.add_member([three.peer_url(newcomer)], is_learner=True)
    three.start(newcomer, "--initial-cluster-state=existing")
    wait_until(lambda: three.status_now(newcomer) is not None)
    assert three.status(newcomer).isLearner
    replica = three.endpoints[newcomer]
    target = f"name=cpu.usage&start={BEGIN}&end={BEGIN + 4000}&precision=s&window=1y&agg=count,max"

    def has_caught_up() -> bool:
        status, said = ask(replica, "GET", f"/series/query?{target}")
        return status == 200 and b"1999" in said

    wait_until(has_caught_up)
    for number in range(2000, 2020):
        line = b"cpu usage=%d %d" % (number, BEGIN + number)
        assert ask(first, "POST", "/write?precision=s", line) == (204, b"")
        ((row,),) = rows(replica, target).values()
        assert row[1:] == [number + 1, float(number)], "no read is behind what was told durable"
    assert ask(replica, "POST", "/write?precision=s", b"cpu usage=-1 %d" % BEGIN) == (204, b"")
    assert rows(first, f"name=cpu.usage&end={BEGIN + 1}&precision=s")["cpu.usage"] == [[BEGIN, -1]]
