"""Points and tags put on series, deleted, and kept for as long as they are wanted."""

import time
from typing import Any

import click

from roost.cli.progress import counted, progress
from roost.cli.series.shared import (
    connected,
    end_option,
    length,
    name_argument,
    need,
    start_option,
    time_of,
)
from roost.cli.shared import client_options, say_json, say_table
from roost.client import series as client
from roost.client.series.requests import JOB_LOOK_S


@click.command()
@name_argument
@click.argument("value", type=float)
@click.option("--time", "at", default="now", show_default=True, help="When it was.")
@client_options
def add(
    name: str, value: float, endpoints: str, timeout_s: float, *, as_json: bool, at: str
) -> None:
    r"""Add a point; it is durable on a majority when this ends.

    \b
    Example:
        roost series add sensor1.heat 21.5
        roost series add sensor1.heat --time 2024-03-01T00:00:00Z -- -3
    """
    time_ns = time_of(at)
    with connected(endpoints, timeout_s) as connection:
        connection.add(name, time_ns, value)
    if as_json:
        say_json({"name": name, "time": time_ns, "value": value})


@click.command()
@name_argument
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option("--remove", multiple=True, help="A tag to take away; may be given again.")
@client_options
def tag(
    name: str,
    tags: tuple[str, ...],
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    remove: tuple[str, ...],
) -> None:
    r"""Put tags on a series, key:value, and print those that it has.

    \b
    Example:
        roost series tag sensor1.heat temp:C room:12
    """
    with connected(endpoints, timeout_s) as connection:
        found = connection.tag(name, add=tags, remove=remove)
    if as_json:
        say_json({"name": name, "tags": found})
    else:
        click.echo(" ".join(f"{key}:{value}" for key, value in found.items()))


@click.command()
@name_argument
@click.argument("which", type=click.Choice(["max", "last"]))
@client_options
def dedup(name: str, which: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Say which of two points of one time counts: the higher, or the one that was written later.

    It is the later, unless that is said. A series that is not there is made.

    \b
    Example:
        roost series dedup sensor1.heat max
    """
    with connected(endpoints, timeout_s) as connection:
        connection.dedup(name, which)
    if as_json:
        say_json({"name": name, "dedup": which})


@click.command()
@click.argument("name", metavar="[NAME]", default="")
@click.option("--tag", default="", help="Of all series that have this tag or label, key:value.")
@start_option
@end_option
@click.option("--all", "is_all", is_flag=True, help="The series itself, with all that it has.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Of many series: say the job, and go.")
@client_options
def delete(
    name: str,
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    tag: str,
    start: str,
    end: str,
    is_all: bool,
    yes: bool,
    no_wait: bool,
) -> None:
    r"""Delete a range of series, or one series; says how many points that is, and asks.

    Of more than 500 series it is a job, which goes on when this is interrupted: roost series jobs.

    \b
    Example:
        roost series delete sensor1.heat --start 2024-03-01 --end 2024-03-02
        roost series delete --tag temp:C --start 2020-01-01 --end 2021-01-01
    """
    need((name,) if name else (), (tag,) if tag else ())
    if is_all == bool(start and end) or (is_all and not name):
        raise click.UsageError("say --start and --end, or NAME and --all")
    if is_all and tag:
        raise click.UsageError("--all is of one series, NAME")
    with connected(endpoints, timeout_s) as connection:
        span = ("1678-01-01", "2261-12-31") if is_all else (start, end)
        count = connection.delete(name, *span, tag=tag, dry_run=True)
        if not yes:
            click.confirm(f"Delete {count} points of {name or tag}?", abort=True, err=True)
        if is_all:
            connection.delete_series(name)
            said: dict[str, Any] = {"deleted": count}
        else:
            said = connection.begin_delete(name, start, end, tag=tag)
            if "job" in said and not no_wait:
                said = _waited(connection, said, as_json=as_json)
    if as_json:
        say_json(said if "job" in said else {"name": name or tag, "deleted": said["deleted"]})
    elif said.get("state", "done") == "done":
        click.echo(f"{said['deleted']} points deleted")
    else:
        click.echo(f"job {said['job']} is {said['state']}: {said['deleted']} points deleted")


def _waited(
    connection: client.Connection, said: dict[str, Any], *, as_json: bool
) -> dict[str, Any]:
    """Show how far a job is, until it is over; what it is then."""
    with progress(f"job {said['job']}", as_json=as_json, say=counted("series")) as shown:
        while said["state"] == "running":
            time.sleep(JOB_LOOK_S)
            said = connection.job(said["job"])
            shown.note(said["series_done"], said["series"])
    return said


@click.command()
@click.option("--cancel", type=click.IntRange(1), help="Delete no more by this job.")
@client_options
def jobs(endpoints: str, timeout_s: float, *, as_json: bool, cancel: int | None) -> None:
    r"""List deletions of many series, and how far they are; or cancel one.

    \b
    Example:
        roost series jobs
        roost series jobs --cancel 7
    """
    with connected(endpoints, timeout_s) as connection:
        found = connection.jobs() if cancel is None else [connection.cancel_job(cancel)]
    if as_json:
        for row in found:
            say_json(row)
        return
    heads = ["JOB", "STATE", "SERIES", "DONE", "POINTS", "DELETED", "OF"]
    rows = [
        [
            *(str(it[key]) for key in ("job", "state", "series", "series_done", "points")),
            str(it["deleted"]),
            " ".join([*it["names"], *it["tags"], f"{it['start']}..{it['end']}"]),
        ]
        for it in found
    ]
    say_table([heads, *rows], right={0, 2, 3, 4, 5})


@click.command()
@click.argument("keep", required=False)
@click.option("--series", "name", default="", help="Of this series.")
@click.option("--tag", default="", help="Of all series that have this tag.")
@click.option("--sums", default="", help="For how long sums of them are kept: 1800d, or forever.")
@client_options
def retain(
    keep: str | None,
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    name: str,
    tag: str,
    sums: str,
) -> None:
    r"""Keep points for so long, 30d or 12h, or `forever`; without KEEP list the rules.

    With --sums windows of a quarter of an hour and longer are answered for longer than points are
    kept.

    \b
    Example:
        roost series retain 90d --tag temp:C
        roost series retain 30d --sums forever --tag temp:C
        roost series retain
    """
    if sums and keep in (None, "forever"):
        raise click.UsageError("--sums is for longer than points are kept: say KEEP, as 30d")
    with connected(endpoints, timeout_s) as connection:
        if keep is not None:
            keep = None if keep == "forever" else keep
            connection.retain(keep, series=name, tag=tag, sums=sums)
        rules = connection.rules()
    for rule in rules:
        if as_json:
            say_json(rule)
        else:
            target = f"series {rule['series']}" if "series" in rule else f"tag {rule['tag']}"
            click.echo(f"{target}\t{length(rule['keep_s'])}{_sums(rule)}")


def _sums(rule: dict[str, Any]) -> str:
    """For how long sums are kept, if that is longer."""
    if "sums_s" not in rule:
        return ""
    return ", sums " + ("forever" if rule["sums_s"] is None else length(rule["sums_s"]))


@click.command()
@click.argument("text", required=False)
@click.option("--series", "name", default="", help="Of this series.")
@click.option("--tag", default="", help="Of all series that have this tag.")
@click.option("--remove", is_flag=True, help="What was noted.")
@client_options
def note(
    text: str | None, endpoints: str, timeout_s: float, *, as_json: bool, name: str, tag: str,
    remove: bool,
) -> None:  # fmt: skip
    r"""Note something of a series or of a tag; without TEXT list what is noted.

    \b
    Example:
        roost series note "reads 2 degrees too high since May" --series sensor1.heat
        roost series note --remove --series sensor1.heat
        roost series note
    """
    if remove and text is not None:
        raise click.UsageError("say TEXT or --remove")
    with connected(endpoints, timeout_s) as connection:
        if remove or text is not None:
            connection.note(None if remove else text, series=name, tag=tag)
        notes = connection.notes()
    for it in notes:
        kind = "series" if "series" in it else "tag"
        if as_json:
            say_json(it)
        else:
            click.echo(f"{kind} {it[kind]}\t{it['note']}")
