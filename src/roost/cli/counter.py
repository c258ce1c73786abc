"""`roost counter`: counters, for people and with `--json`."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from roost.cli.exits import EXIT_FAILED
from roost.cli.interrupts import interruptible, leave_done
from roost.cli.shared import NUMBER, at_each, client_options, connect, say_json, say_table
from roost.client import Client
from roost.counters.environment import DIRECTORY
from roost.counters.renewing import renew_directory
from roost.errors import RoostError
from roost.journal import OsDisk, lock_directory


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
                _say_rows(value)
            else:
                click.echo(f"  {field}: {_cell(value)}")

    at_each(endpoints, timeout_s, ask, as_json=as_json)


def _say_rows(rows: Sequence[Mapping[str, object]]) -> None:
    """Rows that have the same fields, as a table."""
    if rows:
        heads = [it.upper() for it in rows[0]]
        say_table([heads, *([_cell(it) for it in row.values()] for row in rows)])


def _cell(value: object) -> str:
    """A value for people; `--json` has it as it is."""
    match value:
        case None | "" | []:
            return "-"
        case float():
            return f"{value:.1f}"
        case list():
            return ",".join(map(str, value))
        case dict():
            return ", ".join(f"{key} {it}" for key, it in value.items())
        case _:
            return str(value)


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
@click.option("--dry-run", is_flag=True, help="Say only what it would prove; nothing is removed.")
@client_options
def purge(endpoints: str, timeout_s: float, *, as_json: bool, force: bool, dry_run: bool) -> None:
    """Have all members remove what is left of deleted counters, as far as everybody knows of it.

    Refused while somebody who counts does not answer, and the reason names who. Forced, what such a
    member lacks may come back with it for a moment, until it was told everything anew. It takes two
    rounds to remove all: ask twice.
    """
    with connect(endpoints, timeout_s) as client:
        said = client.counters.administer("prove" if dry_run else "purge", force=force)
    if as_json:
        say_json(said)
    else:
        proof = said["proof"]
        say_table([("MEMBER", "UP TO"), *((it, str(proof[it])) for it in proof)], right=(1,))
        for it in said.get("left_out", ()):
            click.echo(
                f"{it} was left out: of deleted counters, what it lacks may come back with it"
            )


@counter.command()
@click.argument("name")
@client_options
def retire(name: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    """Have all take the member that counts under NAME for away for good; print how far that is.

    What it had told anybody counts on, and so does what is still on its way between others. Refused
    while it is there. It goes stage by stage, each when all who count have answered: ask again to
    see the next one, and for whom it waits. Nobody ever counts under that name again.
    """
    with connect(endpoints, timeout_s) as client:
        said = client.counters.administer("retire", name=name)
    if as_json:
        say_json(said)
    else:
        waits_for = said.get("waits_for", "")
        click.echo(f"{said['name']}: {said['stage']}" + (f"; {waits_for}" if waits_for else ""))


@counter.group()
def link() -> None:
    """Have members of another cluster told what is counted here; `links` shows how far that is."""


def _say_links(said: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(said)
        return
    rows = [
        (it["url"], it["from"] or "everybody", "yes" if it["relay"] else "no")
        for it in said["links"]
    ]
    say_table([("URL", "FROM", "RELAYS"), *rows])


@link.command("add")
@click.argument("url")
@click.option("--from", "source", default="", help="Who tells, by its name; else everybody.")
@click.option("--relay", is_flag=True, help="Tell also what was heard of others.")
@client_options
def add_link(
    url: str, source: str, endpoints: str, timeout_s: float, *, relay: bool, as_json: bool
) -> None:
    r"""Have a link to URL, the client port of a member of another cluster; print all links.

    It goes one way: the other cluster has its own for the way back. Each member tells what it has
    counted itself, so there is a link to each member that is to hear it; with --relay it tells what
    it has heard as well, for those who cannot reach URL, and of those who are gone.

    \b
    Example:
        roost counter link add https://backup1.example.com:2379
        roost counter link add https://backup1.example.com:2379 --from gateway --relay
    """
    with connect(endpoints, timeout_s) as client:
        said = client.counters.administer("link", name=url, source=source, relay=relay)
    _say_links(said, as_json=as_json)


@link.command("rm")
@click.argument("url")
@click.option("--from", "source", default="", help="Whose link, by its name; else all to URL.")
@client_options
def remove_link(url: str, source: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    """Have no link to URL any more; print those that are left. What was told there counts on."""
    with connect(endpoints, timeout_s) as client:
        said = client.counters.administer("unlink", name=url, source=source)
    _say_links(said, as_json=as_json)


@counter.command()
@client_options
def join(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    """Show how far each endpoint has come to have the counters that the others have.

    Who feeds a new member, and whether it serves at once, is said when it is started:
    --counters-seed, --counters-silent.
    """
    rows: list[tuple[str, ...]] = [("ENDPOINT", "PHASE", "SEED", "HERE", "ROWS", "ROWS/S", "LEFT")]

    def ask(name: str, one: Client) -> None:
        said = one.counters.describe("stats")
        if as_json:
            fields = ("phase", "seed", "share", "rows_fed", "rows_fed_a_second", "left_s")
            say_json({"endpoint": name} | {it: said.get(it) for it in fields})
            return
        left_s = said.get("left_s")
        rows.append(
            (
                name,
                said.get("phase", said["state"]),
                said.get("seed", ""),
                f"{said.get('share', 0.0):.0%}",
                str(said.get("rows_fed", 0)),
                f"{said.get('rows_fed_a_second', 0.0):.0f}",
                "" if left_s is None else f"{left_s:.0f} s",
            )
        )

    at_each(endpoints, timeout_s, ask, as_json=as_json)
    if not as_json and len(rows) > 1:
        say_table(rows, right=(3, 4, 5, 6))


@counter.command()
@click.argument("data_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def renew(data_dir: Path, *, as_json: bool) -> None:
    r"""Give the counters in DATA_DIR an identity of their own: they are a copy, or an old state.

    The member must not run. Start it then with a --counters-name that nobody has counted under, and
    retire the old name: what was in the directory of it, and what others had heard, counts on.

    \b
    Example:
        roost counter renew m3.roost
    """
    try:
        lock = lock_directory(OsDisk(), data_dir)
        try:
            renewed = renew_directory(data_dir / DIRECTORY, os.urandom)
        finally:
            lock.close()
    except RoostError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        say_json({"before": renewed.before.hex(), "now": renewed.now.hex()})
        return
    click.echo(f"The counters in {data_dir} were those of {renewed.before.hex()}, and have the")
    click.echo(f"identity {renewed.now.hex()} now. Start the member with another --counters-name,")
    click.echo("and retire the old one: roost counter retire NAME")
