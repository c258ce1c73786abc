"""The data directory: whose it is, who else reaches it, who uses it, and whether we read it.

Nothing is opened that leaves a trace, neither records nor the store; the lock is only asked for.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from roost.cli.doctor.disk import existing
from roost.cli.doctor.row import Row, failed, ok, skipped, warned
from roost.cli.preflight import refuse_etcd_directory
from roost.errors import CallerFault, RoostError
from roost.journal import Identity, OsDisk, exposure_of, is_in_use, peek_identity
from roost.member import MemberConfig, cluster_id_of
from roost.member.cluster.roster import initial_records, own_record
from roost.member.directory.store_record import StoreRecord, read_record
from roost.os_errors import words_of
from roost.store import VERSION_KEY, check_version, read_metadata

_CHECK = "data directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """What a directory says of the member that it is of."""

    identity: Identity
    record: StoreRecord
    is_used: bool
    # The process that uses it, as it says itself; 0 where nobody knows.
    process: int = 0

    def store_of(self, data_dir: Path) -> Path:
        """The file of the store."""
        return data_dir / self.record.directory / "data.mdb"


def look_at_directory(data_dir: Path) -> Lived | None:
    """Whose directory it is; None when nobody has lived there.

    Raises:
        RoostError: nobody can say.
        OSError: it cannot be read.

    """
    if not data_dir.exists():
        return None
    refuse_etcd_directory(data_dir)
    disk = OsDisk()
    identity = peek_identity(disk, data_dir)
    if identity is None:
        return None
    is_used = is_in_use(data_dir)
    process = 0
    if is_used:
        with suppress(OSError, ValueError):
            process = int((data_dir / "LOCK").read_text())
    record = read_record(disk, data_dir)
    return Lived(identity=identity, record=record, is_used=is_used, process=process)


def unreadable(error: RoostError | OSError, data_dir: Path) -> Row:
    """Nobody can say whose directory it is."""
    if isinstance(error, PermissionError):
        text = f"run the doctor as the user that the member runs as; or chown -R USER {data_dir}"
        return failed(_CHECK, words_of(error), text)
    if isinstance(error, OSError):
        return failed(_CHECK, words_of(error), "see `dmesg`, and the mount")
    if isinstance(error, CallerFault):
        return failed(_CHECK, str(error), "another --data-dir")
    return failed(_CHECK, str(error), "docs/explanation/damage.md says what can be done")


def directory_rows(
    config: MemberConfig, lived: Lived | None, *, joins: bool, asked: str = ""
) -> Iterator[Row]:
    """All that is to be said of a directory that can be read; `asked` names who says the rest."""
    data_dir = config.data_dir
    if lived is None:
        yield judge_new(data_dir, can_write=os.access(existing(data_dir), os.W_OK | os.X_OK))
        if asked:
            yield skipped("first start", f"who the others are, the start asks: {asked}")
        else:
            yield membership_row(config, joins=joins)
    else:
        yield judge_lived(lived, data_dir)
        yield format_row(lived, data_dir)
    if data_dir.exists():
        yield permission_row(data_dir, is_strict=config.strict_permissions)


def judge_new(data_dir: Path, *, can_write: bool) -> Row:
    """A directory in which nobody has lived."""
    if can_write:
        return ok(_CHECK, f"{data_dir} is new: the first start fills it")
    text = f"make it for the user that the member runs as: install -d -m 700 -o USER {data_dir}"
    return failed(_CHECK, f"{data_dir} is not there, and we may not make it", text)


def membership_row(config: MemberConfig, *, joins: bool) -> Row:
    """Who a member becomes that is started on a new directory."""
    check = "first start"
    if joins:
        return ok(check, "it joins: the cluster says who it becomes")
    records = initial_records(config.initial_cluster, config.initial_cluster_token)
    try:
        own = own_record(config, records)
    except RoostError as error:
        text = "--name and --initial-advertise-peer-urls must be as --initial-cluster has them"
        return failed(check, str(error), text)
    cluster_id = cluster_id_of(it.id for it in records)
    found = f"member {own.id:x} of {len(records)} in a new cluster {cluster_id:x}"
    return ok(
        check,
        f"{found}; the number of the cluster must be the same on all",
        member_id=f"{own.id:x}",
        cluster_id=f"{cluster_id:x}",
    )


def judge_lived(lived: Lived, data_dir: Path) -> Row:
    """A directory of a member."""
    who = lived.identity
    ids = {"member_id": f"{who.member_id:x}", "cluster_id": f"{who.cluster_id:x}"}
    found = f"{data_dir} is member {who.member_id:x}'s, of cluster {who.cluster_id:x}"
    if lived.record.damage:
        text = "start the member: it fetches another store from its peers"
        return warned(_CHECK, f"{found}; its store is damaged: {lived.record.damage}", text, **ids)
    if lived.record.suspicion:
        text = "start the member: it reads all of its store first"
        suspicion = lived.record.suspicion
        return warned(_CHECK, f"{found}; its store may be damaged: {suspicion}", text, **ids)
    if lived.is_used:
        by = f"process {lived.process}" if lived.process else "another process"
        return ok(_CHECK, f"{found}, which runs: {by}", **ids, process=lived.process)
    return ok(_CHECK, f"{found}, which does not run", **ids)


def format_row(lived: Lived, data_dir: Path) -> Row:
    """Whether this version reads what is there; a store in use has been read by its member."""
    check = "format of the store"
    path = lived.store_of(data_dir)
    if lived.is_used:
        return skipped(check, "the member that runs has read it, and asks nobody beside it to")
    try:
        if not path.exists():
            text = "start the member: it fetches another store from its peers"
            return warned(check, f"{path} is not there", text)
        version = read_metadata(path, VERSION_KEY)
        check_version(version)
    except RoostError as error:
        return failed(check, str(error), "docs/explanation/damage.md says what can be done")
    if version is None:
        return ok(check, "nothing is in it yet")
    number = int.from_bytes(version, "big")
    return ok(check, f"{number}, which this version reads", version=number)


def permission_row(data_dir: Path, *, is_strict: bool) -> Row:
    """Who else reaches what a member keeps, by the rules of its start."""
    check = "permissions"
    advice = f"chmod -R go-rwx {data_dir}"
    try:
        found = exposure_of(OsDisk(), data_dir)
    except RoostError as error:
        return failed(check, str(error), "a member refuses to start on that")
    except OSError as error:
        return failed(check, words_of(error), "run the doctor as the user that the member runs as")
    if found and is_strict:
        return failed(check, found, f"{advice}: --strict-permissions refuses that")
    if found:
        return warned(check, found, f"{advice} ends that, --strict-permissions would refuse it")
    return ok(check, "nobody else reaches it")
