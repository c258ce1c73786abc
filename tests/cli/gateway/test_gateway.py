"""The gateway as a process: clients know one address, and members come and go behind it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from roost.cli.discovery.asking import CannotDiscover
from roost.cli.discovery.srv import Record
from roost.cli.gateway.gateway import found_by_domain, named, refuse_self
from roost.cli.gateway.targets import Target
from roost.cli.main import main
from roost.client import Client, OutcomeUnknown, Unreachable
from roost.settings import BadSetting
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports
from roost.tls import TlsFiles

START = [sys.executable, "-m", "roost.cli", "gateway", "start"]


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, 3) as cluster:
        cluster.leader()
        yield cluster


@pytest.mark.slow
@pytest.mark.cluster
def test_clients_are_served_whichever_members_there_are(three: Cluster) -> None:
    [port] = free_ports(1)
    # It is told of one alone, and follows the members.
    command = [
        *START,
        f"--listen-addr=127.0.0.1:{port}",
        f"--endpoints={three.endpoints[0]}",
        "--refresh-interval=100ms",
        "--retry-delay=1s",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        try:
            assert it.stdout is not None
            assert it.stderr is not None
            assert f"127.0.0.1:{port}" in it.stdout.readline()
            wait_until(lambda: is_served(port))
            # The end of what it says would be an empty line, forever.
            wait_until(lambda: "members are now" in next(it.stderr or iter(())))
            three.kill(0)
            wait_until(lambda: is_served(port))
            it.terminate()
            _, told = it.communicate(timeout=PATIENCE_S)
        finally:
            it.kill()
    assert it.returncode == 0, told


def is_served(port: int) -> bool:
    """Whether a put and a get are answered; a leader that was just killed answers neither."""
    try:
        with Client(f"127.0.0.1:{port}", timeout_s=5.0) as client:
            client.put("a", "b")
            return client.get("a") is not None
    except (Unreachable, OutcomeUnknown):
        return False


def test_endpoints_are_hosts_with_ports_or_urls() -> None:
    found = named("h1, http://h2:1,https://h3:2,[::1]:3,h1:2379", has_files=False)
    assert found.is_secure
    assert found.targets == (Target("h1", 2379), Target("h2", 1), Target("h3", 2), Target("::1", 3))
    assert not named("h1", has_files=False).is_secure


class Table:
    def __init__(self, **records: Record) -> None:
        self._records = records

    def records(self, name: str) -> list[Record]:
        kind = "ssl" if "ssl" in name else "plain"
        return [self._records[kind]] if kind in self._records else []


def test_records_without_tls_are_taken_when_that_is_said() -> None:
    files = TlsFiles(cert_file="", key_file="")
    plain = Table(plain=Record("h", 1, 2, 3))
    found = found_by_domain(plain, ("", "d"), files, is_insecure=True)
    assert (list(found.targets), found.is_secure) == ([Target("h", 1, 2, 3)], False)
    [nobody] = free_ports(1)
    for table in (plain, Table(ssl=Record("127.0.0.1", nobody))):
        with pytest.raises(CannotDiscover, match="--insecure-discovery"):
            found_by_domain(table, ("", "d"), files, is_insecure=False)


def test_it_hands_nothing_on_to_itself() -> None:
    with pytest.raises(BadSetting, match="itself listens"):
        refuse_self(("127.0.0.1", 1), [Target("localhost", 1)])
    refuse_self(("127.0.0.1", 1), [Target("localhost", 2)])


@pytest.mark.parametrize(
    "options",
    [
        ["--listen-addr="],
        ["--endpoints=,"],
        ["--endpoints=http://h:x"],
        ["--retry-delay=soon"],
        ["--log-level=loud"],
        ["--max-connections=0"],
    ],
)
def test_what_cannot_be_is_refused(options: list[str]) -> None:
    done = CliRunner().invoke(main, ["gateway", "start", *options])
    assert done.exit_code == 2, done.output
