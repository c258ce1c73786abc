"""`roost snapshot`: save a backup, look at one, make a new cluster of it."""

import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from roost.cli.interrupts import interruptible, leave
from roost.cli.shared import client_options, connect, failed, say_json
from roost.client import Client, ClientError, is_lost
from roost.errors import RoostError
from roost.etcd import REVISION_MAX
from roost.member import Backup, part_of, read_backup, write_full, write_increment
from roost.restoring import restore
from roost.settings.urls import parse_initial_cluster

_PATH = click.Path(path_type=Path, dir_okay=False)


@click.group()
def snapshot() -> None:
    """Save backups of a running cluster, and restore them."""


@snapshot.command()
@client_options
@click.argument("file", type=_PATH)
@click.option("--since", type=_PATH, help="Save only what was written behind this backup.")
def save(
    endpoints: str, timeout_s: float, file: Path, since: Path | None, *, as_json: bool
) -> None:
    r"""Save everything a member holds, while it serves.

    When a member is gone meanwhile, the next endpoint is asked for all of it.

    \b
    Example:
        roost snapshot save monday.db
        roost snapshot save tuesday.inc --since monday.db
    """
    try:
        base = None if since is None else read_backup(since)
        with interruptible(partial(_drop, file)), connect(endpoints, timeout_s) as client:
            saved = _save(client, file, base, as_json=as_json)
    except (RoostError, OSError) as error:
        raise failed(error) from error
    _say(saved, as_json=as_json)


def _drop(file: Path, number: int) -> None:
    """Leave nothing half saved behind."""
    part_of(file).unlink(missing_ok=True)
    leave(number)


def _save(client: Client, file: Path, base: Backup | None, *, as_json: bool) -> Backup:
    """Save from one endpoint; from the next, and from the start, when it breaks."""
    for left in range(len(client.endpoints) - 1, -1, -1):
        try:
            if base is None:
                return write_full(file, _shown(client.snapshot(), as_json=as_json))
            return write_increment(file, base, client.written_since(base.index, base.term))
        except ClientError as error:
            if not left or not is_lost(error):
                raise
            click.echo(f"a member is gone, asking the next: {error}", err=True)
    raise AssertionError("there is an endpoint")


def _shown(blobs: Iterator[bytes], *, as_json: bool) -> Iterator[bytes]:
    """Pass blobs through, showing how many bytes have come."""
    count = 0
    for blob in blobs:
        count += len(blob)
        if not as_json and count % (8 << 20) < len(blob):
            click.echo(f"\r{count >> 20} MiB", nl=False, err=True)
        yield blob
    if not as_json and count >= 8 << 20:
        click.echo(err=True)


@snapshot.command()
@click.argument("file", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def status(file: Path, *, as_json: bool) -> None:
    r"""Check a backup, and say what it holds.

    \b
    Example:
        roost snapshot status monday.db
    """
    try:
        held = read_backup(file)
    except (RoostError, OSError) as error:
        raise failed(error) from error
    _say(held, as_json=as_json)


def _say(held: Backup, *, as_json: bool) -> None:
    kind = "full" if held.is_full else "increment"
    if as_json:
        say_json(
            {
                "file": str(held.path),
                "kind": kind,
                "base_index": held.base_index,
                "index": held.index,
                "term": held.term,
                "bytes": held.size_bytes,
                "sha256": held.digest,
            }
        )
        return
    follows = "" if held.is_full else f", behind entry {held.base_index}"
    click.echo(f"{held.path}: {kind}, everything up to entry {held.index}{follows}")
    click.echo(f"{held.size_bytes} bytes, sha256 {held.digest}")


@snapshot.command("restore")
@click.argument("files", type=_PATH, nargs=-1, required=True)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Default: <name>.roost.")
@click.option("--name", default="default", show_default=True, help="Name of this member.")
@click.option("--initial-cluster", help="All members of the new cluster: name=url,name=url.")
@click.option(
    "--initial-advertise-peer-urls",
    "advertised",
    default="http://localhost:2380",
    show_default=True,
    help="Peer URLs of this member.",
)
@click.option("--initial-cluster-token", "token", default="etcd-cluster", show_default=True)
@click.option(
    "--bump-revision",
    "raised_by",
    type=click.IntRange(0, REVISION_MAX),
    default=0,
    help="Go on so many revisions later, more than were written behind the backup.",
)
@click.option(
    "--mark-compacted",
    is_flag=True,
    help="Count all earlier revisions as compacted; goes with --bump-revision.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def restore_command(
    files: tuple[Path, ...],
    data_dir: Path | None,
    name: str,
    initial_cluster: str | None,
    advertised: str,
    token: str,
    raised_by: int,
    *,
    mark_compacted: bool,
    as_json: bool,
) -> None:
    r"""Make the directory of a member of a new cluster from a full backup and its increments.

    Every first member restores the same files with the same options, each with its own name.
    Clients that hold revisions of the old cluster, as caches and controllers do, must not meet
    the same revisions with other contents: for them, --bump-revision and --mark-compacted.

    \b
    Example:
        roost snapshot restore monday.db tuesday.inc --data-dir restored
        roost snapshot restore monday.db --bump-revision 1000000000 --mark-compacted
    """
    if bool(raised_by) != mark_compacted:
        raise click.UsageError("--bump-revision and --mark-compacted go together: give both")
    try:
        made = restore(
            files,
            data_dir or Path(f"{name}.roost"),
            name=name,
            members=parse_initial_cluster(initial_cluster or f"{name}={advertised}"),
            token=token,
            bump_revision=raised_by,
        )
    except (RoostError, OSError) as error:
        raise failed(error) from error
    if as_json:
        row = {"data_dir": str(made.data_dir), "cluster_id": f"{made.cluster_id:x}"}
        say_json({**row, "member_id": f"{made.member_id:x}"})
        return
    click.echo(f"Member {name!r} ({made.member_id:x}) of a new cluster {made.cluster_id:x}")
    words = ["roost", "serve", "--name", name, "--data-dir", str(made.data_dir)]
    words += ["--initial-advertise-peer-urls", advertised, "--listen-peer-urls", advertised]
    click.echo(f"Start it with: {shlex.join(words)}")
    click.echo("and the client URLs that it shall have.")
