"""`roost snapshot`: save a backup, look at one, make a new cluster of it."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from roost.cli.founding import founding_of, founding_options
from roost.cli.interrupts import interruptible, leave
from roost.cli.progress import Progress, progress, size_below
from roost.cli.shared import client_options, connect, failed, say_json
from roost.client import Client, ClientError, is_lost
from roost.errors import RoostError
from roost.member import Backup, part_of, read_backup, unfinished, write_full, write_increment
from roost.moving import EtcdHeld, Given, convert, is_etcd_file, look_at
from roost.restoring import restore

_PATH = click.Path(path_type=Path, dir_okay=False)


@click.group()
def snapshot() -> None:
    """Save backups of a running cluster, and restore them."""


@snapshot.command()
@client_options
@click.argument("file", type=_PATH)
@click.option("--since", type=_PATH, help="Save only what was written behind this backup.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["roost", "etcd"]),
    default="roost",
    show_default=True,
    help="roost: everything, for `restore`; etcd: keys, leases and users, for a real etcd.",
)
def save(
    endpoints: str, timeout_s: float, file: Path, since: Path | None, form: str, *, as_json: bool
) -> None:
    r"""Save everything a member holds, while it serves.

    When a member is gone meanwhile, the next endpoint is asked for all of it.

    \b
    Example:
        roost snapshot save monday.db
        roost snapshot save tuesday.inc --since monday.db
        roost snapshot save etcd.db --format etcd
        etcdutl snapshot restore etcd.db --data-dir etcd-data
    """
    if form == "etcd":
        if since is not None:
            raise click.UsageError("--since goes with Roost's own format: etcd has no increments")
        _save_for_etcd(endpoints, timeout_s, file, as_json=as_json)
        return
    try:
        base = None if since is None else read_backup(since)
        with interruptible(partial(_drop, file)), connect(endpoints, timeout_s) as client:
            saved = _save(client, file, base, as_json=as_json)
    except (RoostError, OSError) as error:
        raise failed(error) from error
    _say(saved, as_json=as_json)


def _save_for_etcd(endpoints: str, timeout_s: float, file: Path, *, as_json: bool) -> None:
    """Save all of it beside the file, and make etcd's of that."""
    whole = file.with_name(file.name + ".roost")
    try:
        with interruptible(partial(_drop, whole)), connect(endpoints, timeout_s) as client:
            _save(client, whole, None, as_json=as_json)
        given = _convert([whole], file, as_json=as_json)
    except (RoostError, OSError) as error:
        raise failed(error) from error
    finally:
        whole.unlink(missing_ok=True)
    _say_given(given, as_json=as_json)


@snapshot.command("convert")
@click.argument("files", type=_PATH, nargs=-1, required=True)
@click.option("--output", type=_PATH, required=True, help="The file to write, for etcd.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def convert_command(files: tuple[Path, ...], output: Path, *, as_json: bool) -> None:
    r"""Make a snapshot of etcd's from a full backup and its increments.

    `etcdutl snapshot restore` makes members of a real etcd of it: keys with their revisions,
    leases, users and roles are those that Roost has.

    \b
    Example:
        roost snapshot convert monday.db tuesday.inc --output etcd.db
        etcdutl snapshot restore etcd.db --data-dir etcd-data
    """
    try:
        given = _convert(files, output, as_json=as_json)
    except (RoostError, OSError) as error:
        raise failed(error) from error
    _say_given(given, as_json=as_json)


def _convert(files: Sequence[Path], output: Path, *, as_json: bool) -> Given:
    """Convert, and show what was written of the file."""
    with progress(
        f"writing {output.name} for etcd", as_json=as_json, measure=size_below(part_of(output))
    ):
        return convert(files, output)


def _say_given(given: Given, *, as_json: bool) -> None:
    if as_json:
        say_json(
            {
                "file": str(given.path),
                "kind": "etcd",
                "revision": given.revision,
                "compact_revision": given.compacted,
                "keys": given.key_count,
                "leases": given.lease_count,
                "users": given.user_count,
                "roles": given.role_count,
                "bytes": given.size_bytes,
                "sha256": given.digest,
                "left_out": list(given.left_out),
            }
        )
        return
    held = f"{given.key_count} keys at revision {given.revision}, {given.lease_count} leases"
    people = f"{given.user_count} users, {given.role_count} roles"
    click.echo(f"{given.path}: etcd's format, {held}, {people}")
    click.echo(f"{given.size_bytes} bytes, sha256 {given.digest}")
    if given.left_out:
        trees = ", ".join(given.left_out)
        click.echo(f"left out, since etcd has no place for it: {trees}", err=True)


def _drop(file: Path, number: int) -> None:
    """Leave nothing half saved behind."""
    part_of(file).unlink(missing_ok=True)
    leave(number)


def _save(client: Client, file: Path, base: Backup | None, *, as_json: bool) -> Backup:
    """Save from one endpoint; from the next, and from the start, when it breaks."""
    for left in range(len(client.endpoints) - 1, -1, -1):
        try:
            with progress(f"saving {file.name}", as_json=as_json) as shown:
                if base is None:
                    return write_full(file, _shown(client.snapshot(), shown))
                written = client.written_since(base.index, base.term)
                return write_increment(file, base, _shown(written, shown))
        except ClientError as error:
            if not left or not is_lost(error):
                raise
            click.echo(f"a member is gone, asking the next: {error}", err=True)
    raise AssertionError("there is an endpoint")


def _shown(blobs: Iterator[bytes], shown: Progress) -> Iterator[bytes]:
    """Pass blobs through, showing how many bytes have come."""
    for blob in blobs:
        shown.add(len(blob))
        yield blob


@snapshot.command()
@click.argument("file", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def status(file: Path, *, as_json: bool) -> None:
    r"""Check a backup, or a snapshot of etcd's, and say what it holds.

    \b
    Example:
        roost snapshot status monday.db
    """
    try:
        if is_etcd_file(file):
            with progress(f"checking {file.name}", as_json=as_json):
                look = look_at(file)
            _say_etcd(look, as_json=as_json)
            return
        with progress(f"checking {file.name}", as_json=as_json):
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


def _say_etcd(held: EtcdHeld, *, as_json: bool) -> None:
    if as_json:
        say_json(
            {
                "file": str(held.path),
                "kind": "etcd",
                "revision": held.revision,
                "compact_revision": held.compacted,
                "revisions": held.history_count,
                "bytes": held.size_bytes,
                "sha256": held.digest,
            }
        )
        return
    rows = f"{held.history_count} rows of history up to revision {held.revision}"
    click.echo(f"{held.path}: a snapshot of etcd's, {rows}: `roost import` takes it")
    click.echo(f"{held.size_bytes} bytes, sha256 {held.digest}")


@snapshot.command("restore")
@click.argument("files", type=_PATH, nargs=-1, required=True)
@founding_options
def restore_command(
    files: tuple[Path, ...],
    *,
    as_json: bool,
    **options: Any,  # Any: what `founding_of` takes, each of its type
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
    try:
        founding = founding_of(**options)
        place = founding.data_dir
        with progress(
            f"restoring {place.name}",
            as_json=as_json,
            total=sum(it.stat().st_size for it in files),
            measure=size_below(unfinished(place)),
        ):
            made = restore(
                files,
                place,
                name=founding.name,
                members=founding.members,
                token=founding.token,
                bump_revision=founding.bump_revision,
            )
    except (RoostError, OSError) as error:
        raise failed(error) from error
    founding.say(made, as_json=as_json)
