"""First members meet among keys of v3, as those of etcd 3.6 do."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roost.cli.discovery.asking import CannotDiscover, Json, Members, SaidNo, Unanswered, encoded
from roost.cli.discovery.keys import ROOT, Keys
from roost.client import Client
from roost.settings import Settings
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports
from tests.cli.discovery.starts import (
    SERVE,
    discovered,
    flags_of,
    member_of,
    members_at,
    never,
    rows_at,
)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Cluster(tmp_path_factory.mktemp("m"), 1) as started:
        started.leader()
        yield started.endpoints[0]


def settings_of(tmp_path: Path, number: int, endpoint: str, token: str) -> Settings:
    return Settings(
        name=f"m{number}",
        data_dir=str(tmp_path / f"m{number}"),
        initial_advertise_peer_urls=(f"http://127.0.0.1:{2400 + number}",),
        discovery_token=token,
        discovery_endpoints=(f"http://{endpoint}",),
    )


def write_size(endpoint: str, token: str, size: str) -> None:
    with Client(endpoint) as client:
        client.put(f"{ROOT}/{token}/_config/size", size)


@pytest.mark.slow
@pytest.mark.cluster
def test_those_who_come_first_find_each_other_and_others_are_refused(
    endpoint: str, tmp_path: Path
) -> None:
    write_size(endpoint, "t1", "3")
    asked = [settings_of(tmp_path, number, endpoint, "t1") for number in range(3)]
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda it: discovered(it, never), asked))
    members = {it.initial_cluster for it in found}
    assert len(members) == 1
    texts = members.pop().split(",")
    assert sorted(texts) == [f"m{it}=http://127.0.0.1:{2400 + it}" for it in range(3)]
    assert {it.initial_cluster_token for it in found} == {"t1"}
    with pytest.raises(CannotDiscover, match="--discovery-token: the cluster is full"):
        discovered(settings_of(tmp_path, 4, endpoint, "t1"), never)
    assert discovered(asked[0], never).initial_cluster.split(",") == texts
    # What etcd's members look at is as theirs.
    with Client(endpoint) as client:
        rows = client.range(f"{ROOT}/t1/members", prefix=True)
    assert sorted(it.value.decode() for it in rows) == sorted(texts)


@pytest.mark.slow
@pytest.mark.cluster
def test_who_comes_late_joins_as_a_learner_where_that_is_said(
    endpoint: str, tmp_path: Path
) -> None:
    write_size(endpoint, "t2", "1")
    ports = free_ports(4)
    more = ["--discovery-token=t2", f"--discovery-endpoints=http://{endpoint}"]
    late = [*more, "--discovery-fallback=learner"]
    with member_of(*SERVE, *flags_of(tmp_path, "r1", ports[:2], *more)):
        wait_until(lambda: len(rows_at(ports[0])) == 1)
        flags = flags_of(tmp_path, "r2", ports[2:], *late)
        with member_of(*SERVE, *flags):
            wait_until(lambda: members_at(ports[0]) == ["r1", "r2"])
        rows = {it["name"]: bool(it.get("isLearner")) for it in rows_at(ports[0])}
        assert rows == {"r1": False, "r2": True}
        with member_of(*SERVE, *flags):  # it goes on with what it has
            wait_until(lambda: serves_learner(ports[2]))


def serves_learner(port: int) -> bool:
    """Whether a member answers what those without a vote do."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        body = json.dumps({"key": encoded("a"), "serializable": True})
        connection.request("POST", "/v3/kv/range", body)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Played(Members):
    """A member whose answers a test has written."""

    def __init__(self, *answers: Json | Exception) -> None:
        super().__init__([], within_s=1.0)
        self._answers = list(answers)
        self.asked: list[str] = []

    def call(self, path: str, asked: Json) -> Json:
        del asked
        self.asked.append(path)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


SIZE: Json = {
    "header": {"revision": "7"},
    "kvs": [{"key": encoded("size"), "value": encoded("2"), "create_revision": "3"}],
}


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([{"header": {"revision": "7"}}], r"roost put /_etcd/registry/t/_config/size 3"),
        ([{}], "no member of an etcd"),
        ([{"header": {"revision": "7"}, "kvs": [{"key": 7}]}], "no member of an etcd"),
        ([{**SIZE, "kvs": [{**SIZE["kvs"][0], "value": encoded("0")}]}], "'0'"),  # type: ignore[index]  # a list
        ([SIZE, {"header": {"revision": "7"}, "kvs": 7}], "no member of an etcd"),
        ([SaidNo(7, "permission denied")], "--discovery-token: permission denied"),
    ],
)
def test_what_is_no_place_for_a_cluster_is_refused(
    answers: list[Json | Exception], reason: str
) -> None:
    with pytest.raises(CannotDiscover, match=reason):
        Keys(Played(*answers), "t", "", "").look()


def test_whoever_has_a_password_logs_in_and_again_when_that_has_ended() -> None:
    empty: Json = {"header": {"revision": "7"}}
    members = Played({"token": "a"}, SaidNo(16, "invalid auth token"), {"token": "b"}, SIZE, empty)
    keys = Keys(members, "t", "u", "p")
    with pytest.raises(Unanswered):
        keys.look()
    assert keys.look().size == 2
    login, ask = "/v3/auth/authenticate", "/v3/kv/range"
    assert members.asked == [login, ask, login, ask, ask]


@pytest.mark.parametrize("token", ["", "a/b", ".."])
def test_a_token_is_a_name(token: str) -> None:
    with pytest.raises(CannotDiscover, match="without slashes"):
        Keys(Played(), token, "", "")
