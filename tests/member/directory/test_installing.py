"""A snapshot put in place: the one that was offered; a crash leaves one state or the other."""

from pathlib import Path

import msgspec
import pytest

from roost.member.snapshots.fetch import check_content
from roost.peer import SnapshotDamaged
from roost.raft import Configuration, Snapshot
from roost.store import digest_of, read_applied_file
from tests.member.directory.homes import close, open_at, snapshot_of, write

CONTENT = bytes(range(256)) * 10


def test_a_file_that_is_not_the_store_that_was_offered_is_refused(tmp_path: Path) -> None:
    """It was put in place, and the member ended by an assertion."""
    home = open_at(tmp_path, "a")
    write(home, 5, b"value")
    home.close_files()
    path = home.store_directory / "data.mdb"
    index, term = read_applied_file(path)
    right = Snapshot(index=index, term=term, sender=1, configuration=home.configuration)
    check_content(path, right)
    others = Configuration(version=1, voters=(1, 2, 3))
    for wrong in ({"index": index + 1}, {"term": term + 1}, {"configuration": others}):
        with pytest.raises(SnapshotDamaged, match="was offered"):
            check_content(path, msgspec.structs.replace(right, **wrong))
    nothing = tmp_path / "nothing"
    nothing.write_bytes(CONTENT)
    with pytest.raises(SnapshotDamaged, match="no store"):
        check_content(nothing, right)


@pytest.mark.parametrize(
    "crash_before",
    [
        "place",
        "record",
        pytest.param("journal", marks=pytest.mark.pure("it replaces a method")),
        "keeper",
        "nothing",
    ],
)
def test_a_crash_in_an_installation_leaves_the_old_state_or_the_new_one(
    tmp_path: Path, crash_before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of one and a journal of the other would be neither.

    Checklist 110; J32.
    """
    ahead = open_at(tmp_path, "ahead")
    write(ahead, 30, b"new")
    held = snapshot_of(ahead, tmp_path / "copy")
    assert digest_of(tmp_path / "copy") == held.digest
    home = open_at(tmp_path, "behind")
    write(home, 5, b"old")

    class CrashError(Exception):
        pass

    def crash(*_args: object, **_more: object) -> None:
        raise CrashError

    if crash_before == "place":
        monkeypatch.setattr("roost.member.directory.home._place", crash)
    elif crash_before == "record":
        monkeypatch.setattr(home.record_file.twin, "save", crash)
    elif crash_before == "journal":
        monkeypatch.setattr(home.journal, "begin_behind", crash)
    elif crash_before == "keeper":
        monkeypatch.setattr(home.world, "make_keeper", crash)
    try:
        home.install(tmp_path / "copy", held.index, held.term)
    except CrashError:
        pass  # as it was told to, but for "nothing"
    monkeypatch.undo()
    close(home)
    again = open_at(tmp_path, "behind")
    is_new = crash_before in ("journal", "keeper", "nothing")
    tree = again.store.tree("things").id
    assert again.store.view.get(tree, b"key") == (b"new" if is_new else b"old")
    assert again.store.applied_index == (31 if is_new else 6)
    assert again.journal.last_index == again.store.applied_index
    assert again.journal.term_at(again.store.applied_index) == 2
    assert [it.name for it in (tmp_path / "behind").glob("db.*")] == [again.record.directory]
    write(again, 3, b"later")
    close(again)
    close(ahead)
    last = open_at(tmp_path, "behind")
    assert last.store.view.get(tree, b"key") == b"later"
    close(last)
