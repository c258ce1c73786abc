"""The `roost` command and its subcommands; each is imported only when it is asked for."""

from importlib import import_module

import click

_COMMANDS = {
    "serve": "roost.cli.serve:serve",
    "put": "roost.cli.kv:put",
    "get": "roost.cli.kv:get",
    "del": "roost.cli.kv:delete",
    "txn": "roost.cli.kv:txn",
    "watch": "roost.cli.kv:watch",
    "compact": "roost.cli.kv:compact",
    "mirror": "roost.cli.kv:mirror",
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
        return command


@click.group(cls=LazyGroup)
@click.version_option(package_name="roost")
def main() -> None:
    """Roost: replicated storage for Python, and an etcd that installs with pip."""
