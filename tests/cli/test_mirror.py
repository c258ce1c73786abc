"""`roost mirror`: the target becomes what the source is, whatever was missed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from roost.client import Client
from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Cluster]]:
    first, second = (Cluster(tmp_path_factory.mktemp(it), 1) for it in ("source", "target"))
    with first, second:
        first.leader()
        second.leader()
        yield first, second


@contextmanager
def mirroring(
    clusters: tuple[Cluster, Cluster], log: Path, *words: str
) -> Iterator["subprocess.Popen[bytes]"]:
    source, target = clusters
    with log.open("ab") as out:
        mirror = subprocess.Popen(
            [sys.executable, "-m", "roost.cli", "mirror", target.endpoints[0], *words],
            stdout=out, stderr=subprocess.STDOUT,
            env={**os.environ, "ROOST_ENDPOINTS": source.endpoints[0]},
        )  # fmt: skip
    try:
        yield mirror
        assert mirror.poll() is None
    except BaseException as error:
        error.add_note(log.read_text())
        raise
    finally:
        mirror.kill()
        mirror.wait()


def held(client: Client) -> dict[bytes, bytes]:
    return {it.key: it.value for it in client.range(b"\0", b"\0")}


def test_what_was_forgotten_meanwhile_is_found_by_comparing(
    clusters: tuple[Cluster, Cluster], tmp_path: Path
) -> None:
    source, target = clusters
    log = tmp_path / "log"
    with (
        Client(source.endpoints) as here,
        Client(target.endpoints) as there,
        ExitStack() as stack,
    ):
        there.put(b"theirs", b"0")
        for number in range(250):
            here.put(b"k/%03d" % number, b"0")
        mirror = stack.enter_context(mirroring(clusters, log, "--prefix", "k/"))
        wait_until(lambda: b"250 keys copied" in log.read_bytes())
        mirror.send_signal(signal.SIGSTOP)
        source.stop(0)  # the stream is gone with it, and what it would have said
        source.start(0)
        source.leader()
        here.delete(b"k/000", b"k/100")
        here.put(b"k/100", b"1")
        here.compact(here.put(b"outside", b"1"))
        alike = there.range(b"k/200")
        mirror.send_signal(signal.SIGCONT)
        wait_until(lambda: b"150 keys copied" in log.read_bytes())
        expected = {it.key: it.value for it in here.range(b"k/", b"k0")} | {b"theirs": b"0"}
        assert held(there) == expected
        assert there.range(b"k/200") == alike, "what is alike is not written"


def test_a_mirror_goes_on_when_its_target_was_away(
    clusters: tuple[Cluster, Cluster], tmp_path: Path
) -> None:
    source, target = clusters
    log = tmp_path / "log"
    with (
        Client(source.endpoints) as here,
        Client(target.endpoints) as there,
        ExitStack() as stack,
    ):
        stack.enter_context(mirroring(clusters, log))
        wait_until(lambda: b"following" in log.read_bytes())
        target.kill(0)
        here.put(b"a", b"1")
        here.put(b"b", b"2")
        wait_until(lambda: b"the target does not answer" in log.read_bytes())
        here.delete(b"a")
        target.start(0)
        target.leader()
        wait_until(lambda: held(there) == {b"b": b"2"})


def test_a_mirror_goes_on_when_its_source_was_away(
    clusters: tuple[Cluster, Cluster], tmp_path: Path
) -> None:
    """Also when it went while the mirror had read the keys, and did not follow yet."""
    source, target = clusters
    log = tmp_path / "log"
    with Client(source.endpoints) as here, Client(target.endpoints) as there, ExitStack() as stack:
        here.put(b"a", b"1")
        mirror = stack.enter_context(mirroring(clusters, log, "--timeout", "1"))
        wait_until(lambda: b"1 keys copied" in log.read_bytes())
        mirror.send_signal(signal.SIGSTOP)
        source.kill(0)
        mirror.send_signal(signal.SIGCONT)
        source.start(0)
        source.leader()
        here.put(b"b", b"2")
        wait_until(lambda: held(there) == {b"a": b"1", b"b": b"2"})
