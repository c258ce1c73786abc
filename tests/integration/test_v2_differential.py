"""v2 over real ports, of Roost and of real etcd 3.5.1: the same requests, the same answers.

`tests/etcd/v2/test_differential.py` compares what is answered; here it goes over HTTP/1.1, as
clients send it, and waits are told while they wait.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until
from tests.etcd.v2.oracle import Asked, Oracle, Said, etcd_member
from tests.etcd.v2.test_differential import Generator

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
# With 1000 and 60 there was no difference either.
REQUESTS, WAITS = 300, 12


class Both(NamedTuple):
    """The same request to either."""

    roost: Oracle
    etcd: Oracle

    def ask(self, asked: Asked) -> Said:
        """Have it answered by both, which have to say the same."""
        found, expected = self.roost.ask(asked), self.etcd.ask(asked)
        assert found == expected, asked
        return found


class Ends(NamedTuple):
    """Where they are."""

    roost: str
    etcd: str

    def connected(self) -> Both:
        return Both(Oracle(self.roost), Oracle(self.etcd))


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    for it in ("etcd", "roost"):
        (tmp_path / it).mkdir()
    with ExitStack() as stack:
        etcd = stack.enter_context(etcd_member(tmp_path / "etcd"))
        flags = ("--enable-v2",)
        roost = stack.enter_context(Cluster(tmp_path / "roost", 1, extra_flags=flags))
        roost.leader()
        yield Ends(roost.endpoints[0], etcd)


def level(both: Both) -> None:
    """Have Roost take as many changes as etcd has, and leave nothing of them."""
    behind = both.etcd.index() - both.roost.index()
    assert behind > 1
    for _ in range(behind - 1):
        both.roost.ask(Asked("PUT", "/v2/keys/x", "value=1"))
    both.roost.ask(Asked("DELETE", "/v2/keys/x", None))


def is_time_of_directory(roost: Oracle, asked: Asked) -> bool:
    """Whether it may change a directory's time to live, which etcd 3.5 cannot (2.3 could)."""
    if asked.method != "PUT" or "prevExist" not in (asked.body or "") + asked.target:
        return False
    path = asked.target.partition("?")[0]
    body = roost.ask(Asked("GET", path, None)).body
    return "dir" in body["node"] if isinstance(body, dict) else b'"dir":true' in body


def test_ports_say_the_same(ends: Ends) -> None:
    generator, both = Generator(20_261_127), ends.connected()
    level(both)
    asked_count, statuses = 0, set()
    for _ in range(REQUESTS):
        asked = generator.request()
        if is_time_of_directory(both.roost, asked):
            continue
        found = both.ask(asked)
        asked_count += 1
        statuses.add(found.status)
        generator.index = int(found.headers.get("x-etcd-index", "0")) or generator.index
    assert asked_count > REQUESTS * 9 // 10
    assert statuses >= {200, 201, 400, 404, 412}
    waiting = ends.connected()
    for number in range(WAITS):
        check_wait(both, waiting, number)
    for it in (*both, *waiting):
        it.close()


def check_wait(both: Both, waiting: Both, number: int) -> None:
    """Have a change told to who waits for it, and later to who asks for it by its index."""
    is_recursive = number % 3 == 0
    path = "/v2/keys/w" + ("" if is_recursive else f"/{number % 7}")
    wait = Asked("GET", f"{path}?wait=true&recursive={str(is_recursive).lower()}", None)
    for it in waiting:
        it.send(wait)
    wait_until(lambda: all(it.watchers() == 1 for it in both))
    changed = both.ask(Asked("PUT", f"/v2/keys/w/{number % 7}", f"value={number}"))
    told = [it.hear(wait) for it in waiting]
    assert told[0] == told[1], wait
    assert told[0].body == changed.body
    late = wait._replace(target=f"{wait.target}&waitIndex={changed.headers['x-etcd-index']}")
    assert both.ask(late).body == changed.body
