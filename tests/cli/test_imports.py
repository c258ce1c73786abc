"""A command imports what it needs, and a list of commands none of them."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from roost.cli.main import COMMANDS, main
from roost.testing.cluster import Cluster

RUN = """
import sys
from click.testing import CliRunner
from roost.cli.main import main
print(CliRunner().invoke(main, sys.argv[1:]).exit_code)
print("\\n".join(sorted(sys.modules)))
"""
# What a put may cost to start (issue 13); words for what goes wrong are loaded when it does, and
# some commands have a second module of their own.
OURS_MAX = 60
TROUBLES = {"roost.cli.troubles", "roost.os_errors", "roost.runbook"}
SERVERS = {"lmdb", "bcrypt", "uvicorn", "starlette", "yaml", "cryptography"}
# Each as far as it comes with nobody to talk to.
NOBODY = ("--endpoints", "127.0.0.1:1", "--timeout", "0.2")
OF_CLIENTS = {
    "put": ("put", "key", "value", *NOBODY),
    "get": ("get", "key", *NOBODY),
    "watch": ("watch", "--help"),
    "lock": ("lock", "--help"),
    "lease": ("lease", "list", *NOBODY),
    "member": ("member", "list", *NOBODY),
    "user": ("user", "list", *NOBODY),
    "status": ("status", *NOBODY),
    "mirror": ("mirror", "--help"),
}


def loaded_by(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=True
    )
    code, *modules = done.stdout.split()
    assert code != "1" or arguments[0] == "status", "it went as far as it can"
    return set(modules)


def ours(modules: set[str]) -> set[str]:
    return {it for it in modules if it.split(".")[0] == "roost"}


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_CLIENTS)
def test_a_command_of_a_client_loads_no_server(name: str) -> None:
    modules = loaded_by(*OF_CLIENTS[name])
    assert "roost.client" in modules
    assert len(ours(modules) - TROUBLES) <= OURS_MAX
    assert not SERVERS & modules


@pytest.mark.slow
@pytest.mark.cluster
def test_a_put_loads_fewer_than_sixty_modules_and_no_words_for_trouble(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        modules = loaded_by("put", "key", "value", "--endpoints", cluster.endpoints[0])
    assert len(ours(modules)) < OURS_MAX
    assert not TROUBLES & modules
    assert not SERVERS & modules


@pytest.mark.slow
def test_a_list_of_commands_loads_none() -> None:
    modules = loaded_by("--help")
    assert ours(modules) == {
        *("roost", "roost.lazy", "roost.cli", "roost.cli.main", "roost.cli.exits"),
    }
    assert not {*SERVERS, "grpc"} & modules


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_listed_with_its_own_words(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.get_short_help_str(1000) == COMMANDS[name].text
