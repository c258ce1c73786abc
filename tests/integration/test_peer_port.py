"""The peer port of real processes: secrets, doubles, and what is said at the start."""

import subprocess
from pathlib import Path

import pytest

from roost.client import Client
from roost.testing.cluster import ROOST, Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


def secret(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return f"--peer-secret-file={path}"


def put(cluster: Cluster, position: int, key: bytes) -> None:
    with Client([cluster.endpoints[position]], timeout_s=20) as client:
        client.put(key, b"v")


def test_who_does_not_know_the_secret_is_no_member(tmp_path: Path) -> None:
    ours = secret(tmp_path / "ours", "a secret of members")
    other = secret(tmp_path / "other", "what strangers guess")
    with Cluster(tmp_path, 3, extra_flags=[ours]) as cluster:
        cluster.leader()
        put(cluster, 0, b"before")
        assert "passes for it" not in cluster.log_path(0).read_text()
        for flag, why in (
            (other, "another one was used"),
            ("--peer-secret-file=", "none was used"),
        ):
            cluster.kill(2)
            cluster.start(2, flag)
            wait_until(lambda why=why: why in cluster.log_path(2).read_text())  # type: ignore[misc]  # bound now
        assert "passes for it" in cluster.log_path(2).read_text()
        put(cluster, 0, b"meanwhile")
        cluster.kill(2)
        cluster.start(2)
        wait_until(lambda: (said := cluster.status_now(2)) is not None and said.leader != 0)
        put(cluster, 2, b"after")


def test_a_double_on_an_empty_directory_ends_with_etcds_text(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3) as cluster:
        cluster.leader()
        put(cluster, 1, b"before")
        client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
        changed = {
            "--data-dir": str(tmp_path / "double"),
            "--listen-client-urls": client,
            "--advertise-client-urls": client,
            "--listen-peer-urls": peer,
        }
        flags = [it for it in cluster.flags(1) if it.partition("=")[0] not in changed]
        flags += [f"{name}={value}" for name, value in changed.items()]
        ended = subprocess.run(
            [*ROOST, *flags], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        said = ended.stdout + ended.stderr
        assert ended.returncode == 1, said
        assert "has already been bootstrapped" in said
        assert "roost member remove" in said
        assert "Traceback" not in said
        put(cluster, 1, b"after")
