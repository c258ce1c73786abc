"""Whose directory this is: an `identity` record (see `twin`), written once.

It is written again only when a survivor founds a new cluster; then `journal_id` keeps the cluster
id that stands in the heads of the journal's segments.

A directory that belongs to another member or cluster is refused by name, and so is one of another
user.  `LOCK` is held with flock while a process uses the directory.
"""

import os
from pathlib import Path

import msgspec

from roost.errors import UNDECODABLE
from roost.journal.disk import Disk, File, is_locked
from roost.journal.errors import DirectoryLocked, JournalDamaged, WrongIdentity
from roost.journal.privacy import refuse_foreign
from roost.journal.twin import Twin, peek_record
from roost.raft.types import Count, Id


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a directory belongs to; `created` is in seconds since 1970.

    `incarnation` grows whenever the member's directory is made anew.
    """

    cluster_id: Id
    member_id: Id
    incarnation: Count
    created: float
    format: int = 1
    journal_id: Id = 0

    @property
    def segment_cluster_id(self) -> int:
        """The cluster id in the heads of the segments: the first this directory had."""
        return self.journal_id or self.cluster_id


def lock_directory(disk: Disk, directory: Path) -> File:
    """Make the directory if needed, check that it is ours, and take its lock.

    Raises:
        UnsafePermissions: it belongs to another user.
        DirectoryLocked: another process holds the lock.

    """
    disk.make_directory(directory)
    # Before the lock: a file of ours in somebody else's directory is theirs to replace.
    refuse_foreign(disk, directory)
    lock = disk.lock(directory / "LOCK")
    if lock is None:
        raise DirectoryLocked(
            f"{directory} is used by another process, or was opened in this one already: close it "
            "there first; the file LOCK in it says the process"
        )
    # For whoever looks with `cat`; the kernel alone says who holds it, and gives it back when the
    # process ends however it ends.  Nothing is ever decided by this number.
    lock.pwrite([f"{os.getpid():<20}\n".encode()], 0)
    return lock


def is_in_use(directory: Path) -> bool:
    """Whether a process holds the lock of a directory, which is left as it is.

    The lock is asked for as one reader of many, and given back at once; a member that takes it in
    that very moment is refused, and has to be started again.
    """
    return is_locked(directory / "LOCK")


def load_identity(disk: Disk, directory: Path) -> Identity | None:
    """Read whose directory this is; None when it is new.

    A copy that is damaged, or gone, is written anew.

    Raises:
        JournalDamaged: there was an identity, and it cannot be read, or is gone.

    """
    return _identity_in(_load_body(disk, directory), disk, directory)


def peek_identity(disk: Disk, directory: Path) -> Identity | None:
    """Read whose directory this is, as `load_identity` does, and leave no trace.

    Raises:
        JournalDamaged, UnknownFormat: see `load_identity`.

    """
    return _identity_in(peek_record(disk, directory, "identity"), disk, directory)


def _identity_in(body: bytes | None, disk: Disk, directory: Path) -> Identity | None:
    if body is None:
        # The identity is the first that is made durable: whatever else is there has lived.  A new
        # one in its place would be a new member in the clothes of an old one: the others count
        # on votes and entries that it would not know of.
        if any(disk.exists(directory / name) for name in ("hard.a", "hard.b")):
            fact = "whose directory this is cannot be told any more: put a copy of it back, or "
            raise JournalDamaged(
                directory / "identity.a", 0, 0, f"{fact}remove this member and add another"
            )
        return None
    try:
        return msgspec.json.decode(body, type=Identity)
    except UNDECODABLE as error:
        raise JournalDamaged(directory / "identity.a", 0, 0, f"the identity: {error}") from error


def _load_body(disk: Disk, directory: Path) -> bytes | None:
    """What either copy says; one that is not there, or not good, is written anew."""
    if not any(disk.exists(directory / f"identity.{it}") for it in "ab"):
        return None
    twin = Twin(disk, directory, "identity")
    try:
        body = twin.load()
        # It is written once and read for years: a copy that rots is not to wait for the other.
        if body is not None and twin.is_damaged:
            twin.save(body)
        return body
    finally:
        twin.close()


def save_identity(disk: Disk, directory: Path, identity: Identity) -> None:
    """Write the identity of a new directory durably; never over another one.

    Raises:
        WrongIdentity: the directory has one already.

    """
    held = load_identity(disk, directory)
    if held is not None:
        # Whoever joins or restores into a directory that has lived would put two members' promises
        # on one disk.
        raise WrongIdentity(f"{directory} belongs to member {held.member_id:x} already")
    replace_identity(disk, directory, identity)


def replace_identity(disk: Disk, directory: Path, identity: Identity) -> None:
    """Write an identity durably, whatever there was; a crash leaves the old or the new one."""
    twin = Twin(disk, directory, "identity")
    try:
        twin.save(msgspec.json.encode(identity))
    finally:
        twin.close()
