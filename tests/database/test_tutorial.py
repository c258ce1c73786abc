"""The tutorial is done as a learner does it: in four terminals, with members that are killed."""

import os
import re
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
