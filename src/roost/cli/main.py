"""The `roost` command and its subcommands; each is imported only when it is asked for."""

import errno
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from roost.cli.exits import EXIT_INTERRUPTED

# What gRPC's core has to say goes to standard error, past everybody; `ClientError` says it again.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

_COMMANDS = {
    "serve": "roost.cli.serve:serve",
    "put": "roost.cli.kv:put",
    "get": "roost.cli.get:get",
    "del": "roost.cli.kv:delete",
    "txn": "roost.cli.kv:txn",
    "watch": "roost.cli.kv:watch",
    "compact": "roost.cli.kv:compact",
    "mirror": "roost.cli.mirror:mirror",
    "lease": "roost.cli.lease:lease",
    "lock": "roost.cli.lock:lock",
    "elect": "roost.cli.lock:elect",
    "status": "roost.cli.status:status",
    "health": "roost.cli.status:health",
    "member": "roost.cli.member:member",
    "auth": "roost.cli.users:auth",
    "user": "roost.cli.users:user",
    "role": "roost.cli.users:role",
    "alarm": "roost.cli.maintenance:alarm",
    "defrag": "roost.cli.maintenance:defrag",
    "hashkv": "roost.cli.maintenance:hashkv",
    "snapshot": "roost.cli.snapshot:snapshot",
    "repair": "roost.cli.repair:repair",
    "sim": "roost.cli.sim:sim",
}


class LazyGroup(click.Group):
    """Knows its commands by name, and imports one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order in which people meet them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command), "the table names commands"
        _keep_lines(command)
        return command

    def invoke(self, ctx: click.Context) -> Any:  # Any: what a command returns
        """Run a command; whoever interrupts it knows that."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                if sys.stdout is not None:  # as it is when it was closed: >&-
                    sys.stdout.flush()
        except (KeyboardInterrupt, click.Abort):
            sys.exit(EXIT_INTERRUPTED)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click ends silently, as what is in a pipe does
            from roost.cli.shared import failed  # it loads gRPC, which `serve` does without

            _give_up_output()
            raise failed(error) from error


def _give_up_output() -> None:
    """What could not be written is tried again at the end, unless it can go nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _keep_lines(command: click.Command) -> None:
    r"""Let click see the mark before examples: a docstring with a \b in it is a raw one."""
    command.help = (command.help or "").replace("\\b\n", "\b\n")
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _keep_lines(inner)


@click.group(cls=LazyGroup)
@click.version_option(package_name="roost")
def main() -> None:
    """Roost: replicated storage for Python, and an etcd that installs with pip.

    Options that all commands of a client share may be variables: ROOST_ENDPOINTS, ROOST_USER,
    ROOST_CACERT, ROOST_CERT and ROOST_KEY, or etcdctl's ETCDCTL_ENDPOINTS and so on.
    """
