"""What the pages for users say can be typed, can be."""

import re
import runpy
import shlex
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

import roost
from roost.cli.main import main
from roost.testing.ports import free_ports

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    *sorted((DOCS / "how-to").glob("*.md")),
    *sorted((DOCS / "explanation").glob("*.md")),
    DOCS / "reference" / "cli.md",
]


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of every command of ours in the code of a page, which is indented or fenced."""
    is_fenced = False
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.startswith("```"):
            is_fenced = line[3:] in ("sh", "console")
            continue
        if not is_fenced and not line.startswith("    "):
            continue
        code = re.sub(r"\$\(.*?\)", "X", line.partition("  #")[0].partition("      # ")[0])
        for part in code.split("&&"):
            words = part.strip().removeprefix("$ ").removeprefix(".venv/bin/")
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


def blocks_of(page: str) -> list[str]:
    text = (DOCS / "how-to" / page).read_text()
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[roost.Database, str]]:
    """A member in this process, and where it serves: pages do the same with it as with others."""
    (port,) = free_ports(1)
    with roost.open(None) as db:
        db.serve([f"http://127.0.0.1:{port}"])
        yield db, f"127.0.0.1:{port}"


def run_page(page: str, directory: Path, **endpoints: str) -> dict[str, Any]:
    """Run the Python of a page, there, with other endpoints than it names."""
    script = directory / "page.py"
    text = "\n".join(blocks_of(page))
    # In one go: an endpoint may begin as one of the page's does, 127.0.0.1:23794.
    named = "|".join(map(re.escape, endpoints))
    script.write_text(re.sub(named, lambda found: endpoints[found[0]], text))
    return runpy.run_path(str(script))


@pytest.mark.slow
def test_the_page_about_the_python_client_runs_from_top_to_bottom(
    served: tuple[roost.Database, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(blocks_of("python-client.md")) >= 5
    names = run_page("python-client.md", tmp_path, **{"127.0.0.1:2379": served[1]})
    names["client"].close()
    names["nobody"].close()
    said = capsys.readouterr().out
    assert "put b'config/color' b'red'" in said
    assert "it is our turn" in said
    assert "it has not happened: try again later" in said


@pytest.mark.slow
def test_the_page_about_time_series_runs_from_top_to_bottom(
    served: tuple[roost.Database, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    db, here = served
    (port,) = free_ports(1)
    is_over = threading.Event()

    def measure() -> None:  # somebody has to, while the page watches
        with db.series.connect(wait_for_server_flush=True) as con:
            while not is_over.wait(0.05):
                con.add("sensor1.heat", datetime.now(UTC), 22.0)
                con.flush()

    sensor = threading.Thread(target=measure)
    with roost.open(None) as other:
        other.serve([f"http://127.0.0.1:{port}"])
        sensor.start()
        try:
            names = run_page(
                "series.md",
                tmp_path,
                **{
                    "10.0.0.1:2379,10.0.0.2:2379": here,
                    "10.0.0.1:2379": here,
                    "10.0.1.1:2379": f"127.0.0.1:{port}",
                },
            )
        finally:
            is_over.set()
            sensor.join()
    assert len(names["days"][0]) >= 1
    assert set(names["days"][0].columns) == {"max", "min", "mean", "p95"}
    said = capsys.readouterr().out
    assert "'name': 'sensor2.heat'" in said
    assert "sensor1.heat [" in said
    assert {it.labels["room"] for it in names["rooms"].tables} == {"12"}


@pytest.mark.slow
def test_the_page_about_counters_runs_from_top_to_bottom(
    served: tuple[roost.Database, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    db, here = served
    run_page("counters.md", tmp_path, **{"127.0.0.1:22379": here, "127.0.0.1:2379": here})
    assert db.counters.read("pages/home/views", "pages/about/views") == {
        "pages/home/views": 6,
        "pages/about/views": 1,
    }
    said = capsys.readouterr().out
    assert said == "{'pages/home/views': 5, 'pages/none': None}\n{}\n{'pages/home/views': 1}\n"
