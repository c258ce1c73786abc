"""The `roost` command and its subcommands; each is imported only when it is asked for."""

import errno
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import click

from roost.cli.exits import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# What gRPC's core has to say goes to standard error, past everybody; `ClientError` says it again.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command that has not been imported: where it is, and the first sentence of its help."""

    module: str
    name: str
    text: str


# In the order in which people meet them.  Each text is the command's own (a test compares), so that
# a list of all imports none.
COMMANDS = {
    "serve": Lazy("roost.cli.serve", "serve", "Start one member of a cluster, and serve clients."),
    "put": Lazy(
        "roost.cli.kv",
        "put",
        "Set KEY to VALUE; without VALUE it is read from standard input.",
    ),
    "get": Lazy(
        "roost.cli.get",
        "get",
        "Print KEY, or all keys of a range; exit code 1 when there is none.",
    ),
    "del": Lazy("roost.cli.kv", "delete", "Delete KEY, or all keys of a range."),
    "txn": Lazy(
        "roost.cli.kv",
        "txn",
        "Run a transaction, which standard input says as etcdctl does, or as protobuf JSON.",
    ),
    "watch": Lazy(
        "roost.cli.kv",
        "watch",
        "Print every change of KEY until interrupted, or run COMMAND for each.",
    ),
    "compact": Lazy("roost.cli.kv", "compact", "Forget the history before REVISION."),
    "mirror": Lazy(
        "roost.cli.mirror",
        "mirror",
        "Copy all keys to the cluster at DESTINATION, then every change, until interrupted.",
    ),
    "migrate": Lazy(
        "roost.cli.migrate.migrate",
        "migrate",
        "Carry all keys and leases of the etcd at SOURCE over, and every change, while it serves.",
    ),
    "lease": Lazy(
        "roost.cli.lease",
        "lease",
        "Grant, renew, look at and revoke leases; keys may go away with one.",
    ),
    "lock": Lazy(
        "roost.cli.lock",
        "lock",
        "Wait for a lock, then run COMMAND, or hold it until interrupted.",
    ),
    "elect": Lazy(
        "roost.cli.lock",
        "elect",
        "Lead the election NAME with VALUE until interrupted, or say who does.",
    ),
    "counter": Lazy(
        "roost.cli.counter",
        "counter",
        "Count, and read counters, which count while the cluster is split.",
    ),
    "status": Lazy(
        "roost.cli.status",
        "status",
        "Show all members: who leads, who is behind, sizes, alarms; exit code 1 if one is silent.",
    ),
    "top": Lazy(
        "roost.cli.top",
        "top",
        "Show a cluster live on the whole screen: members, rates, alarms, until interrupted.",
    ),
    "health": Lazy(
        "roost.cli.status",
        "health",
        "Say whether each endpoint serves reads that are current, and no alarm is raised.",
    ),
    "doctor": Lazy(
        "roost.cli.doctor.doctor",
        "doctor",
        "Say what is wrong with a machine, a configuration or a cluster, and what to do about it.",
    ),
    "shell": Lazy(
        "roost.cli.shell",
        "shell",
        "Read commands, line by line, with history and completion, and run them.",
    ),
    "check": Lazy(
        "roost.cli.check.check",
        "check",
        "Ask much of a cluster, and say whether it does it in time, and what it takes.",
    ),
    "bench": Lazy(
        "roost.cli.check.check",
        "bench",
        "Put as fast as it goes, and say how many a second; exit code 1 when one fails.",
    ),
    "member": Lazy(
        "roost.cli.member",
        "member",
        "List, add, remove, update and promote members; choose who leads.",
    ),
    "auth": Lazy("roost.cli.users", "auth", "Turn authentication on and off."),
    "user": Lazy(
        "roost.cli.users",
        "user",
        "Add, delete, list and look at users; give them passwords and roles.",
    ),
    "role": Lazy(
        "roost.cli.users",
        "role",
        "Add, delete, list and look at roles; say what they may do.",
    ),
    "alarm": Lazy("roost.cli.maintenance", "alarm", "List and disarm alarms."),
    "defrag": Lazy(
        "roost.cli.maintenance",
        "defrag",
        "Give what the stores of the endpoints do not use back to their file systems.",
    ),
    "hashkv": Lazy(
        "roost.cli.maintenance",
        "hashkv",
        "Show a hash of all keys as each endpoint holds them; equal on all members.",
    ),
    "series": Lazy(
        "roost.cli.series.series",
        "series",
        "Add points to time series, ask for them, and keep them for as long as they are wanted.",
    ),
    "v2": Lazy(
        "roost.cli.v2",
        "v2",
        "Read, write and watch the directories and keys of etcd's v2.",
    ),
    "log-level": Lazy(
        "roost.cli.log_level",
        "log_level",
        "Say how much each endpoint logs, or have it log from LEVEL on, until it is restarted.",
    ),
    "gateway": Lazy(
        "roost.cli.gateway.gateway",
        "gateway",
        "Hand connections of clients on to whichever members answer.",
    ),
    "snapshot": Lazy(
        "roost.cli.snapshot",
        "snapshot",
        "Save backups of a running cluster, and restore them.",
    ),
    "import": Lazy(
        "roost.cli.importing",
        "import_command",
        "Make the directory of a member of a new cluster from what an etcd has.",
    ),
    "repair": Lazy(
        "roost.cli.repair",
        "repair",
        "Say what is damaged in the directory of a member that is not running.",
    ),
    "trees": Lazy(
        "roost.cli.trees",
        "trees",
        "List the trees in the directory of a member: keys, bytes, pages, types, purposes.",
    ),
    "dump": Lazy(
        "roost.cli.trees",
        "dump",
        "Print the rows of TREE in the directory of a member.",
    ),
    "drop": Lazy(
        "roost.cli.trees",
        "drop",
        "Drop the derived tree TREE of a member that does not run.",
    ),
    "sim": Lazy(
        "roost.cli.sim",
        "sim",
        "Run simulated clusters; exit code 1 when a promise was broken.",
    ),
    "completion": Lazy(
        "roost.cli.completion",
        "completion",
        "Print what makes SHELL complete commands and options of roost.",
    ),
}


class LazyGroup(click.Group):
    """Knows its commands by name, and imports one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import a command."""
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        command = getattr(import_module(lazy.module), lazy.name)
        assert isinstance(command, click.Command), "the table names commands"
        _keep_lines(command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:  # Any: click's three
        """Find a command; who has mistyped it hears what may be meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS)
            if near:
                meant = " or ".join(f"`roost {it}`" for it in near)
                raise click.UsageError(f"{error.message} Is {meant} meant?", ctx) from error
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """What a shell may complete: commands with their texts, of which none is imported."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=lazy.text)
            for name, lazy in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the list of all commands, as click does, and import none."""
        width = formatter.width - 6 - max(map(len, COMMANDS))
        rows = [
            (name, click.Command(name, help=lazy.text).get_short_help_str(width))
            for name, lazy in COMMANDS.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

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


def _say_version(context: click.Context, _option: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's
    if asked and not context.resilient_parsing:
        from roost.compiled import description

        click.echo(f"roost {version('roost')} ({description()})")
        context.exit()


@click.group(cls=LazyGroup)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="Say which version this is, and whether its hot modules are compiled.",
)
def main() -> None:
    """Roost: replicated storage for Python, and an etcd that installs with pip.

    Options that all commands of a client share may be variables: ROOST_ENDPOINTS, ROOST_USER,
    ROOST_CACERT, ROOST_CERT and ROOST_KEY, or etcdctl's ETCDCTL_ENDPOINTS and so on.
    """
