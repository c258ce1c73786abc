"""`roost get` prints bytes as they are, and etcdctl's forms; `roost mirror` copies them."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.cli.mirror import PAGE_KEYS, Mirror
from roost.client import Client
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from tests.cli import commands
from tests.integration.etcdctl import binary

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
BYTES = bytes(range(256))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("get"), 1) as started:
        started.leader()
        with Client(started.endpoints) as client:
            client.put(b"b", BYTES)
            client.put(b"t/1", b"one")
            client.put(b"t/2", 'wörter "in" zwei\nZeilen\\'.encode())
        yield started


def run(cluster: Cluster, *arguments: str | bytes, code: int = 0) -> bytes:
    done = commands.run(*arguments, "--endpoints", cluster.endpoints[0])
    assert done.returncode == code, done.stderr
    return done.stdout


def etcdctl(cluster: Cluster, *arguments: str) -> bytes:
    command = [binary("etcdctl"), "--endpoints", cluster.endpoints[0], *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_bytes_go_into_pipes_as_they_are(cluster: Cluster) -> None:
    assert run(cluster, "get", "b") == BYTES + b"\n"
    assert run(cluster, "get", "b", "--prefix") == b"b\t" + BYTES + b"\n"
    assert run(cluster, "get", "b", "--raw") == BYTES
    assert run(cluster, "get", "t/1", "--hex") == rb"\x6f\x6e\x65" + b"\n"
    assert run(cluster, "get", "nothing", code=1) == b""
    assert run(cluster, "get", "nothing", "-w", "json", code=1).startswith(b'{"header":')
    assert run(cluster, "get", "b", "--raw", "--json", code=2) == b""


def test_keys_that_are_no_text_can_be_typed(cluster: Cluster) -> None:
    run(cluster, "put", b"\xff\xfe", b"\x80")
    assert run(cluster, "get", b"\xff", "--prefix") == b"\xff\xfe\t\x80\n"
    run(cluster, "del", b"\xff\xfe")


def test_a_terminal_is_shown_text(cluster: Cluster) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "roost.cli", "get", "b", "--endpoints", cluster.endpoints[0]]
    subprocess.run(command, stdout=theirs, check=True, timeout=PATIENCE_S)
    os.close(theirs)
    said = os.read(ours, 4096)
    os.close(ours)
    assert rb"\x80\x81" in said


@pytest.mark.parametrize("form", ["simple", "json", "fields", "protobuf"])
@pytest.mark.parametrize("more", [[], ["--hex"]], ids=["text", "hex"])
@pytest.mark.parametrize("key", ["t/", "nothing"])
def test_forms_are_those_of_etcdctl(cluster: Cluster, form: str, more: list[str], key: str) -> None:
    if form == "json" and more:
        pytest.skip("etcdctl's JSON in hexadecimal is a form of its own")
    asked = ["get", key, "--prefix", "-w", form, *more]
    assert run(cluster, *asked, code=key == "nothing") == etcdctl(cluster, *asked)


def test_a_table_has_a_row_for_each_key(cluster: Cluster) -> None:
    said = run(cluster, "get", "t/", "--prefix", "-w", "table").decode().splitlines()
    assert len({len(it) for it in said[:4]}) == 1
    assert said[3].startswith("| t/1 | one ")


def test_a_watch_that_is_interrupted_is_done(cluster: Cluster) -> None:
    command = [sys.executable, "-m", "roost.cli", "watch", "w", "--endpoints", cluster.endpoints[0]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        with Client(cluster.endpoints) as client:
            told = bytearray()
            os.set_blocking(process.stdout.fileno(), False)

            def is_told() -> bool:
                client.put(b"w", BYTES)
                told.extend(process.stdout.read() or b"")  # type: ignore[union-attr]  # a pipe
                return told.endswith(b"PUT\tw\t" + BYTES + b"\n")

            wait_until(is_told, 60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, said) == (0, b"")
    finally:
        process.kill()
        process.communicate()


def test_an_interrupted_command_is_silent(cluster: Cluster) -> None:
    """It waits for a lock that another has."""
    with Client(cluster.endpoints) as client:
        lease_id = client.leases.grant(600).lease_id
        client.leases.lock(b"taken", lease_id)
        command = [sys.executable, "-m", "roost.cli", "lock", "taken"]
        process = subprocess.Popen(
            [*command, "--endpoints", cluster.endpoints[0]],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            wait_until(lambda: client.count(b"taken/", b"taken0") == 2, 60)
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=PATIENCE_S) == (b"", b"")
            assert process.returncode == 130
            wait_until(lambda: client.count(b"taken/", b"taken0") == 1, 60)
        finally:
            process.kill()
            process.communicate()
            client.leases.revoke(lease_id)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_who_is_told_to_end_gives_the_lead_back(cluster: Cluster, number: signal.Signals) -> None:
    """In whatever moment: it is told as soon as others can see that it leads."""
    command = [sys.executable, "-m", "roost.cli", "elect", "boss", "me"]
    with Client(cluster.endpoints) as client:
        for _ in range(5):
            process = subprocess.Popen(
                [*command, "--endpoints", cluster.endpoints[0]],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            try:
                wait_until(lambda: client.count(b"boss/", b"boss0") == 1, 60)
                process.send_signal(number)
                _, said = process.communicate(timeout=PATIENCE_S)
                assert said == b""
                assert process.returncode in (0, 130)
                assert client.count(b"boss/", b"boss0") == 0
            finally:
                process.kill()
                process.communicate()


@pytest.mark.parametrize("prefix", [b"", b"m/"], ids=["everything", "a prefix without a key"])
def test_a_mirror_begins_at_a_source_that_was_compacted(
    cluster: Cluster, tmp_path: Path, prefix: bytes
) -> None:
    with Cluster(tmp_path, 1) as other, Client(cluster.endpoints) as source:
        other.leader()
        with Client(other.endpoints) as target:
            source.delete(b"m/", b"m0")
            source.compact(source.put(b"x", b"y"))
            command = ["mirror", other.endpoints[0], "--prefix", prefix.decode()]
            process = subprocess.Popen(
                [sys.executable, "-m", "roost.cli", *command, "--endpoints", cluster.endpoints[0]],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            try:
                assert process.stdout is not None
                assert process.stdout.readline().endswith(" keys copied; following\n")
                source.put(b"m/new", b"1")
                wait_until(lambda: target.get(b"m/new") is not None, 60)
                assert (target.get(b"b") is None) == bool(prefix)
                process.send_signal(signal.SIGINT)
                assert process.wait(timeout=PATIENCE_S) == 0
                assert process.communicate()[1] == ""
            finally:
                process.kill()
                process.communicate()


def test_a_mirror_that_was_left_behind_copies_again_and_deletes(
    cluster: Cluster, tmp_path: Path
) -> None:
    with Cluster(tmp_path, 1) as other, Client(cluster.endpoints) as source:
        other.leader()
        with Client(other.endpoints) as target:
            source.delete(b"n/", b"n0")
            for number in range(PAGE_KEYS + 1):
                source.put(b"n/%04d" % number, b"v")
            target.put(b"c/own", b"kept")
            copy = Mirror(source, target, b"n/", b"c/")
            assert copy.copy_all() == PAGE_KEYS + 1
            source.delete(b"n/0000")
            source.compact(source.put(b"n/0001", b"w"))
            copy.follow()  # and comes back at once
            assert copy.copy_all() == PAGE_KEYS
            names = [it.key for it in target.range(b"c/", b"c0", keys_only=True, limit=2)]
            assert names == [b"c/0001", b"c/0002"]
            assert target.get(b"c/own") is not None
