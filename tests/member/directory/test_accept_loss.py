"""What a member without peers would lose of a damaged journal, and losing it on purpose (J22).

For every entry that may be damaged: what is said is what is dropped, nothing before it is, and
whoever names another place drops nothing.
"""

import hashlib
import random
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from roost.journal import Identity, Journal, load_identity
from roost.member import MemberConfig
from roost.member.directory.accept_loss import Loss, accept_loss, inspect
from roost.member.directory.home import Home, open_home
from roost.member.errors import NothingToLose
from roost.raft import Entry, EntryKind, HardState
from roost.sim.members import rot
from roost.sim.members.disk import PowerCut, SimDisk
from roost.store import Txn
from tests.member.directory.homes import MemoryWorld

URLS = ("http://127.0.0.1:1",)
# Entry 1 made the store; what is up to HELD is durable in it.
HELD, LAST = 5, 10


def make_tree(txn: Txn) -> None:
    txn.tree("things")


def fail(error: BaseException) -> None:
    raise error


@dataclass
class Alone:
    """The directory of a cluster of one, with a store of HELD entries and a journal of LAST."""

    root: Path
    disk: SimDisk

    @property
    def data_dir(self) -> Path:
        return self.root / "m0"

    def open(self) -> Home:
        config = MemberConfig(
            name="m0",
            data_dir=self.data_dir,
            initial_cluster={"m0": URLS},
            advertise_peer_urls=URLS,
            listen_peer_urls=URLS,
        )
        return open_home(config, make_tree, world=MemoryWorld(self.disk), on_store_failure=fail)

    def inspect(self) -> Loss:
        return inspect(self.data_dir, MemoryWorld(self.disk))

    def accept_loss(self, first_lost: int) -> None:
        accept_loss(self.data_dir, first_lost, MemoryWorld(self.disk))

    def identity(self) -> Identity:
        identity = load_identity(self.disk, self.data_dir)
        assert identity is not None
        return identity

    def fingerprint(self) -> str:
        """Every byte of log, identity and store; that it was opened is noted elsewhere."""
        digest = hashlib.sha256()
        for path, file in sorted(self.disk.files.items()):
            if path.suffix == ".wal" or path.stem == "identity":
                digest.update(str(path).encode() + bytes(file.cache))
        for path in sorted(self.root.rglob("data.mdb")):
            digest.update(path.read_bytes())
        return digest.hexdigest()


def payload_of(home: Home, index: int) -> bytes:
    txn = home.store.begin()
    txn.put(home.store.tree("things").id, b"key%d" % index, bytes(900))
    return txn.encode()


def make(root: Path, *damaged: int, loses_the_end: bool = False) -> Alone:
    root.mkdir(exist_ok=True)
    alone = Alone(root, SimDisk())
    home = alone.open()
    for index in range(2, LAST + 1):
        payload = payload_of(home, index)
        home.journal.persist(HardState(3), [Entry(index, 3, EntryKind.NORMAL, payload)])
        if index <= HELD:
            home.store.apply(index, payload, 3)
    home.journal.prepare_mark()()
    offsets = [home.journal.place(it).offset for it in damaged]
    home.close_files()
    newest = rot.segments(alone.disk)[-1]
    for offset in offsets:
        rot.zero(alone.disk, newest, offset, 700)
    if loses_the_end:
        rot.remove(alone.disk, newest)
    return alone


def check(alone: Alone, last: int) -> None:
    """The member starts, and has all up to `last` and nothing else."""
    home = alone.open()
    journal: Journal = home.journal
    assert (journal.last_index, journal.damaged, journal.is_fenced) == (last, {}, False)
    for index in range(max(journal.first_index, 2), last + 1):
        (entry,) = journal.entries(index, index + 1, 1 << 20)
        assert entry.payload == payload_of(home, index)
    assert home.store.applied_index == HELD
    home.close_files()


@pytest.mark.parametrize("damaged", range(HELD + 1, LAST + 1))
def test_what_is_said_is_what_is_lost(tmp_path: Path, damaged: int) -> None:
    alone = make(tmp_path, damaged)
    before, identity = alone.fingerprint(), alone.identity()
    found = alone.inspect()
    assert found.damaged == (damaged,)
    assert (found.first_lost, found.last_known, found.is_tail_lost) == (damaged, LAST, False)
    assert (found.held_index, found.lost_count) == (HELD, LAST + 1 - damaged)
    assert found.member_id == identity.member_id
    assert found.fact, "it says what is wrong"
    assert alone.fingerprint() == before, "looking changes nothing"
    for wrong in {0, damaged - 1, damaged + 1}:
        with pytest.raises(NothingToLose, match=f"does not begin at {wrong}, but at {damaged}"):
            alone.accept_loss(wrong)
    assert alone.fingerprint() == before, "nor does naming another place"
    alone.accept_loss(damaged)
    check(alone, damaged - 1)
    after = alone.identity()
    assert after.incarnation > identity.incarnation, "what its old life promised counts no more"
    assert (after.cluster_id, after.member_id) == (identity.cluster_id, identity.member_id)


def test_of_several_the_first_decides(tmp_path: Path) -> None:
    alone = make(tmp_path, 9, 7)
    found = alone.inspect()
    assert (found.damaged, found.first_lost, found.lost_count) == ((7, 9), 7, 4)
    alone.accept_loss(7)
    check(alone, 6)


def test_what_the_store_holds_is_not_lost_with_its_entry(tmp_path: Path) -> None:
    alone = make(tmp_path, HELD)
    with pytest.raises(NothingToLose):
        alone.accept_loss(HELD)
    check(alone, LAST)


def test_a_lost_end_is_named_by_nobody_and_given_up_as_a_whole(tmp_path: Path) -> None:
    """How many entries there were cannot be said any more: 0 stands for that."""
    alone = make(tmp_path, loses_the_end=True)
    before, identity = alone.fingerprint(), alone.identity()
    found = alone.inspect()
    assert (found.is_tail_lost, found.first_lost, found.lost_count) == (True, 0, 0)
    assert found.held_index == HELD
    for wrong in (1, HELD, HELD + 1):
        with pytest.raises(NothingToLose, match="but at 0: its end is lost"):
            alone.accept_loss(wrong)
    assert alone.fingerprint() == before
    alone.accept_loss(0)
    home = alone.open()
    assert (home.journal.is_fenced, home.store.applied_index) == (False, HELD)
    home.close_files()
    assert alone.identity().incarnation > identity.incarnation


def test_the_new_life_is_the_newest_although_the_clock_has_gone_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lives were told apart by the clock: with one of 1970 the member was an old copy of itself."""
    alone = make(tmp_path, LAST)
    opened_once = alone.identity().incarnation + 1
    monkeypatch.setattr(MemoryWorld, "new_incarnation", lambda _world: 1)
    alone.accept_loss(LAST)
    assert alone.identity().incarnation > opened_once


def test_where_nothing_is_damaged_nothing_can_be_lost(tmp_path: Path) -> None:
    alone = make(tmp_path)
    found = alone.inspect()
    assert (found.damaged, found.fact, found.lost_count) == ((), "", 0)
    for wrong in (0, 1, LAST):
        with pytest.raises(NothingToLose, match="nothing is damaged in"):
            alone.accept_loss(wrong)
    check(alone, LAST)


def test_what_was_lost_once_is_not_lost_again(tmp_path: Path) -> None:
    alone = make(tmp_path, 8)
    alone.accept_loss(8)
    identity = alone.identity()
    with pytest.raises(NothingToLose):
        alone.accept_loss(8)
    assert alone.identity() == identity


def test_a_directory_of_nobody_has_nothing_to_lose(tmp_path: Path) -> None:
    alone = Alone(tmp_path, SimDisk())
    with pytest.raises(NothingToLose, match="no member's directory"):
        alone.inspect()
    alone.disk.make_directory(alone.data_dir)
    with pytest.raises(NothingToLose, match="no member's directory"):
        alone.accept_loss(1)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [0.0, 1.0])
def test_a_power_cut_anywhere_leaves_it_damaged_or_mended(tmp_path: Path, keep: float) -> None:
    """And when it is damaged still, it can be accepted still."""
    for call in count(1):
        alone = make(tmp_path / str(call), 8)
        alone.disk.cut_at(call)
        try:
            alone.accept_loss(8)
        except PowerCut:
            alone.disk = alone.disk.crash(random.Random(call), keep=keep)
        else:
            assert call > 5, "there were calls to be cut"
            return
        if alone.inspect().damaged:
            alone.accept_loss(8)
        check(alone, 7)
