"""Who is in the cluster: ids, names and URLs, kept in the replicated tree `members`.

A record is `u64 member id (big-endian) -> JSON of MemberRecord`; `$removed_members` keeps
the ids of those who were removed, which are never given again, and their last records.  Who votes
and who learns is the Raft configuration's to say, which stands in `$metadata`, written by every
member when it applies the change.  Ids are derived as etcd derives them (api/membership:
computeMemberId and genID), so that the same flags give the same ids:

    member id  = first 8 bytes of sha1(sorted peer URLs joined, then the cluster token, then for
                 a member that is added later the time in seconds as text)
    cluster id = first 8 bytes of sha1(the sorted member ids, 8 bytes each)
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from roost.errors import UNDECODABLE
from roost.member.config import MemberConfig
from roost.member.errors import MalformedRecord, NotAMember
from roost.raft import Entry, EntryKind, decode_change
from roost.raft.types import COUNT_MAX, NODE_ID_MAX, Configuration
from roost.store import BOOTSTRAP_INDEX, Txn, View, encode_put

MEMBERS_TREE = "$members"
REMOVED_TREE = "$removed_members"
METADATA_TREE_ID = 1
CONFIGURATION_KEY = b"configuration"
PUBLISH_OPERATION = "member.publish"
# What is said of a member, by itself, by others or by clients: room for hundreds of URLs.
RECORD_BYTES_MAX = 64 << 10


class MemberRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One member as everybody knows it; `client_urls` is empty until it has started once.

    `directory` and `incarnation` are the newest life that it has told of; see `peer.Life`.
    """

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...] = ()
    is_learner: bool = False
    incarnation: int = 0
    directory: int = 0


def member_id_of(peer_urls: Iterable[str], cluster_token: str, added_s: int | None = None) -> int:
    """Derive a member's id from its peer URLs and the cluster's token, as etcd does.

    `added_s` is the time of addition in seconds since 1970, for all but the first members.
    """
    added = "" if added_s is None else str(added_s)
    text = "".join(sorted(peer_urls)) + cluster_token + added
    return int.from_bytes(hashlib.sha1(text.encode(), usedforsecurity=False).digest()[:8], "big")


def cluster_id_of(member_ids: Iterable[int]) -> int:
    """Derive the cluster's id from its first members' ids, as etcd does."""
    joined = b"".join(member_id.to_bytes(8, "big") for member_id in sorted(member_ids))
    return int.from_bytes(hashlib.sha1(joined, usedforsecurity=False).digest()[:8], "big")


def initial_records(cluster: Mapping[str, Sequence[str]], token: str) -> tuple[MemberRecord, ...]:
    """Name every first member; the order is that of their ids."""
    records = (
        MemberRecord(id=member_id_of(urls, token), name=name, peer_urls=tuple(urls))
        for name, urls in cluster.items()
    )
    return tuple(sorted(records, key=lambda record: record.id))


def first_records(config: MemberConfig) -> tuple[MemberRecord, ...]:
    """Every first member of a cluster as a member is told of them; the same on all of them."""
    records = initial_records(config.initial_cluster, config.initial_cluster_token)
    if not config.names_are_unknown:
        return records
    return tuple(msgspec.structs.replace(it, name="") for it in records)


def own_record(config: MemberConfig, records: Sequence[MemberRecord]) -> MemberRecord:
    """Find ourselves in the initial cluster, as etcd does: by name and peer URLs.

    Where names are unknown, by peer URLs alone.

    Raises:
        NotAMember: we are not there.

    """
    if config.names_are_unknown:
        urls = sorted(config.advertise_peer_urls)
        found = next((it for it in records if sorted(it.peer_urls) == urls), None)
        if found is None:
            raise NotAMember(f"no first member has the peer URLs {','.join(urls)}")
        return found
    own = next((record for record in records if record.name == config.name), None)
    if own is None:
        text = f'couldn\'t find local name "{config.name}" in the initial cluster configuration'
        names = ", ".join(sorted(record.name for record in records))
        raise NotAMember(f"{text}: --name must be one of those in --initial-cluster: {names}")
    if sorted(own.peer_urls) != sorted(config.advertise_peer_urls):
        declared = ",".join(own.peer_urls)
        raise NotAMember(
            f"--initial-cluster has {config.name}={declared}, and --initial-advertise-peer-urls "
            f"has {','.join(config.advertise_peer_urls)}: both must name the same URLs"
        )
    return own


def encode_record(record: MemberRecord) -> bytes:
    """Encode a record as the tree holds it."""
    return msgspec.json.encode(record)


def _counted(record: MemberRecord) -> int:
    """A record's incarnation; 0 where somebody once wrote one that no member can come to."""
    return record.incarnation if 0 <= record.incarnation <= COUNT_MAX else 0


def _key(member_id: int) -> bytes:
    return member_id.to_bytes(8, "big")


def bootstrap_roster(
    txn: Txn, records: Sequence[MemberRecord], version: int = BOOTSTRAP_INDEX
) -> None:
    """Write the first members and the first configuration; every member writes the same."""
    tree = txn.tree(MEMBERS_TREE)
    txn.tree(REMOVED_TREE)
    for record in records:
        txn.put(tree.id, _key(record.id), encode_record(record))
    voters = tuple(record.id for record in records)
    first = Configuration(version=version, voters=voters)
    txn.put(METADATA_TREE_ID, CONFIGURATION_KEY, msgspec.json.encode(first))


def read_configuration(view: View) -> Configuration:
    """Read the Raft configuration as of the applied index."""
    encoded = view.get(METADATA_TREE_ID, CONFIGURATION_KEY)
    assert encoded is not None, "a store is bootstrapped with a configuration"
    return msgspec.json.decode(encoded, type=Configuration)


def change_payload(context: bytes, configuration: Configuration) -> bytes:
    """The write set of a change: what the caller writes with it, and the configuration."""
    value = msgspec.json.encode(configuration)
    return context + encode_put(METADATA_TREE_ID, CONFIGURATION_KEY, value)


def write_set_of(entry: Entry) -> bytes:
    """What an entry of the log writes, for whoever replays one without a core."""
    if entry.kind is EntryKind.CONFIGURATION:
        configuration, context = decode_change(entry.payload)
        return change_payload(context, configuration)
    return entry.payload if entry.kind is EntryKind.NORMAL else b""


def put_configuration(txn: Txn, configuration: Configuration) -> None:
    """Let later transactions see a configuration that is proposed."""
    txn.put(METADATA_TREE_ID, CONFIGURATION_KEY, msgspec.json.encode(configuration))


class _Trees(Protocol):
    """The part of a store that finds a tree by name."""

    def tree(self, name: str) -> "_Tree":
        """Find an existing tree."""


class _Tree(Protocol):
    """A tree's handle."""

    @property
    def id(self) -> int:
        """The number that write sets call it by."""


class Roster:
    """Reads the member records from the applied state."""

    def __init__(self, trees: _Trees, view: View) -> None:
        """Remember where the records are."""
        self._view = view
        self.tree_id = trees.tree(MEMBERS_TREE).id
        self.removed_id = trees.tree(REMOVED_TREE).id

    def records(self, view: View | None = None) -> list[MemberRecord]:
        """All members, in the order of their ids; as applied, or as `view` has them."""
        view = view or self._view
        configuration = read_configuration(view)
        learners = {*configuration.learners, *configuration.learners_next}
        rows = view.scan(self.tree_id, b"", None)
        records = [msgspec.json.decode(value, type=MemberRecord) for _, value in rows]
        return [
            msgspec.structs.replace(it, is_learner=True) if it.id in learners else it
            for it in records
        ]

    def linked(self) -> list[MemberRecord]:
        """Everybody who takes part: all members, and who leaves and still votes meanwhile."""
        records = {it.id: it for it in self.records()}
        for member_id in read_configuration(self._view).all_nodes():
            left = self._left(member_id) if member_id not in records else None
            if left is not None:
                records[member_id] = left
        return list(records.values())

    def _left(self, member_id: int) -> MemberRecord | None:
        held = self._view.get(self.removed_id, _key(member_id))
        return msgspec.json.decode(held, type=MemberRecord) if held else None

    def is_removed(self, member_id: int, view: View | None = None) -> bool:
        """Whether that id was a member once and is none any more.

        Not yet while it votes in the outgoing half of a joint configuration: it is still needed.
        """
        view = view or self._view
        if view.get(self.removed_id, _key(member_id)) is None:
            return False
        return member_id not in read_configuration(view).all_nodes()

    def record_of(self, member_id: int) -> MemberRecord | None:
        """One member, or one that left, as applied; whether it votes is not looked up."""
        held = self._view.get(self.tree_id, _key(member_id))
        if held is None:
            return self._left(member_id)
        return msgspec.json.decode(held, type=MemberRecord)

    def published_life(self, member_id: int) -> tuple[int, int]:
        """The directory and the newest incarnation that a member has told of; 0 = none yet."""
        record = self.record_of(member_id)
        return (0, 0) if record is None else (record.directory, _counted(record))

    def names_of(self, member_id: int) -> tuple[str, ...]:
        """What a member is called; nothing before it has started once."""
        record = self.record_of(member_id)
        return () if record is None or not record.name else (record.name,)

    def put(self, txn: Txn, record: MemberRecord) -> None:
        """Add or change a member's record."""
        txn.put(self.tree_id, _key(record.id), encode_record(record))

    def remove(self, txn: Txn, member_id: int) -> None:
        """Remove a member's record, and remember its id, and where it is while it still votes."""
        held = txn.get(self.tree_id, _key(member_id))
        txn.delete(self.tree_id, _key(member_id))
        txn.put(self.removed_id, _key(member_id), held or b"")

    def publish(self, txn: Txn, body: bytes) -> bytes:
        """Operation: a started member says its name and client URLs (etcd: publishV3).

        Raises:
            MalformedRecord: it says what no member can say of itself.

        """
        if len(body) > RECORD_BYTES_MAX:
            raise MalformedRecord(f"no member has {len(body)} bytes to say of itself")
        try:
            said = msgspec.json.decode(body, type=MemberRecord)
        except UNDECODABLE as error:
            raise MalformedRecord(f"no member's record: {error}") from error
        if not 0 < said.id <= NODE_ID_MAX or said.incarnation != _counted(said):
            text = f"no member is {said.id} in incarnation {said.incarnation}"
            raise MalformedRecord(text)
        held = txn.get(self.tree_id, _key(said.id))
        if held is None:
            return b""  # it has been removed meanwhile; nothing to publish
        record = msgspec.json.decode(held, type=MemberRecord)
        changed = msgspec.structs.replace(
            record,
            name=said.name,
            client_urls=said.client_urls,
            incarnation=max(_counted(record), said.incarnation),
            directory=said.directory or record.directory,
        )
        if changed != record:
            txn.put(self.tree_id, _key(said.id), encode_record(changed))
        return b""
