"""The web application with a member in it: three processes, one of which is killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from roost.testing.patience import wait_until
from roost.testing.ports import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_app.py"
Said = tuple[int, dict[str, object]]


class Applications:
    """The processes of the example."""

    def __init__(self, root: Path) -> None:
        ports = free_ports(6)
        self.ports = ports[:3]
        self._root = root
        self._members = [f"m{it}=127.0.0.1:{port}" for it, port in enumerate(ports[3:])]
        self.processes = [self.start(it) for it in range(3)]

    def start(self, position: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(EXAMPLE), str(self.ports[position]), f"m{position}"]
        with (self._root / f"m{position}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, *self._members], cwd=self._root, stdout=log, stderr=log
            )

    def ask(self, position: int, method: str, path: str, key: str = "") -> Said:
        connection = HTTPConnection("127.0.0.1", self.ports[position], timeout=30)
        try:
            connection.request(method, path, headers={"Idempotency-Key": key} if key else {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def ask_surely(self, position: int, method: str, path: str, key: str = "") -> Said:
        """Again while there is nobody, or no leader; a key has that counted once."""
        said: list[Said] = []

        def is_answered() -> bool:
            try:
                status, body = self.ask(position, method, path, key)
            except (OSError, HTTPException):
                return False
            said.append((status, body))
            return status < 500

        wait_until(is_answered)
        return said[-1]

    def close(self) -> None:
        for it in self.processes:
            it.kill()
            it.wait()


@pytest.fixture
def applications(tmp_path: Path) -> Iterator[Applications]:
    pytest.importorskip("fastapi", reason="fastapi is not installed: `pip install fastapi`")
    held = Applications(tmp_path)
    yield held
    held.close()


def test_any_process_takes_any_request_and_two_are_enough(applications: Applications) -> None:
    ask = applications.ask_surely
    assert ask(0, "POST", "/counters/visits?by=2", "one") == (200, {"value": 2})
    assert ask(2, "GET", "/counters/visits") == (200, {"value": 2})
    assert ask(1, "POST", "/counters/visits?by=2", "one") == (200, {"value": 2})
    refusal = {"error": "visits would be -3", "code": "negative"}
    assert ask(1, "POST", "/counters/visits?by=-5") == (409, refusal)
    assert ask(1, "POST", "/counters/visits", "x" * 300)[0] == 400
    applications.processes[0].send_signal(signal.SIGKILL)
    applications.processes[0].wait()
    assert ask(1, "POST", "/counters/visits", "two") == (200, {"value": 3})
    applications.processes[0] = applications.start(0)
    assert ask(0, "GET", "/counters/visits") == (200, {"value": 3})
    for it in applications.processes:
        it.terminate()
    assert {it.wait() for it in applications.processes} <= {0, -signal.SIGTERM}


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 150
