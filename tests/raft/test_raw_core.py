"""The core driven by hand, and its contract: the example runs, the page names all that there is."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from roost.raft import Core, Ready, Storage

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "raw_core.py"
PAGE = ROOT / "docs" / "reference" / "raft.md"


def test_the_example_elects_writes_and_gets_a_node_back() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLE)], capture_output=True, text=True, check=True
    )
    held = "{'ada': '1815', 'grace': '1906', 'alan': '1912'}"
    assert done.stdout.splitlines() == [f"{number} {held}" for number in (1, 2, 3)]


def test_the_example_is_short_and_stands_on_the_public_core_alone() -> None:
    text = EXAMPLE.read_text()
    assert len(text.splitlines()) < 150
    imported = [it.module for it in ast.walk(ast.parse(text)) if isinstance(it, ast.ImportFrom)]
    assert {it for it in imported if it and it.startswith("roost")} == {"roost.raft"}


@pytest.mark.pure("compiled, fields of the core look like its calls")
def test_the_contract_names_every_call_and_every_field() -> None:
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", PAGE.read_text()))))
    calls = {it for it in dir(Core) if not it.startswith("_")}
    asked = {it for it in vars(Storage) if not it.startswith("_")}
    assert (calls | set(Ready.__slots__) | asked) - named == set()
