"""Who is in the cluster: ids as etcd derives them, and what a member may say of itself."""

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from roost.member.cluster.roster import (
    RECORD_BYTES_MAX,
    MemberRecord,
    Roster,
    bootstrap_roster,
    cluster_id_of,
    encode_record,
    initial_records,
    member_id_of,
)
from roost.member.errors import MalformedRecord
from roost.store import InlineKeeper, Store, StoreConfig, Txn

URLS = {"a": ("http://a:1",), "b": ("http://b:1",)}


@dataclass
class Book:
    """A store with the records of two members."""

    store: Store
    roster: Roster
    records: tuple[MemberRecord, ...]

    def apply(self, txn: Txn) -> None:
        self.store.apply(self.store.applied_index + 1, txn.encode())

    def publish(self, **said: object) -> None:
        txn = self.store.begin()
        record = msgspec.structs.replace(self.records[0], **said)
        self.roster.publish(txn, encode_record(record))
        if not txn.is_empty:
            self.apply(txn)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    records = initial_records(URLS, "token")
    store = Store.open(config=StoreConfig(), keeper=InlineKeeper(tmp_path))
    store.bootstrap(lambda txn: bootstrap_roster(txn, records), guid=uuid.UUID(int=1))
    yield Book(store, Roster(store, store.view), records)
    store.abandon()


def test_ids_are_those_that_etcd_gives_to_the_same_flags() -> None:
    """etcd: membership.computeMemberId, and genID of the cluster."""
    urls = ("http://b:2", "http://a:1")
    expected = hashlib.sha1(b"http://a:1http://b:2token").digest()[:8]
    assert member_id_of(urls, "token").to_bytes(8, "big") == expected
    later = hashlib.sha1(b"http://a:1http://b:2token1700000000").digest()[:8]
    assert member_id_of(urls, "token", 1_700_000_000).to_bytes(8, "big") == later
    ids = (2, 1)
    joined = hashlib.sha1((1).to_bytes(8, "big") + (2).to_bytes(8, "big")).digest()[:8]
    assert cluster_id_of(ids).to_bytes(8, "big") == joined


def test_the_first_members_stand_in_the_order_of_their_ids(book: Book) -> None:
    ids = [it.id for it in book.records]
    assert ids == sorted(ids)
    assert [it.id for it in book.roster.records()] == ids


def test_a_member_that_has_started_says_its_name_and_its_life_never_goes_back(book: Book) -> None:
    own = book.records[0].id
    book.publish(name="x", client_urls=("http://c:1",), incarnation=5, directory=77)
    book.publish(name="y", client_urls=("http://c:1",), incarnation=3, directory=0)
    held = book.roster.record_of(own)
    assert held is not None
    assert (held.name, held.incarnation, held.directory) == ("y", 5, 77)
    assert book.roster.published_life(own) == (77, 5)
    assert book.roster.names_of(own) == ("y",)


@pytest.mark.parametrize("said", [{"id": 0}, {"id": 2**64}, {"incarnation": -1}])
def test_what_no_member_can_say_of_itself_is_refused(book: Book, said: dict[str, int]) -> None:
    with pytest.raises(MalformedRecord, match="no member is"):
        book.publish(**said)


def test_more_than_there_is_to_say_of_a_member_is_not_read(book: Book) -> None:
    with pytest.raises(MalformedRecord, match="no member has 65537 bytes"):
        book.roster.publish(book.store.begin(), b"[" * (RECORD_BYTES_MAX + 1))


def test_who_was_removed_is_remembered_and_publishes_nothing(book: Book) -> None:
    own = book.records[0].id
    txn = book.store.begin()
    book.roster.remove(txn, own)
    book.apply(txn)
    assert [it.id for it in book.roster.records()] == [book.records[1].id]
    assert not book.roster.is_removed(own), "it still votes"
    assert [it.id for it in book.roster.linked()] == [book.records[1].id, own]
    book.publish(name="back")
    assert own not in [it.id for it in book.roster.records()]
