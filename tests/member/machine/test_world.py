"""Large files go without holding the event loop up."""

import asyncio
import errno
import threading
from pathlib import Path
from typing import Any

import pytest

from roost.errors import RoostError
from roost.member import World
from roost.member.errors import StoreReplaced
from roost.member.snapshots.files import Files
from tests.member.directory.homes import close, open_at, snapshot_of, write
from tests.member.members import Cluster, Loopback

ANYBODY: Any = None  # who is not asked


@pytest.mark.slow
def test_nothing_large_is_removed_by_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats would wait for the file system to give back gigabytes."""
    removed: list[tuple[str, bool]] = []
    unlink, loop_thread = Path.unlink, threading.get_ident()

    def note_unlink(path: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - Path's
        removed.append((path.name, threading.get_ident() == loop_thread))
        unlink(path, missing_ok)

    def note_tree(path: Path) -> None:
        removed.append((path.name, threading.get_ident() == loop_thread))

    async def run() -> None:
        cluster = Cluster(tmp_path, 1, network=Loopback())
        await cluster.start_all()
        position = await cluster.quiet()
        await cluster.put(position, b"a", b"1")
        member = cluster.members[position]
        monkeypatch.setattr("shutil.rmtree", note_tree)
        monkeypatch.setattr(Path, "unlink", note_unlink)
        told: list[BaseException | None] = []
        async with member.files.lend_snapshot() as copy:
            assert copy.exists()
        await cluster.put(position, b"a", b"2")
        async with member.files.lend_snapshot() as newer:
            assert newer != copy
        member.files.defragment(told.append)
        await cluster.until(lambda: bool(told) and not member.snapshots.task_count)
        assert told == [None]
        assert not copy.exists()
        monkeypatch.undo()
        await cluster.stop_all()

    asyncio.run(run())
    assert {name for name, _ in removed} >= {"db.1"}
    assert any(name.endswith(".mdb") for name, _ in removed)
    assert not [name for name, is_by_loop in removed if is_by_loop]


def test_a_defragmentation_that_a_snapshot_overtakes_is_answered_and_its_directory_left(
    tmp_path: Path,
) -> None:
    ahead = open_at(tmp_path, "ahead")
    write(ahead, 30, b"new")
    held = snapshot_of(ahead, tmp_path / "copy")
    home = open_at(tmp_path, "behind")
    write(home, 5, b"old")
    answers: list[RoostError | None] = []

    def move(directory: Path) -> None:
        """The keeper has begun, and does not come to its end."""
        directory.mkdir()
        (directory / "data.mdb").write_bytes(b"half of it")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home.keeper, "move", move)
        assert Files(ANYBODY, home, ANYBODY).defragmentation() is None
        home.defragment(answers.append, on_left=lambda _directory: None)
        said = Files(ANYBODY, home, ANYBODY).defragmentation()
        assert said is not None
        assert (said.written_bytes, said.seconds >= 0) == (len(b"half of it"), True)
        assert said.total_bytes == home.store.statistics().db_in_use_bytes
        assert home.moving is not None
        (home.moving.directory / "data.mdb").unlink()
        said = Files(ANYBODY, home, ANYBODY).defragmentation()
        assert said is not None
        assert said.written_bytes == 0, "nothing is there yet"
    home.install(tmp_path / "copy", held.index, held.term)
    assert [type(it) for it in answers] == [StoreReplaced]
    assert home.record.number == 3, "not the one that was being written"
    assert Files(ANYBODY, home, ANYBODY).defragmentation() is None
    home.defragment(answers.append, on_left=lambda _directory: None)
    assert answers[1:] == [None], "and another may begin"
    close(home)
    close(ahead)
    again = open_at(tmp_path, "behind")
    assert again.store.applied_index == 31
    close(again)


def test_a_file_that_is_gone_already_is_as_good_as_removed(tmp_path: Path) -> None:
    asyncio.run(World().remove_file(tmp_path / "gone"))


@pytest.mark.parametrize("fails", [False, True])
def test_who_is_cancelled_waits_for_the_end_of_what_runs_aside(*, fails: bool) -> None:
    """However often: what the thread uses would be taken away from it."""
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert may_end.wait(60)
        ended.set()
        if fails:
            raise ValueError("nobody is there to hear it")

    async def run() -> None:
        task = asyncio.ensure_future(World().run_aside(work))
        assert await asyncio.to_thread(begun.wait, 60)
        for _ in range(3):
            task.cancel()
            await asyncio.wait([task], timeout=0.01)
            assert not task.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(run())


def test_a_scrub_that_no_process_can_be_started_for_is_one_that_was_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where file descriptors or processes were few, each was a traceback in the log."""

    async def refuse(*_arguments: str) -> None:
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr("roost.member.machine.world.run_module", refuse)
    assert asyncio.run(World().scrub(tmp_path)) is None
    (said,) = caplog.messages
    assert "no process can be started to read the store" in said
