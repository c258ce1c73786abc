"""`roost alarm`, `roost defrag`, `roost hashkv`: looking after a running cluster."""

import click

from roost.cli.progress import progress
from roost.cli.shared import NUMBER, at_each, client_options, connect, say_json
from roost.client import Alarm, Client
from roost.runbook import place_of


@click.group()
def alarm() -> None:
    """List and disarm alarms."""


@alarm.command("list")
@client_options
def list_alarms(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Show every alarm that is raised.

    \b
    Example:
        roost alarm list
    """
    with connect(endpoints, timeout_s) as client:
        _say_alarms(client.alarms(), as_json=as_json)


@alarm.command()
@client_options
def disarm(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Take every alarm back; what is still wrong raises it again.

    \b
    Example:
        roost alarm disarm
    """
    with connect(endpoints, timeout_s) as client:
        raised = client.alarms()
        for it in raised:
            client.disarm(it)
        _say_alarms(raised, as_json=as_json)


def _say_alarms(raised: list[Alarm], *, as_json: bool) -> None:
    for it in raised:
        if as_json:
            say_json({"member_id": f"{it.member_id:x}", "alarm": it.kind})
        else:
            click.echo(f"member {it.member_id:x}: {it.kind} ({place_of(it.kind)})")


@click.command()
@client_options
def defrag(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Give what the stores of the endpoints do not use back to their file systems.

    One endpoint after the other; exit code 1 when one of them could not be.

    \b
    Example:
        roost defrag --timeout 60
    """

    def rewrite(endpoint: str, client: Client) -> None:
        before = client.status(endpoint).db_bytes
        with progress(f"rewriting the store of {endpoint}", as_json=as_json):
            client.defragment()
        after = client.status(endpoint).db_bytes
        if as_json:
            say_json({"endpoint": endpoint, "bytes_before": before, "bytes_after": after})
        else:
            click.echo(f"{endpoint}: {before} bytes before, {after} after")

    at_each(endpoints, timeout_s, rewrite, as_json=as_json)


@click.command()
@client_options
@click.option(
    "--revision", "--rev", type=NUMBER, default=0, help="Up to this revision; 0 is the current one."
)
def hashkv(endpoints: str, timeout_s: float, revision: int, *, as_json: bool) -> None:
    r"""Show a hash of all keys as each endpoint holds them; equal on all members.

    Exit code 1 when one of them does not say.

    \b
    Example:
        roost hashkv --endpoints 127.0.0.1:2379,127.0.0.1:22379
    """

    def say(endpoint: str, client: Client) -> None:
        said = client.hash_kv(revision)
        if as_json:
            row = {"endpoint": endpoint, "hash": said.hash, "revision": said.revision}
            say_json({**row, "compact_revision": said.compact_revision})
        else:
            click.echo(f"{endpoint}: {said.hash:08x} at revision {said.revision}")

    at_each(endpoints, timeout_s, say, as_json=as_json)
