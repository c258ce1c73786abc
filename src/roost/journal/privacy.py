"""Who else can read or write what a member keeps.

A directory, or a file in it, that belongs to another user is refused: that user can change it
under our hands.  The superuser can do that anywhere, so what belongs to it, as mounted volumes
do, is taken.  Rights of group or others, and symbolic links, are said by name, since volumes come
with modes like 0755 or 2770 and nobody can change that; `is_strict` refuses them, too.
"""

import logging
import os
from pathlib import Path

from roost.journal.disk import Disk
from roost.journal.errors import UnsafePermissions

logger = logging.getLogger(__name__)
_OTHERS, _OTHERS_WRITE = 0o077, 0o022
_SUPERUSER = 0
_NAMES_MAX = 8
# What a file system keeps in the root of a volume is not ours.
_NOT_OURS = frozenset({"lost+found"})


def refuse_foreign(disk: Disk, path: Path) -> None:
    """Refuse what another user owns, be it a link or what it leads to.

    Raises:
        UnsafePermissions: another user does.

    """
    # The link and what it leads to are two things to own: who owns the link may lead it elsewhere
    # tomorrow, who owns the target may change it today.
    own = os.geteuid()
    for follows in (False, True):
        owner = disk.facts(path, follows=follows).owner
        if owner not in (own, _SUPERUSER):
            text = f"{path} belongs to user {owner}, and this process is user {own}'s"
            # Not of all below it: that may be somebody's home, or a whole machine.
            advice = f"give the member a directory of its own; or chown {own} {path}"
            raise UnsafePermissions(f"{text}: {advice}, or run as that user")


def check_private(disk: Disk, directory: Path, *, is_strict: bool) -> None:
    """Look at a member's directory and all that is in it.

    Raises:
        UnsafePermissions: another user owns something; with `is_strict` also when others have
            any right, or a symbolic link leads elsewhere.

    """
    text = exposure_of(disk, directory)
    if not text:
        return
    advice = f"chmod -R go-rwx {directory}, where nothing but a member's data is,"
    # A warning by default, and not for comfort: container platforms mount volumes with modes that
    # the process may not change, and a member that refuses to start protects nobody's data there.
    if is_strict:
        raise UnsafePermissions(f"{text}: {advice} or start without --strict-permissions")
    logger.warning("%s; %s ends that, --strict-permissions would refuse it", text, advice)


def exposure_of(disk: Disk, directory: Path) -> str:
    """What of a member's directory others than its owner reach; empty when that is nothing.

    Raises:
        UnsafePermissions: another user owns something.

    """
    # Everything is looked at before anything is said: whoever repairs a directory wants the list,
    # not one name a start.
    found: list[str] = []
    for path in _all_in(disk, directory):
        refuse_foreign(disk, path)
        if reason := _exposure(disk, path):
            found.append(f"{path} {reason}")
    if not found:
        return ""
    named = "; ".join(found[:_NAMES_MAX])
    rest = f"; and {len(found) - _NAMES_MAX} more" if len(found) > _NAMES_MAX else ""
    return f"others than the owner reach this member's data: {named}{rest}"


def _all_in(disk: Disk, directory: Path) -> list[Path]:
    """The directory, what is in it, and what is in its directories."""
    # Two levels are all that a member makes; what lies deeper is somebody else's and not read.
    found = [directory]
    for name in disk.list_directory(directory):
        if name in _NOT_OURS:
            continue
        path = directory / name
        found.append(path)
        if disk.facts(path, follows=True).is_directory:
            found += [path / it for it in disk.list_directory(path)]
    return found


def _exposure(disk: Disk, path: Path) -> str:
    """What is wrong with one path; empty when nothing is."""
    said = ["is a symbolic link"] if disk.facts(path, follows=False).is_link else []
    # The mode of the target: every link is 0777, which says nothing.
    mode = disk.facts(path, follows=True).mode
    if mode & _OTHERS_WRITE:
        said.append(f"can be written by others (mode {mode:04o})")
    elif mode & _OTHERS:
        said.append(f"can be read by others (mode {mode:04o})")
    return " and ".join(said)
