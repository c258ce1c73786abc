"""`roost import`: a new cluster of Roost, made of what an etcd has."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from roost.cli.founding import founding_of, founding_options
from roost.cli.progress import progress, size_below
from roost.cli.shared import failed
from roost.errors import RoostError

if TYPE_CHECKING:
    from roost.moving import Taken


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@founding_options
@click.option(
    "--skip-hash-check",
    is_flag=True,
    help="Take a store's file that has no digest: it may lack what was written last.",
)
def import_command(
    source: Path,
    *,
    as_json: bool,
    skip_hash_check: bool,
    **options: Any,  # Any: what `founding_of` takes, each of its type
) -> None:
    r"""Make the directory of a member of a new cluster from what an etcd has.

    SOURCE is a snapshot, as `etcdctl snapshot save` leaves it, or the data directory of a member of
    etcd 3.4 to 3.6 that does not run, or was killed: what its log knows and its store does not is
    carried out.  Keys come with all their revisions, leases with their ids and what is left of
    them, users and roles with passwords and rights; of a directory v2's keys, too, with their
    indexes and times to live, and v2's users and roles.  Members and alarms are those of the
    cluster that was.

    Every first member imports the same file with the same options, each with its own name.

    \b
    Example:
        etcdctl snapshot save etcd.db
        roost import etcd.db --data-dir m1.roost
        roost import /var/lib/etcd --data-dir m1.roost
    """
    try:
        from roost.member import unfinished
        from roost.restoring import import_etcd

        founding = founding_of(**options)
        place = founding.data_dir
        with progress(
            f"importing {source.name}",
            as_json=as_json,
            measure=size_below(unfinished(place)),
        ):
            made = import_etcd(
                source,
                place,
                name=founding.name,
                members=founding.members,
                token=founding.token,
                bump_revision=founding.bump_revision,
                skip_hash_check=skip_hash_check,
            )
    except (RoostError, OSError) as error:
        raise failed(error) from error
    taken = made.taken
    if not as_json:
        _say(taken)
    founding.say(made, as_json=as_json, more=_row_of(taken))


def _row_of(taken: "Taken") -> dict[str, object]:
    return {
        "revision": taken.revision,
        "compact_revision": taken.compacted,
        "keys": taken.key_count,
        "revisions": taken.history_count,
        "leases": taken.lease_count,
        "users": taken.user_count,
        "roles": taken.role_count,
        "auth_enabled": taken.is_auth_enabled,
        "replayed": taken.replayed_count,
        "torn_bytes": taken.torn_bytes,
        "v2_index": taken.v2.index,
        "v2_nodes": taken.v2.node_count,
        "v2_users": taken.v2.user_count,
        "v2_roles": taken.v2.role_count,
    }


def _say(taken: "Taken") -> None:
    kept = f", compacted at {taken.compacted}" if taken.compacted else ""
    click.echo(
        f"{taken.key_count} keys at revision {taken.revision}{kept}: {taken.history_count} rows of "
        "history"
    )
    auth = "on" if taken.is_auth_enabled else "off"
    click.echo(
        f"{taken.lease_count} leases, {taken.user_count} users, {taken.role_count} roles; "
        f"authentication is {auth}"
    )
    if taken.v2.node_count or taken.v2.user_count or taken.v2.role_count:
        click.echo(
            f"v2: {taken.v2.node_count} keys and directories at index {taken.v2.index}, "
            f"{taken.v2.user_count} users, {taken.v2.role_count} roles"
        )
    if taken.replayed_count:
        click.echo(f"{taken.replayed_count} requests were in the log only, and are carried out")
    if taken.torn_bytes:
        click.echo(
            f"the log ends with {taken.torn_bytes} bytes of an entry that was never whole, so "
            "nobody was told that it is there; they are left out"
        )
