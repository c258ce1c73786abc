"""`roost snapshot`: save a backup, look at one, make a new cluster of it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from roost.cli.afar import BackupFile, brought, check_directory, drop_part, position_of, sent
from roost.cli.founding import founding_of, founding_options
from roost.cli.interrupts import interruptible
from roost.cli.progress import Progress, progress, size_below
from roost.cli.shared import client_options, connect, failed, say_json
from roost.client import Client, ClientError, is_lost
from roost.errors import RoostError
from roost.member import (
    Backup,
    BackupFailed,
    chain,
    check_place,
    is_in_bucket,
    list_all,
    location_of,
    part_of,
    read_backup,
    shelf_at,
    unfinished,
    write_checked,
    write_increment,
)
from roost.moving import EtcdHeld, Given, convert, is_etcd_file, look_at
from roost.restoring import restore

_PATH = click.Path(path_type=Path, dir_okay=False)
_BACKUP = BackupFile()


@click.group()
def snapshot() -> None:
    """Save backups of a running cluster, and restore them."""


@snapshot.command()
@client_options
@click.argument("file", type=_BACKUP)
@click.option("--since", type=_BACKUP, help="Save only what was written behind this backup.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["roost", "etcd"]),
    default="roost",
    show_default=True,
    help="roost: everything, for `restore`; etcd: keys, leases and users, for a real etcd.",
)
def save(
    endpoints: str, timeout_s: float, file: str, since: str | None, form: str, *, as_json: bool
) -> None:
    r"""Save everything a member holds, while it serves.

    When a member is gone meanwhile, the next endpoint is asked for all of it.  A file may lie in a
    bucket: s3://BUCKET/PREFIX/FILE, with ?endpoint=URL&region=NAME behind it where the store is not
    Amazon's (or AWS_ENDPOINT_URL, AWS_REGION), credentials by AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY.  It is made in a directory of TMPDIR, checked, and sent.

    \b
    Example:
        roost snapshot save monday.db
        roost snapshot save tuesday.inc --since monday.db
        roost snapshot save s3://backups/week-48/monday.db
        roost snapshot save etcd.db --format etcd
        etcdutl snapshot restore etcd.db --data-dir etcd-data
    """
    if form == "etcd":
        if since is not None:
            raise click.UsageError("--since goes with Roost's own format: etcd has no increments")
        if is_in_bucket(file):
            raise click.UsageError("--format etcd makes a file here, for etcdutl")
        _save_for_etcd(endpoints, timeout_s, Path(file), as_json=as_json)
        return
    try:
        base = None if since is None else position_of(since, as_json=as_json)
        with sent(file, as_json=as_json) as path, connect(endpoints, timeout_s) as client:
            saved = _save(client, path, base, as_json=as_json)
    except (RoostError, OSError) as error:
        raise failed(error) from error
    _say(saved, file, as_json=as_json)


def _save_for_etcd(endpoints: str, timeout_s: float, file: Path, *, as_json: bool) -> None:
    """Save all of it beside the file, and make etcd's of that."""
    whole = file.with_name(file.name + ".roost")
    try:
        with interruptible(partial(drop_part, whole)), connect(endpoints, timeout_s) as client:
            _save(client, whole, None, as_json=as_json)
        given = _convert([whole], file, as_json=as_json)
    except (RoostError, OSError) as error:
        raise failed(error) from error
    finally:
        whole.unlink(missing_ok=True)
    _say_given(given, as_json=as_json)


@snapshot.command("convert")
@click.argument("files", type=_BACKUP, nargs=-1, required=True)
@click.option("--output", type=_PATH, required=True, help="The file to write, for etcd.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def convert_command(files: tuple[str, ...], output: Path, *, as_json: bool) -> None:
    r"""Make a snapshot of etcd's from a full backup and its increments.

    `etcdutl snapshot restore` makes members of a real etcd of it: keys with their revisions,
    leases, users and roles are those that Roost has.

    \b
    Example:
        roost snapshot convert monday.db tuesday.inc --output etcd.db
        etcdutl snapshot restore etcd.db --data-dir etcd-data
    """
    try:
        with brought(files, as_json=as_json, beside=output.absolute().parent) as paths:
            given = _convert(paths, output, as_json=as_json)
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


def _save(client: Client, file: Path, base: Backup | None, *, as_json: bool) -> Backup:
    """Save from one endpoint; from the next, and from the start, when it breaks."""
    for left in range(len(client.endpoints) - 1, -1, -1):
        try:
            with progress(f"saving {file.name}", as_json=as_json) as shown:
                if base is None:
                    return write_checked(file, _shown(client.snapshot(), shown))
                written = client.written_since(base.index, base.term, base.cluster_id)
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
@click.argument("file", type=_BACKUP)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def status(file: str, *, as_json: bool) -> None:
    r"""Check a backup, or a snapshot of etcd's, and say what it holds.

    \b
    Example:
        roost snapshot status monday.db
        roost snapshot status s3://backups/week-48/monday.db
    """
    try:
        with (
            brought([file], as_json=as_json) as [path],
            progress(f"checking {path.name}", as_json=as_json),
        ):
            held = look_at(path) if is_etcd_file(path) else read_backup(path)
    except (RoostError, OSError) as error:
        raise failed(error) from error
    if isinstance(held, EtcdHeld):
        _say_etcd(held, file, as_json=as_json)
    else:
        _say(held, file, as_json=as_json)


@snapshot.command("list")
@click.argument("place")
@click.option(
    "--chain",
    "member",
    default="",
    metavar="MEMBER",
    help="Only what `restore` takes of what this member saved by the clock, as paths, in order.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_command(place: str, member: str, *, as_json: bool) -> None:
    r"""Say which files lie in a directory, or below s3://BUCKET/PREFIX, the newest first.

    Each with its name, its size in bytes, and when it was made (UTC).  With --chain the newest full
    backup of a member and the increments that follow it.

    \b
    Example:
        roost snapshot list /var/backups/roost
        roost snapshot list s3://backups/week-48
        roost snapshot restore $(roost snapshot list backups --chain m1) --data-dir m1.new --name m1
    """
    if not is_in_bucket(place):
        check_directory(Path(place))
    try:
        check_place(place)
        if member:
            _say_chain(place, member, as_json=as_json)
            return
        listed = list_all(shelf_at(place), of_members=False)
    except (RoostError, OSError) as error:
        raise failed(error) from error
    for it in listed.backups:
        at = datetime.fromtimestamp(it.at_s, UTC).isoformat(timespec="seconds")
        if as_json:
            say_json({"file": it.name, "bytes": it.size_bytes, "at": at})
        else:
            click.echo(f"{it.name} {it.size_bytes} {at}")
    if listed.is_cut:
        click.echo(f"there are more: these are the newest {len(listed.backups)}", err=True)


def _say_chain(place: str, member: str, *, as_json: bool) -> None:
    """The locations of a chain.

    Raises:
        BackupFailed: there is no full backup of that member.

    """
    found = chain(shelf_at(place), member)
    if not found.files:
        raise BackupFailed(
            f"there is no full backup that {member!r} saved by the clock in {place}:"
            " `roost snapshot list` without --chain says what there is"
        )
    for it in found.files:
        location = location_of(place, it.name)
        if as_json:
            say_json({"file": location, "bytes": it.size_bytes})
        else:
            click.echo(location)
    if found.cut_off:
        click.echo(
            f"something is gone behind {found.files[-1].name}: {len(found.cut_off)} increments"
            f" from {found.cut_off[0].name} on can be restored by nobody",
            err=True,
        )


def _say(held: Backup, name: str, *, as_json: bool) -> None:
    kind = "full" if held.is_full else "increment"
    if as_json:
        say_json(
            {
                "file": name,
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
    click.echo(f"{name}: {kind}, everything up to entry {held.index}{follows}")
    click.echo(f"{held.size_bytes} bytes, sha256 {held.digest}")


def _say_etcd(held: EtcdHeld, name: str, *, as_json: bool) -> None:
    if as_json:
        say_json(
            {
                "file": name,
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
    click.echo(f"{name}: a snapshot of etcd's, {rows}: `roost import` takes it")
    click.echo(f"{held.size_bytes} bytes, sha256 {held.digest}")


@snapshot.command("restore")
@click.argument("files", type=_BACKUP, nargs=-1, required=True)
@founding_options
def restore_command(
    files: tuple[str, ...],
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
        roost snapshot restore s3://backups/week-48/monday.db --data-dir restored
        roost snapshot restore monday.db --bump-revision 1000000000 --mark-compacted
    """
    try:
        founding = founding_of(**options)
        place = founding.data_dir
        near = place.absolute().parent
        with (
            brought(files, as_json=as_json, beside=near) as paths,
            progress(
                f"restoring {place.name}",
                as_json=as_json,
                total=sum(it.stat().st_size for it in paths),
                measure=size_below(unfinished(place)),
            ),
        ):
            made = restore(
                paths,
                place,
                name=founding.name,
                members=founding.members,
                token=founding.token,
                bump_revision=founding.bump_revision,
            )
    except (RoostError, OSError) as error:
        raise failed(error) from error
    founding.say(made, as_json=as_json)
