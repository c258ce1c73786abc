"""What the pages for users say can be typed, can be."""

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from roost.cli.main import main
from roost.testing.cluster import Cluster

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    *sorted((DOCS / "how-to").glob("*.md")),
    *sorted((DOCS / "explanation").glob("*.md")),
    DOCS / "reference" / "cli.md",
]


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of every command of ours in the code of a page."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.startswith("    "):
            continue
        code = re.sub(r"\$\(.*?\)", "X", line.partition("  #")[0].partition("      # ")[0])
        for part in code.split("&&"):
            words = part.strip().removeprefix(".venv/bin/")
            if words.startswith("roost "):
                yield shlex.split(words, comments=True)[1:]


def find(words: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group):
        name = rest.pop(0)
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"there is no command {name}: {shlex.join(words)}"
        command = found
    return command, rest


@pytest.mark.parametrize("page", PAGES, ids=lambda it: it.name)
def test_commands_in_pages_have_the_options_that_they_are_given(page: Path) -> None:
    for words in commands_in(page.read_text()):
        command, rest = find(words)
        known = {name for it in command.params for name in (*it.opts, *it.secondary_opts)}
        given = rest[: rest.index("--")] if "--" in rest else rest
        for word in given:
            if word.startswith("-"):
                option = word.partition("=")[0]
                assert option in known, f"{option} is none: roost {shlex.join(words)}"


def test_pages_have_commands() -> None:
    found = [len(list(commands_in(page.read_text()))) for page in PAGES]
    assert sum(found) > 60
    assert found[0] >= 6


@pytest.mark.slow
@pytest.mark.cluster
def test_the_page_about_the_python_client_runs_from_top_to_bottom(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (DOCS / "how-to" / "python-client.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 5
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        script = tmp_path / "page.py"
        script.write_text("\n".join(blocks).replace("127.0.0.1:2379", cluster.endpoints[0]))
        names = runpy.run_path(str(script))
        names["client"].close()
        names["nobody"].close()
    said = capsys.readouterr().out
    assert "put b'config/color' b'red'" in said
    assert "it is our turn" in said
    assert "it has not happened: try again later" in said
