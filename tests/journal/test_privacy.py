"""Who else may reach a member's data: refused, or said by name."""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from roost.journal import Identity, Journal, OsDisk, UnsafePermissions, check_private
from roost.journal.disk import PathFacts
from roost.journal.identity import lock_directory

IDENTITY = Identity(cluster_id=1, member_id=2, incarnation=3, created=0.0)
SOMEBODY = 12345


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A member's directory, as we make it."""
    directory = tmp_path / "deep" / "data"
    before = os.umask(0)
    try:
        Journal.open(directory, identity=IDENTITY).close()
    finally:
        os.umask(before)
    return directory


class OthersDisk(OsDisk):
    """A disk on which another user owns one path."""

    def __init__(self, theirs: Path, owner: int = SOMEBODY) -> None:
        """`theirs` is `owner`'s."""
        self._theirs = theirs
        self._owner = owner

    def facts(self, path: Path, *, follows: bool) -> PathFacts:
        """As it is, but for the owner."""
        found = super().facts(path, follows=follows)
        return replace(found, owner=self._owner) if path == self._theirs else found


def test_all_that_we_make_is_only_for_us_whatever_the_umask(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert (home.parent.stat().st_mode & 0o777) == 0o700, "also what lies above"
    check_private(OsDisk(), home, is_strict=True)
    assert not caplog.records


def open_to(name: str, mode: int) -> Callable[[Path], None]:
    return lambda home: (home / name).chmod(mode)


def move_away(name: str) -> Callable[[Path], None]:
    def move(home: Path) -> None:
        away = home.parent / "elsewhere"
        (home / name).rename(away)
        (home / name).symlink_to(away)

    return move


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (open_to("", 0o755), "data can be read by others (mode 0755)"),
        (open_to("", 0o2770), "data can be written by others (mode 2770)"),
        (open_to("hard.a", 0o644), "hard.a can be read by others (mode 0644)"),
        (open_to("identity.b", 0o660), "identity.b can be written by others (mode 0660)"),
        (open_to("wal", 0o750), "wal can be read by others (mode 0750)"),
        (move_away("wal"), "wal is a symbolic link"),
    ],
)
def test_what_others_may_use_is_said_by_name_and_refused_when_asked(
    home: Path, change: Callable[[Path], None], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Mounted volumes come so, and nobody can change that."""
    change(home)
    with caplog.at_level(logging.WARNING):
        check_private(OsDisk(), home, is_strict=False)
    assert said in caplog.text
    assert "chmod -R go-rwx" in caplog.text
    Journal.open(home, identity=IDENTITY).close()
    with pytest.raises(UnsafePermissions, match="strict-permissions") as refused:
        check_private(OsDisk(), home, is_strict=True)
    assert said in str(refused.value)


def test_a_directory_that_is_a_link_is_said(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    link = home.parent / "link"
    link.symlink_to(home)
    with caplog.at_level(logging.WARNING):
        check_private(OsDisk(), link, is_strict=False)
    assert "link is a symbolic link" in caplog.text


@pytest.mark.parametrize("name", ["", "hard.a", "wal"])
def test_what_another_user_owns_is_refused(home: Path, name: str) -> None:
    with pytest.raises(UnsafePermissions, match=f"belongs to user {SOMEBODY}.*chown"):
        check_private(OthersDisk(home / name), home, is_strict=False)


def test_a_directory_of_another_user_is_not_even_locked(home: Path) -> None:
    (home / "LOCK").unlink()
    with pytest.raises(UnsafePermissions):
        lock_directory(OthersDisk(home), home)
    assert not (home / "LOCK").exists()


def test_what_the_superuser_owns_is_taken(home: Path) -> None:
    """The root of a volume is; whoever is the superuser needs no such thing to reach us."""
    check_private(OthersDisk(home, owner=0), home, is_strict=True)


def test_what_a_file_system_keeps_for_itself_is_not_looked_at(home: Path) -> None:
    (home / "lost+found").mkdir(mode=0o755)
    check_private(OsDisk(), home, is_strict=True)
