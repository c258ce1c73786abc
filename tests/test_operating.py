"""Commands on the pages for operators are commands that there are, with options that they have."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from roost.cli.main import main
from roost.cli.settings import FLAGS

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "how-to"
PAGES = ["alarms", "backup", "capacity", "disaster", "harden", "install", "operate", "wan"]


def blocks(text: str) -> Iterator[str]:
    """Lines of code, with those that go on in the next put together."""
    whole = re.sub(r"\\\n\s*", "", text)
    for line in whole.splitlines():
        if line.startswith("    "):
            yield from re.split(r"&&|\||;", line)


def asked(text: str) -> Iterator[list[str]]:
    """The words of each `roost ...`, in blocks and in sentences."""
    for line in blocks(text):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue  # a piece of a program in quotes
        while words and ("=" in words[0] or words[0] in ("sudo", "-u", "then", "else")):
            del words[0]
        if words[:2] == ["roost", "roost"]:
            del words[0]
        if words[:1] == ["roost"]:
            yield words[1:]
    for said in re.findall(r"`roost ([^`]+)`", text):
        if not said.startswith("COMMAND"):
            yield shlex.split(said)


def judged(words: list[str]) -> None:
    """Fail when there is no such command, or it has no such option."""
    command: click.Command = main
    context = click.Context(main, info_name="roost")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no `roost {' '.join(words)}`"
        command, words = found, words[1:]
    if "..." in words:
        words = words[: words.index("...")]
    known = {
        it for parameter in command.params for it in (*parameter.opts, *parameter.secondary_opts)
    }
    for it in words:
        if it == "--":
            return
        if it.startswith("-") and not it.startswith("-u"):
            assert it.partition("=")[0] in known | {"--help", "--version"}, f"{command.name} {it}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_for_operators_names_commands_that_there_are(page: str) -> None:
    text = (FOLDER / f"{page}.md").read_text()
    found = list(asked(text))
    assert found
    for words in found:
        judged(words)


@pytest.mark.parametrize("page", PAGES)
def test_settings_on_a_page_for_operators_are_settings(page: str) -> None:
    """`--word` alone in quotes is a flag of `roost serve`, or one of a command that is named so."""
    text = (FOLDER / f"{page}.md").read_text()
    options = {opt for command in _commands(main) for it in command.params for opt in it.opts}
    for name in re.findall(r"`--([a-z][\w-]*)(?:[ =][^`]*)?`", text):
        assert name in FLAGS or f"--{name}" in options, name


def _commands(group: click.Group) -> Iterator[click.Command]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, "listed commands exist"
        yield command
        if isinstance(command, click.Group):
            yield from _commands(command)


def test_a_command_that_there_is_not_is_found() -> None:
    for text in (
        "    roost frobnicate\n",
        "    roost put a b --colour red\n",
        "`roost alarm lits`",
    ):
        [words] = asked(text)
        with pytest.raises(AssertionError):
            judged(words)
    for text in (
        "    roost put a b --endpoints x  # put it\n",
        "`roost member add m4 --peer-urls X`",
    ):
        [words] = asked(text)
        judged(words)


def test_each_page_is_linked_from_the_first_one() -> None:
    first = (ROOT / "README.md").read_text()
    assert [it for it in PAGES if f"docs/how-to/{it}.md" not in first] == []
