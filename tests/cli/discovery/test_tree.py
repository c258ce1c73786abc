"""Members of a new cluster find each other, Roost's and etcd's, at a Roost cluster."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from roost.cli.discovery.asking import CannotDiscover
from roost.settings import Settings
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports
from tests.cli.discovery.starts import SERVE, discovered, flags_of, member_of, members_at, never
from tests.integration.etcdctl import binary


def settings_of(tmp_path: Path, number: int, url: str, **more: str) -> Settings:
    return Settings(
        name=f"m{number}",
        data_dir=str(tmp_path / f"m{number}"),
        initial_advertise_peer_urls=(f"http://127.0.0.1:{2400 + number}",),
        discovery=url,
        **more,  # type: ignore[arg-type]  # all are texts
    )


def new_url(endpoint: str, size: int) -> str:
    connection = http.client.HTTPConnection(endpoint, timeout=PATIENCE_S)
    connection.request("GET", f"/new?size={size}")
    answer = connection.getresponse()
    url = answer.read().decode()
    connection.close()
    assert answer.status == 200
    return url


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    flags = ("--enable-v2",)
    with Cluster(tmp_path_factory.mktemp("m"), 1, extra_flags=flags) as started:
        started.leader()
        yield started.endpoints[0]


@pytest.mark.slow
@pytest.mark.cluster
def test_those_who_come_first_find_each_other_and_others_are_refused(
    endpoint: str, tmp_path: Path
) -> None:
    url = new_url(endpoint, 3)
    asked = [settings_of(tmp_path, number, url) for number in range(3)]
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda it: discovered(it, never), asked))
    members = {it.initial_cluster for it in found}
    assert len(members) == 1
    texts = members.pop().split(",")
    assert sorted(texts) == [f"m{it}=http://127.0.0.1:{2400 + it}" for it in range(3)]
    assert {it.initial_cluster_token for it in found} == {url}
    with pytest.raises(CannotDiscover, match="full"):
        discovered(settings_of(tmp_path, 4, url), never)
    again = discovered(asked[0], never)
    assert again.initial_cluster.split(",") == texts


@pytest.mark.slow
@pytest.mark.cluster
def test_members_of_etcd_begin_with_what_they_find_here(endpoint: str, tmp_path: Path) -> None:
    url, ports = new_url(endpoint, 2), free_ports(4)
    etcd = [binary("etcd"), "--log-level=error"]
    with (
        member_of(*etcd, *flags_of(tmp_path, "e1", ports[:2], f"--discovery={url}")),
        member_of(*etcd, *flags_of(tmp_path, "e2", ports[2:], f"--discovery={url}")),
    ):
        for port in (ports[0], ports[2]):
            wait_until(lambda port=port: members_at(port) == ["e1", "e2"])  # type: ignore[misc]  # mypy #15459


@pytest.mark.slow
@pytest.mark.cluster
def test_a_member_begins_with_what_it_finds_and_goes_on_with_what_it_has(
    endpoint: str, tmp_path: Path
) -> None:
    url, ports = new_url(endpoint, 1), free_ports(2)
    flags = flags_of(tmp_path, "r1", ports, f"--discovery={url}")
    with member_of(*SERVE, *flags):
        wait_until(lambda: members_at(ports[0]) == ["r1"])
    found = discovered(Settings(name="r1", data_dir=str(tmp_path / "r1"), discovery=url), never)
    assert found.initial_cluster == "", "there is data, so nobody is asked"


class Service:
    """Answers that a test has written, by the name that is asked for."""

    def __init__(self, answers: dict[str, list[tuple[int, bytes]]]) -> None:
        self.asked: list[str] = []
        inner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.partition("?")[0].removeprefix("/t").lstrip("/")
                inner.asked.append(f"{self.command} {name}")
                rows = answers[name]
                status, body = rows.pop(0) if len(rows) > 1 else rows[0]
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.send_header("x-etcd-index", "7")
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET  # noqa: N815 - as it is called

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/t"

    def __enter__(self) -> "Service":
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def node(**fields: object) -> bytes:
    return json.dumps({"action": "get", "node": fields}).encode()


def fault(code: int) -> bytes:
    return json.dumps({"errorCode": code, "message": "no", "cause": "why"}).encode()


def entry(number: int, name: str, index: int) -> dict[str, object]:
    return {"key": f"/t/{number}", "value": f"{name}=http://h:{number}", "createdIndex": index}


SIZE = [(200, node(value="2"))]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"_config/size": [(404, fault(100))]}, "no _config/size"),
        ({"_config/size": [(200, node(value="many"))]}, "'many'"),
        ({"_config/size": [(200, node(value="0"))]}, "'0'"),
        ({"_config/size": [(200, b"<html>")]}, "no tree of etcd's v2"),
        ({"_config/size": [(200, b"[]")]}, "no tree of etcd's v2"),
        ({"_config/size": SIZE, "": [(404, fault(100))]}, "is gone"),
        ({"_config/size": SIZE, "": [(200, node(nodes=[{"key": 1}]))]}, "no tree of etcd's v2"),
        ({"_config/size": SIZE, "": [(200, node(nodes=7))]}, "no tree of etcd's v2"),
        (
            {"_config/size": SIZE, "": [(200, node(nodes=[entry(1, "a", 3), entry(2, "b", 4)]))]},
            "full",
        ),
    ],
)
def test_what_is_no_place_for_a_cluster_is_refused(
    answers: dict[str, list[tuple[int, bytes]]], reason: str, tmp_path: Path
) -> None:
    with Service(answers) as service, pytest.raises(CannotDiscover, match=reason):
        discovered(settings_of(tmp_path, 0, service.url), never)


def test_whoever_does_not_answer_is_asked_again_less_and_less_often(tmp_path: Path) -> None:
    paused: list[float] = []
    bad = (500, fault(300))
    answers = {"_config/size": [bad, bad, (503, b"busy"), (404, fault(100))]}
    with Service(answers) as service, pytest.raises(CannotDiscover):
        discovered(settings_of(tmp_path, 0, service.url), paused.append)
    assert paused == [2.0, 4.0, 8.0]


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("ftp://h/t", {}),
        ("http://h", {}),
        ("http://h:x/t", {}),
        ("http://h/t", {"initial_cluster": "m0=http://h:1"}),
        ("http://h/t", {"initial_cluster_state": "existing"}),
    ],
)
def test_settings_that_contradict_it_are_refused(
    url: str, more: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(CannotDiscover):
        discovered(settings_of(tmp_path, 0, url, **more), never)
