"""A snapshot of etcd's, made of our backups."""

from collections.abc import Sequence
from pathlib import Path

from roost.member import open_backups, part_of
from roost.moving.giving import Given, write_etcd_file


def convert(paths: Sequence[Path], target: Path) -> Given:
    """Write what a full backup and its increments come to as a snapshot of etcd's.

    The backups are put together beside `target`, so there must be room for both.

    Raises:
        RestoreRefused: the files do not follow each other.
        BackupDamaged: one is not what was saved.
        NotForEtcd: something has no place in a file of etcd's.
        OSError: a file cannot be read, or not be written.

    """
    scratch = target.with_name(target.name + ".converting")
    with open_backups(paths, scratch) as view:
        return write_etcd_file(view, target, part_of(target))
