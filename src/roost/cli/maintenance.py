"""`roost alarm`, `roost defrag`, `roost hashkv`: looking after a running cluster."""

import click

from roost.cli.shared import at_each, client_options, connect, say_json
from roost.client import Client


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
        rows = client.alarms()
        for member_id, kind in rows:
            client.disarm(member_id, kind)
        _say_alarms(rows, as_json=as_json)


def _say_alarms(rows: list[tuple[int, str]], *, as_json: bool) -> None:
    for member_id, kind in rows:
        if as_json:
            say_json({"member_id": f"{member_id:x}", "alarm": kind})
        else:
            click.echo(f"member {member_id:x}: {kind}")


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
        before = client.status()[0][1]
        client.defragment()
        after = client.status()[0][1]
        sizes = [getattr(it, "dbSize", 0) for it in (before, after)]
        if as_json:
            say_json({"endpoint": endpoint, "bytes_before": sizes[0], "bytes_after": sizes[1]})
        else:
            click.echo(f"{endpoint}: {sizes[0]} bytes before, {sizes[1]} after")

    at_each(endpoints, timeout_s, rewrite, as_json=as_json)


@click.command()
@client_options
@click.option("--revision", "--rev", default=0, help="Up to this revision; 0 is the current one.")
def hashkv(endpoints: str, timeout_s: float, revision: int, *, as_json: bool) -> None:
    r"""Show a hash of all keys as each endpoint holds them; equal on all members.

    Exit code 1 when one of them does not say.

    \b
    Example:
        roost hashkv --endpoints 127.0.0.1:2379,127.0.0.1:22379
    """

    def say(endpoint: str, client: Client) -> None:
        value, at, compacted = client.hash_kv(revision)
        if as_json:
            row = {"endpoint": endpoint, "hash": value, "revision": at}
            say_json({**row, "compact_revision": compacted})
        else:
            click.echo(f"{endpoint}: {value:08x} at revision {at}")

    at_each(endpoints, timeout_s, say, as_json=as_json)
