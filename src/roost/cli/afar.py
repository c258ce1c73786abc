"""Backups that commands read and write, which may lie in a bucket: `s3://BUCKET/PREFIX/FILE`.

A command works on files.  What lies in a bucket is fetched into a directory that goes with the
command, and what is to lie there is made in one, checked, and sent: so nothing is read or sent that
is not whole.  That directory is beside what is made of it, or where TMPDIR says.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from roost.cli.exits import EXIT_USAGE
from roost.cli.interrupts import interruptible, leave
from roost.cli.progress import progress
from roost.cli.shared import Failed
from roost.errors import RoostError
from roost.member import Backup, Bucket, is_in_bucket, part_of, read_backup, split_object


class BackupFile(click.Path):
    """A file, or an object in a bucket: what a command takes as a backup, as it was said."""

    name = "file"

    def __init__(self) -> None:
        super().__init__(dir_okay=False)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Check what was said."""
        told = str(value)
        if is_in_bucket(told):
            try:
                split_object(told)
            except RoostError as error:
                self.fail(str(error), param, ctx)
            return told
        return str(super().convert(told, param, ctx))


@contextmanager
def _room(beside: Path | None) -> Iterator[Path]:
    """A directory that is gone afterwards, also when somebody interrupts the command."""
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix="roost-backup-", dir=beside))
    try:
        with interruptible(partial(_drop, room)):
            yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _drop(room: Path, number: int) -> None:
    shutil.rmtree(room, ignore_errors=True)
    leave(number)


def drop_part(file: Path, number: int) -> None:
    """Leave nothing half saved behind, and end."""
    part_of(file).unlink(missing_ok=True)
    leave(number)


def check_directory(path: Path) -> None:
    """Refuse a directory that is none, by its name.

    Raises:
        Failed: it is none.

    """
    if not path.is_dir():
        word = "no directory" if path.exists() else "not there"
        raise Failed(f"the directory {path} is {word}: make it first, or name another", EXIT_USAGE)


@contextmanager
def brought(
    files: Sequence[str], *, as_json: bool, beside: Path | None = None
) -> Iterator[list[Path]]:
    """The same files here; those of a bucket for as long as the block runs."""
    if not any(map(is_in_bucket, files)):
        yield [Path(it) for it in files]
        return
    with _room(beside) as room:
        yield [_bring(it, room / str(number), as_json) for number, it in enumerate(files)]


def _bring(file: str, room: Path, as_json: bool) -> Path:  # noqa: FBT001 - as a command has it
    if not is_in_bucket(file):
        return Path(file)
    place, name = split_object(file)
    room.mkdir()
    target = room / name
    with (
        Bucket(place).open(name) as opened,
        target.open("xb") as written,
        progress(f"fetching {name}", as_json=as_json, total=opened.size_bytes) as shown,
    ):
        for piece in opened.pieces:
            written.write(piece)
            shown.add(len(piece))
    return target


@contextmanager
def sent(file: str, *, as_json: bool) -> Iterator[Path]:
    """Where to make a backup; it is checked and sent when the block ends well."""
    if not is_in_bucket(file):
        check_directory(Path(file).absolute().parent)
        with interruptible(partial(drop_part, Path(file))):
            yield Path(file)
        return
    place, name = split_object(file)
    bucket = Bucket(place)
    with _room(None) as room:
        made = room / name
        yield made
        saved = read_backup(made)
        with progress(f"sending {name}", as_json=as_json, total=saved.size_bytes) as shown:
            count = 0

            def hear(_phase: str, done: int) -> None:
                nonlocal count
                shown.add(done - count)
                count = done

            bucket.save(name, saved, hear)


def position_of(file: str, *, as_json: bool) -> Backup:
    """What a backup ends at; what a bucket says of it needs no reading.

    Raises:
        BackupDamaged: it is none, or not what was saved.

    """
    if is_in_bucket(file):
        place, name = split_object(file)
        if (held := Bucket(place).position(name)) is not None:
            return held
    with brought([file], as_json=as_json) as [path]:
        return read_backup(path)
