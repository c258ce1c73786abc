"""`roost.restore`: a directory made of backups, to be opened as a new database or cluster.

`roost.import_etcd` makes one of what etcd has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from roost.database.place import Urls, urls_of
from roost.etcd import raise_revision
from roost.member import Amendment, MemberConfig, begin_with
from roost.member import restore as restore_member
from roost.moving import EtcdOrigin, Taken, open_etcd
from roost.server.models import MODELS
from roost.store import Txn

_URL = "http://localhost:2380"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was made: a directory, whose member has these ids."""

    data_dir: Path
    cluster_id: int
    member_id: int


def restore(
    path: str | Path | Sequence[str | Path],
    into: str | Path,
    *,
    name: str = "default",
    members: Mapping[str, Urls] | None = None,
    token: str = "etcd-cluster",  # noqa: S107 - a name
    bump_revision: int = 0,
) -> Restored:
    """Make the directory `into` of a backup that `Database.snapshot` or `roost snapshot save` made.

    `path` is a full backup, or that and the increments that follow it.  Then `roost.open(into)`
    has what was saved.  For a new cluster each first member restores the same files with the same
    `members`, each with its own `name`, and opens its directory with them, too.

    With `bump_revision`, etcd's revisions go on so many later and all earlier ones count as
    compacted, for clients that hold revisions of what was written behind the backup.

    Raises:
        RestoreRefused: the directory holds something, or the files do not follow each other.
        BackupDamaged: a file is not what was saved.
        NotAMember: `members` does not have `name`.
        BadOpening: an address of `members` is none.
        OSError: a file cannot be read, or the directory not be made.

    """
    files = [path] if isinstance(path, str | Path) else path
    config = _config(into, name=name, members=members, token=token)
    amendment = _amendment(bump_revision)
    identity = restore_member(
        config, [Path(it) for it in files], cluster_trees=_cluster_trees(), amendment=amendment
    )
    return Restored(config.data_dir, identity.cluster_id, identity.member_id)


@dataclass(frozen=True, slots=True)
class Imported(Restored):
    """What was made, and what it holds."""

    taken: Taken


def import_etcd(
    path: str | Path,
    into: str | Path,
    *,
    name: str = "default",
    members: Mapping[str, Urls] | None = None,
    token: str = "etcd-cluster",  # noqa: S107 - a name
    bump_revision: int = 0,
    skip_hash_check: bool = False,
) -> Imported:
    """Make the directory `into` of what etcd 3.4 to 3.6 has: keys, revisions, leases, users, roles.

    `path` is a snapshot, as `etcdctl snapshot save` leaves it, or the data directory of a member
    that does not run.  All else is as `restore` has it; with `skip_hash_check` a file may be one
    without a digest at its end.

    Raises:
        EtcdFileRefused: it cannot be taken; the text says what to do.
        EtcdFileDamaged: it is not as etcd leaves it.
        RestoreRefused: the directory holds something.
        NotAMember: `members` does not have `name`.
        BadOpening: an address of `members` is none.
        OSError: a file cannot be read, or the directory not be made.

    """
    config = _config(into, name=name, members=members, token=token)
    with open_etcd(Path(path), is_hash_checked=not skip_hash_check) as source:
        origin = EtcdOrigin(source, bootstrap_models)
        amendment = _amendment(bump_revision)
        identity = begin_with(config, origin, cluster_trees=_cluster_trees(), amendment=amendment)
    assert origin.taken is not None, "a store was made"
    return Imported(config.data_dir, identity.cluster_id, identity.member_id, origin.taken)


def bootstrap_models(txn: Txn) -> None:
    """Make the trees of a new store, as its members do."""
    for it in MODELS:
        it.bootstrap(txn)


def _cluster_trees() -> list[str]:
    """In the order in which they are emptied: the same on every first member."""
    return [name for it in MODELS for name in it.cluster_trees]


def _amendment(bump_revision: int) -> Amendment | None:
    if not bump_revision:
        return None
    return Amendment(f"+{bump_revision}", partial(raise_revision, by=bump_revision))


def _config(
    into: str | Path, *, name: str, members: Mapping[str, Urls] | None, token: str
) -> MemberConfig:
    cluster = {name: (_URL,)} if members is None else {
        who: urls_of(urls) for who, urls in members.items()
    }  # fmt: skip
    own = cluster.get(name, (_URL,))
    return MemberConfig(
        name=name,
        data_dir=Path(into),
        initial_cluster=cluster,
        advertise_peer_urls=own,
        listen_peer_urls=own,
        initial_cluster_token=token,
    )
