"""What a version of Roost has left opens in today's, with exactly what was put; see `kept`.

There is one directory a version of the store's format.  A change of a format raises that version,
brings a directory of its own, and says here what becomes of those before it.
"""

from pathlib import Path

import pytest

import roost
from roost.journal.segment import FORMAT as SEGMENT_FORMAT
from roost.member.protocol import PROTOCOL_VERSION
from roost.store import STORAGE_VERSION
from tests.database import kept

pytestmark = pytest.mark.slow
# Versions whose directories and backups today's program opens as they are.
OPENED = (10,)
PACKED_BYTES_MAX = 128 << 10


@pytest.fixture(params=OPENED)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory and a backup as that version has left them."""
    kept.unpack(kept.path_of(request.param), tmp_path)
    return tmp_path


def test_every_version_that_is_kept_has_its_answer_here() -> None:
    """Run `python -m tests.database.kept` when this version is new."""
    versions = {int(it.stem.rpartition("-")[2]) for it in kept.FOLDER.glob("directory-*.zip")}
    assert STORAGE_VERSION in versions
    assert versions == set(OPENED)
    for it in versions:
        assert kept.path_of(it).stat().st_size < PACKED_BYTES_MAX


def test_the_page_on_upgrades_names_todays_numbers() -> None:
    text = (kept.FOLDER.parent.parent / "docs" / "how-to" / "upgrade.md").read_text()
    for name, number in (
        ("of the store's format", STORAGE_VERSION),
        ("of the segments of the journal", SEGMENT_FORMAT),
        ("of what members say to each other", PROTOCOL_VERSION),
    ):
        assert f"| {name} | {number} |" in text


def test_a_directory_opens_and_has_exactly_what_was_put(root: Path) -> None:
    kept.check(root / kept.DATA)


def test_a_backup_is_restored_and_has_exactly_what_was_put(root: Path) -> None:
    roost.restore(root / kept.BACKUP, root / "restored")
    kept.check(root / "restored", has_counters=False)
