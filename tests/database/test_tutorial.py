"""The tutorials are done as a learner does them: in several terminals, with members that die."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.testing.ports import free_ports
from tests.database.learner import Learner

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial" / "bank.md"
OF_A_SERVER = ROOT / "docs" / "tutorial" / "server.md"
INSTALL = "pip install ./roost pytest"
ENVIRONMENT = "python3 -m venv learn"


def make_environment(directory: Path) -> None:
    """The same, but for a pip of its own, which takes the longest and installs nothing here."""
    made = [sys.executable, "-m", "venv", "--without-pip", "learn"]
    subprocess.run(made, cwd=directory, check=True)


def see_what_is_installed(directory: Path) -> None:
    """Have the environment `learn` see what tests have: to build and to install needs a network."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "roost"
    (packages,) = (directory / "learn").glob("lib/python*/site-packages")
    installed = sysconfig.get_paths()["purelib"]
    (packages / "tests.pth").write_text(f"import site; site.addsitedir({installed!r})\n")


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Learner]:
    ports = dict(zip(("7001", "7002", "7003"), free_ports(3), strict=True))

    def with_free_ports(text: str) -> str:
        return re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda it: str(ports[it[0]]), text)

    # The plugin by its name: who installed Roost before it had one need not do it again.
    environment = {**os.environ, "PYTEST_ADDOPTS": "-p roost.testing.plugin", "NO_COLOR": "1"}
    found = Learner(
        tmp_path,
        environment,
        change=with_free_ports,
        instead={
            ENVIRONMENT: lambda: make_environment(tmp_path),
            INSTALL: lambda: see_what_is_installed(tmp_path),
        },
    )
    try:
        yield found
    finally:
        found.close()


@pytest.mark.slow
@pytest.mark.cluster
def test_the_tutorial_says_what_a_learner_sees(learner: Learner) -> None:
    page = PAGE.read_text()
    assert ENVIRONMENT in page
    assert INSTALL in page
    learner.follow(page)
    made, at_the_end = (int(learner.numbers[it]) for it in ("4120", "4122"))
    assert at_the_end == made + 2 > 10
    said = learner.terminals["four"].said
    assert any(re.search(r"move\('(\w+)', '\1', \d+\)", it) for it in said), "the mistake is told"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Learner, str]]:
    """A learner whose commands find `roost`, and a port in the place of 2379."""
    client, peer = free_ports(2)
    peer_url = f"http://127.0.0.1:{peer}"
    environment = {
        **os.environ,
        "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
        "NO_COLOR": "1",
        "ROOST_LISTEN_CLIENT_URLS": f"http://127.0.0.1:{client}",
        "ROOST_ADVERTISE_CLIENT_URLS": f"http://127.0.0.1:{client}",
        "ROOST_LISTEN_PEER_URLS": peer_url,
        "ROOST_INITIAL_ADVERTISE_PEER_URLS": peer_url,
        "ROOST_ENDPOINTS": f"127.0.0.1:{client}",
    }
    found = Learner(tmp_path, environment, change=str, instead={})
    try:
        yield found, str(client)
    finally:
        found.close()


@pytest.mark.slow
@pytest.mark.cluster
def test_ten_minutes_with_a_server_are_what_a_learner_sees(served: tuple[Learner, str]) -> None:
    learner, port = served
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    learner.follow(OF_A_SERVER.read_text().replace("2379", port))
    assert any("it is gone" in it for it in learner.terminals["two"].said)
    assert any("good morning" in it for it in learner.terminals["three"].said)
