"""Stores whose pages are damaged: whoever meets that says so, or ends, and never hands it out."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from roost.store import (
    InlineKeeper,
    PageCorrupt,
    ProcessKeeper,
    Store,
    StoreBroken,
    StoreConfig,
    StoreCorrupt,
    StoreError,
    StoreSuspect,
    read_applied,
)
from roost.store.base import environment, fault_of
from roost.store.base_reader import BaseReader
from roost.store.base_writer import BaseWriter
from roost.store.crash import crash_signal, forget_note, read_note
from roost.store.layer import Layer
from roost.store.meta import check_file
from roost.store.snapshot import EXIT_CORRUPT
from roost.testing.pages import damage_page, find_pages

DAMAGES = ("zeros", "noise", "noisy body", "other")
RECORDS = 600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a store with pages of every kind."""
    directory = tmp_path / "db"
    directory.mkdir()
    writer = BaseWriter(directory)
    for number in range(1, 4):
        layer = Layer()
        for record in range(RECORDS):
            layer.put(5, b"k%04d" % record, b"value-%04d" % (record * number))
        writer.commit(layer, number, 1)
    writer.close()
    return directory / "data.mdb"


def run(code: str, *arguments: Path | str) -> tuple[int, str]:
    """What a process of its own says: no other survives every damage."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


SCRUB = "from roost.store.scrub import main; main()"
COPY = "from roost.store.snapshot import main; main()"


@pytest.mark.slow
@pytest.mark.parametrize("place", ["meta", "branch", "leaf"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_of_any_page_is_found_by_a_scrub_and_copied_to_nobody(
    path: Path, place: str, kind: str
) -> None:
    pages = find_pages(path.read_bytes())
    assert len(pages["leaf"]) > 3
    damage_page(path, pages[place][0], kind, other=pages["leaf"][-1])
    code, said = run(SCRUB, path.parent, "0")
    assert crash_signal(code) or '"fault":"' in said
    assert not said or '"fault":""' not in said
    code, said = run(COPY, path.parent, path.parent.parent / "copy")
    assert crash_signal(code) or code == EXIT_CORRUPT


def test_a_whole_store_is_found_whole_and_copied(path: Path) -> None:
    code, said = run(SCRUB, path.parent, "0")
    assert (code, '"fault":""' in said) == (0, True)
    code, _ = run(COPY, path.parent, path.parent.parent / "copy")
    assert code == 0


@pytest.mark.parametrize("size", [0, 100, 4096, 8192, 12288])
def test_a_file_that_is_too_short_is_refused_before_it_is_mapped(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(PageCorrupt):
        read_applied(path.parent)
    with pytest.raises(PageCorrupt):
        environment(path.parent, is_writer=False)


@pytest.mark.parametrize("number", [0, 1])
def test_a_page_that_tells_of_more_pages_than_there_are_is_refused(path: Path, number: int) -> None:
    """LMDB would map what it says, or ask for memory that there is not."""
    data = bytearray(path.read_bytes())
    last_page = number * 4096 + 16 + 24 + 2 * 48
    data[last_page : last_page + 8] = (1 << 50).to_bytes(8, sys.byteorder)
    path.write_bytes(data)
    with pytest.raises(PageCorrupt, match="must have"):
        check_file(path)


def test_a_read_that_meets_damage_tells_its_owner(path: Path) -> None:
    """LMDB says so itself of this one."""
    pages = find_pages(path.read_bytes())
    data = bytearray(path.read_bytes())
    begin = pages["leaf"][2] * 4096
    data[begin + 8 : begin + 16] = b"\xff" * 8
    path.write_bytes(data)
    told: list[StoreCorrupt] = []
    reader = BaseReader(environment(path.parent, is_writer=False))
    reader.on_corrupt = told.append
    with pytest.raises(PageCorrupt):
        list(reader.items(5, b"", None, reverse=False))
    reader.close()
    assert len(told) == 1


@pytest.mark.parametrize("kind", [InlineKeeper, ProcessKeeper])
def test_a_keeper_that_cannot_open_its_store_says_what_is_wrong(
    path: Path, kind: type[InlineKeeper] | type[ProcessKeeper]
) -> None:
    damage_page(path, 0, "zeros")
    with pytest.raises(PageCorrupt, match="does not begin as LMDB"):
        kind(path.parent)


def test_a_keeper_that_meets_damage_says_so(path: Path) -> None:
    pages = find_pages(path.read_bytes())
    keeper = ProcessKeeper(path.parent)
    failures: list[StoreError] = []
    keeper.on_failed = failures.append
    layer_payload = _payload(b"k0000")
    damage_page(path, pages["leaf"][0], "zeros")
    keeper.add(4, 1, layer_payload)
    keeper.flush(4, 1)
    keeper.wait()
    keeper.close()
    assert [type(it) for it in failures] == [PageCorrupt]


def _payload(key: bytes) -> bytes:
    from roost.store import encode_put

    return encode_put(5, key, b"new")


def test_a_keeper_that_a_signal_ended_makes_its_store_suspect(path: Path) -> None:
    keeper = ProcessKeeper(path.parent)
    failures: list[StoreError] = []
    store = Store.open(config=StoreConfig(), keeper=keeper)
    store.on_failure = failures.append
    os.kill(keeper.process_id, signal.SIGBUS)
    keeper.flush(4, 1)
    keeper.wait()
    store.abandon()
    assert [type(it) for it in failures] == [StoreSuspect]


def test_what_is_not_about_the_content_is_no_damage() -> None:
    assert type(fault_of(lmdb.ReadersFullError("mdb_txn_begin"))) is StoreBroken
    assert type(fault_of(lmdb.Error("mdb_txn_commit: Input/output error"))) is StoreBroken
    assert type(fault_of(lmdb.PageNotFoundError("mdb_get"))) is PageCorrupt
    assert type(fault_of(lmdb.BadTxnError("mdb_get"))) is PageCorrupt


def test_a_process_that_a_signal_ends_leaves_a_note(tmp_path: Path) -> None:
    watch = "import sys; from pathlib import Path; from roost.store import crash; "
    watch += "crash.watch(Path(sys.argv[1])); crash.watch(Path(sys.argv[1])); "
    assert run(watch, tmp_path) == (0, "")
    assert read_note(tmp_path) == ""
    code, _ = run(watch + "import os; os.abort()", tmp_path)
    assert crash_signal(code) == signal.SIGABRT
    assert "Fatal Python error: Aborted" in read_note(tmp_path)
    assert (tmp_path / "ended-by-signal.txt").stat().st_mode & 0o777 == 0o600
    forget_note(tmp_path)
    assert read_note(tmp_path) == ""
    assert crash_signal(-signal.SIGKILL) == crash_signal(1) == crash_signal(None) == 0
