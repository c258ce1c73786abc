"""What a store that nobody uses says of itself; one that must be there and is not is damaged."""

from dataclasses import replace
from pathlib import Path

import pytest

from roost.journal import Identity, Journal
from roost.member import MemberConfig, NotAMember, cluster_id_of, has_begun
from roost.member.cluster.roster import first_records, own_record, read_configuration
from roost.member.directory.home import Home, open_home
from roost.member.directory.peek import Peeked, is_alone_in, open_store_file, peek_store
from roost.member.directory.store_record import StoreRecord, change_record
from roost.member.errors import StoreDamaged
from roost.store import BOOTSTRAP_INDEX, StoreError
from tests.member.directory.homes import HomeWorld, close, open_at, write


class Left:
    """A directory that a member has left."""

    def __init__(self, root: Path) -> None:
        self.home: Home = open_at(root, "m")
        write(self.home, 5, b"value")
        self.directory = self.home.data_dir
        self.store = self.home.store_directory
        self.applied = self.home.store.applied_index, self.home.store.applied_term
        [self.own] = read_configuration(self.home.store.view).voters
        self.tree = self.home.store.tree("things").id
        close(self.home)

    def peek(self, own: int | None = None) -> Peeked:
        return peek_store(self.directory, HomeWorld(), self.own if own is None else own)


@pytest.fixture
def left(tmp_path: Path) -> Left:
    return Left(tmp_path)


def test_a_store_says_how_far_it_goes_where_it_began_and_who_votes(left: Left) -> None:
    assert left.peek() == Peeked(left.applied, BOOTSTRAP_INDEX, is_alone=True)
    assert not left.peek(own=9).is_alone, "somebody else votes there"
    assert is_alone_in(left.store, left.own)
    assert not is_alone_in(left.store, 9)


def test_a_store_that_came_as_a_snapshot_began_where_its_record_says(left: Left) -> None:
    change_record(HomeWorld().disk, left.directory, index=3, term=2)
    assert left.peek().begins_at == 3


@pytest.mark.parametrize("act", ["removed", "garbled", "cut"])
def test_a_store_that_must_be_there_is_damaged_when_it_is_not_as_it_was(
    left: Left, act: str
) -> None:
    """The journal has lived with it, so its entries may be nowhere else on this machine."""
    path = left.store / "data.mdb"
    if act == "removed":
        path.unlink()
    elif act == "garbled":
        path.write_bytes(b"\xff" * path.stat().st_size)
    else:
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(StoreDamaged):
        left.peek()
    assert left.store.exists(), "what is damaged is evidence, and not removed"


def test_damage_that_was_found_before_is_remembered(left: Left) -> None:
    change_record(HomeWorld().disk, left.directory, damage="a page of it")
    with pytest.raises(StoreDamaged, match="a page of it"):
        left.peek()


def test_a_member_that_has_not_lived_has_no_store_and_a_torn_one_is_removed(tmp_path: Path) -> None:
    """A crash before the bootstrap was durable: nobody was promised anything."""
    assert peek_store(tmp_path, HomeWorld(), 1) == Peeked()
    store = tmp_path / StoreRecord().directory
    store.mkdir()
    (store / "data.mdb").write_bytes(b"torn")
    assert peek_store(tmp_path, HomeWorld(), 1) == Peeked()
    assert not store.exists()


def test_a_store_is_read_whether_its_member_runs_or_not(left: Left, tmp_path: Path) -> None:
    with open_store_file(left.directory) as file:
        assert file.index == left.applied[0]
        assert file.view.get(left.tree, b"key") == b"value"
    with pytest.raises(StoreError, match="is no directory of a member"), open_store_file(tmp_path):
        raise AssertionError("it was opened")


def test_a_directory_that_was_made_for_others_gets_no_other_content(tmp_path: Path) -> None:
    """A crash between the identity and the first content; then a start that was told less."""
    urls = {"m0": ("http://127.0.0.1:1",), "m1": ("http://127.0.0.1:2",)}
    config = MemberConfig(
        name="m0",
        data_dir=tmp_path / "m",
        initial_cluster=urls,
        advertise_peer_urls=urls["m0"],
        listen_peer_urls=urls["m0"],
    )
    records, world = first_records(config), HomeWorld()
    identity = Identity(
        cluster_id=cluster_id_of(it.id for it in records),
        member_id=own_record(config, records).id,
        incarnation=1,
        created=world.wall_s(),
    )
    journal_config = world.journal_config
    Journal.open(config.data_dir, identity=identity, disk=world.disk, config=journal_config).close()
    assert not has_begun(config.data_dir)

    def begun(told: MemberConfig) -> Home:
        return open_home(told, lambda txn: None, world=world, on_store_failure=lambda _: None)

    with pytest.raises(NotAMember, match="made for other first members"):
        begun(replace(config, initial_cluster={"m0": urls["m0"]}))
    assert not has_begun(config.data_dir)
    close(begun(config))
    assert has_begun(config.data_dir)
