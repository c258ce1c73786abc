"""Members that are started to find each other."""

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roost.cli.discovery.bootstrap import found
from roost.settings import Settings
from roost.testing.patience import PATIENCE_S

SERVE = [sys.executable, "-m", "roost.cli", "serve"]


def never(_seconds: float) -> None:
    raise AssertionError("nobody has to be asked again")


def discovered(settings: Settings, pause: Callable[[float], object]) -> Settings:
    return found(settings, pause).settings


@contextmanager
def member_of(*command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process, as long as this is open."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) is not None


def flags_of(tmp_path: Path, name: str, ports: Sequence[int], *more: str) -> list[str]:
    client, peer = (f"http://127.0.0.1:{it}" for it in ports)
    return [
        f"--name={name}",
        f"--data-dir={tmp_path / name}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        *more,
    ]


def rows_at(port: int) -> list[dict[str, Any]]:
    """The members of the cluster that is asked; none while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("POST", "/v3/cluster/member/list", b"{}")
        said = json.loads(connection.getresponse().read())
    except OSError:
        return []
    finally:
        connection.close()
    found_rows: list[dict[str, Any]] = said.get("members", [])
    return found_rows


def members_at(port: int) -> list[str]:
    """Their names."""
    return sorted(it.get("name", "") for it in rows_at(port))
