"""`roost counter`: counters, for people and with `--json`."""

import sys

import click

from roost.cli.exits import EXIT_FAILED
from roost.cli.interrupts import interruptible, leave_done
from roost.cli.shared import NUMBER, at_each, client_options, connect, say_json, say_table
from roost.client import Client


@click.group()
def counter() -> None:
    """Count, and read counters, which count while the cluster is split.

    A member answers what it has heard; docs/how-to/counters.md says what that means.
    """


@counter.command()
@click.argument("name")
@click.argument("change", type=NUMBER, default=1)
@client_options
def incr(name: str, change: int, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Add CHANGE, or 1, to the counter NAME; print what it reads then.

    \b
    Example:
        roost counter incr pages/home/views
        roost counter incr stock/42 -- -3
    """
    with connect(endpoints, timeout_s) as client:
        value = client.counters.increment(name, change)
    if as_json:
        say_json({"name": name, "value": value})
    else:
        click.echo(str(value))


@counter.command("get")
@click.argument("names", nargs=-1, required=True)
@client_options
def get_values(names: tuple[str, ...], endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    """Print what counters read; exit code 1 when one of them is not there."""
    with connect(endpoints, timeout_s) as client:
        found = client.counters.read(*names)
    for name in names:
        value = found[name]
        if as_json:
            say_json({"name": name, "value": value})
        elif len(names) == 1:
            click.echo("none" if value is None else str(value))
        else:
            click.echo(f"{name}\t{'none' if value is None else value}")
    if None in found.values():
        sys.exit(EXIT_FAILED)


@counter.command("ls")
@click.argument("prefix", default="")
@client_options
def list_all(prefix: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    """Print all counters whose names begin with PREFIX, and what they read."""
    with connect(endpoints, timeout_s) as client:
        for name, value in client.counters.search(prefix):
            if as_json:
                say_json({"name": name, "value": value})
            else:
                click.echo(f"{name}\t{value}")


@counter.command()
@click.argument("name")
@client_options
def raw(name: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    """Print what each member has counted of the counter NAME."""
    with connect(endpoints, timeout_s) as client:
        parts = client.counters.read_raw(name)[name]
    if as_json:
        say_json({"name": name, "parts": parts})
    else:
        say_table([("MEMBER", "COUNTED"), *((it, str(parts[it])) for it in parts)], right=(1,))


@counter.command("rm")
@click.argument("names", nargs=-1, required=True)
@client_options
def delete(names: tuple[str, ...], endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    """Delete counters: what the member that answers has heard of them; print what that was.

    Increments that it has not heard of stay.
    """
    with connect(endpoints, timeout_s) as client:
        found = client.counters.delete(*names)
    for name, value in found.items():
        if as_json:
            say_json({"name": name, "value": value})
        else:
            click.echo(f"{name}\t{'none' if value is None else value}")


@counter.command()
@click.argument("prefix", default="")
@click.option("--all", "is_all", is_flag=True, help="Print all totals first.")
@client_options
def watch(prefix: str, endpoints: str, timeout_s: float, *, as_json: bool, is_all: bool) -> None:
    """Print totals that change until interrupted, of counters whose names begin with PREFIX."""
    with interruptible(leave_done), connect(endpoints, timeout_s) as client:
        for name, value in client.counters.watch(prefix, is_all=is_all):
            if as_json:
                say_json({"name": name, "value": value})
            else:
                click.echo(f"{name}\t{'none' if value is None else value}")


def _describe(what: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    def ask(name: str, one: Client) -> None:
        said = one.counters.describe(what)
        if as_json:
            say_json({"endpoint": name, **said})
            return
        click.echo(f"{name}:")
        for field, value in said.items():
            if isinstance(value, list):
                for row in value:
                    click.echo("  " + "  ".join(f"{key}={it}" for key, it in row.items()))
            else:
                click.echo(f"  {field}: {value}")

    at_each(endpoints, timeout_s, ask, as_json=as_json)


@counter.command()
@client_options
def stats(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    """Show what each endpoint says of its counters: how many, how large, how far it has come."""
    _describe("stats", endpoints, timeout_s, as_json=as_json)


@counter.command()
@client_options
def links(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    """Show how far each endpoint has told every other member, and what is in the way."""
    _describe("links", endpoints, timeout_s, as_json=as_json)


@counter.command()
@client_options
def topology(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    """Show who counts, and where clients find them, as each endpoint knows it."""
    _describe("topology", endpoints, timeout_s, as_json=as_json)


@counter.command()
@click.argument("endpoint")
@client_options
def ready(endpoint: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    """Have the member at ENDPOINT serve, as soon as it has everything."""
    del endpoints
    with connect(endpoint, timeout_s) as client:
        said = client.counters.administer("ready")
    if as_json:
        say_json(said)
    else:
        click.echo(f"{said.get('name', endpoint)}: {said.get('phase', said['state'])}")


@counter.command()
@click.option("--force", is_flag=True, help="Leave out members that do not answer.")
@client_options
def purge(endpoints: str, timeout_s: float, *, as_json: bool, force: bool) -> None:
    """Have all members remove what is left of deleted counters, as far as everybody knows of it.

    Refused while somebody who counts does not answer, and the reason names who. Forced, what such a
    member lacks may come back with it for a moment, until it was told everything anew. It takes two
    rounds to remove all: ask twice.
    """
    with connect(endpoints, timeout_s) as client:
        said = client.counters.administer("purge", force=force)
    if as_json:
        say_json(said)
    else:
        proof = said["proof"]
        say_table([("MEMBER", "UP TO"), *((it, str(proof[it])) for it in proof)], right=(1,))
