"""Shells complete commands and options; who mistypes hears what may be meant; `python -m roost`."""

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from roost.cli.exits import EXIT_USAGE
from roost.cli.main import COMMANDS, main


def completed(words: list[str], begun: str) -> list[str]:
    """What fits behind some words."""
    found = ShellComplete(main, {}, "roost", "_ROOST_COMPLETE").get_completions(words, begun)
    return [it.value for it in found]


def test_commands_and_what_is_behind_them_are_completed() -> None:
    assert completed([], "st") == ["status"]
    assert set(completed([], "")) >= set(COMMANDS)
    assert completed([], "--v") == ["--version"]
    assert "list" in completed(["member"], "l")
    assert "--watch" in completed(["status"], "--w")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_whom_to_ask(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert "_ROOST_COMPLETE" in done.output
    assert f"{shell}_complete" in done.output


def test_another_shell_is_refused() -> None:
    done = CliRunner().invoke(main, ["completion", "cmd"])
    assert done.exit_code == EXIT_USAGE


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["statsu"], "`roost status`"),
        (["gte", "k"], "`roost get`"),
        (["snapshto"], "`roost snapshot`"),
    ],
)
def test_who_mistypes_hears_what_may_be_meant(words: list[str], meant: str) -> None:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == EXIT_USAGE
    assert meant in done.output


def test_what_is_like_no_command_is_only_refused() -> None:
    done = CliRunner().invoke(main, ["qqqqq"])
    assert done.exit_code == EXIT_USAGE
    assert "meant" not in done.output


@pytest.mark.slow
def test_python_runs_roost_by_its_name() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "roost", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: roost [OPTIONS] COMMAND")
