"""What calls take and give, as values."""

from dataclasses import dataclass

from roost.proto import kv_pb2, rpc_pb2
from roost.proto.ranges import prefix_end

# Keys of a page, unless somebody says how many.
PAGE_KEYS = 1000
# A transaction of ours may be overtaken so often, with pauses of about 20 s in all.
ATTEMPTS_MAX = 100
# Text stands for its UTF-8 bytes, for keys and values alike.
Data = str | bytes


def bytes_of(data: Data) -> bytes:
    """The bytes that data stands for."""
    return data.encode() if isinstance(data, str) else data


@dataclass(frozen=True, slots=True)
class Span:
    """A key, or all from `key` to before `range_end` (etcd api: rpc.proto RangeRequest)."""

    key: bytes
    range_end: bytes

    @classmethod
    def of(cls, key: Data, range_end: Data = b"", *, prefix: bool = False) -> "Span":
        """As callers say it; with `prefix` all keys that begin with `key`, with b"" all.

        Raises:
            ValueError: a prefix and an end.

        """
        first = bytes_of(key)
        if not prefix:
            return cls(first, bytes_of(range_end))
        if range_end:
            raise ValueError("a prefix says itself where its range ends: leave out range_end")
        return cls(first or b"\0", prefix_end(first))


@dataclass(frozen=True, slots=True)
class Item:
    """One key with its value and revisions."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int

    @classmethod
    def of(cls, kv: kv_pb2.KeyValue) -> "Item":
        """What a message says."""
        return cls(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)

    @property
    def text(self) -> str:
        """The value, as UTF-8."""
        return self.value.decode()


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch; `before` is what was there, when it was asked for."""

    is_delete: bool
    item: Item
    before: Item | None = None

    @classmethod
    def of(cls, event: kv_pb2.Event) -> "Change":
        """What a message says."""
        before = Item.of(event.prev_kv) if event.HasField("prev_kv") else None
        return cls(event.type == kv_pb2.Event.DELETE, Item.of(event.kv), before)

    @property
    def key(self) -> bytes:
        """Whose change it is."""
        return self.item.key

    @property
    def value(self) -> bytes:
        """What is there now; nothing after a deletion."""
        return self.item.value

    @property
    def revision(self) -> int:
        """When it happened."""
        return self.item.mod_revision


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a range as it was at `revision`; `count` keys are in it and behind it."""

    items: tuple[Item, ...]
    revision: int
    count: int
    has_more: bool

    @classmethod
    def of(cls, answer: rpc_pb2.RangeResponse, revision: int = 0) -> "Page":
        """What a message says; `revision` is what was asked for, 0 for what is now."""
        items = tuple(Item.of(it) for it in answer.kvs)
        return cls(items, revision or answer.header.revision, answer.count, answer.more)


@dataclass(frozen=True, slots=True)
class Member:
    """One member as the cluster knows it; without a name it has not started yet."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool

    @classmethod
    def of(cls, said: rpc_pb2.Member) -> "Member":
        """What a message says."""
        urls = tuple(said.peerURLs), tuple(said.clientURLs)
        return cls(said.ID, said.name, *urls, said.isLearner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a member says of itself; `leader_id` is 0 when it knows none."""

    endpoint: str
    member_id: int
    leader_id: int
    term: int
    index: int
    applied_index: int
    revision: int
    version: str
    db_bytes: int
    db_bytes_in_use: int
    is_learner: bool
    errors: tuple[str, ...]

    @property
    def is_leader(self) -> bool:
        """Whether it leads."""
        return self.leader_id == self.member_id


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something is wrong with a member: NOSPACE or CORRUPT."""

    member_id: int
    kind: str


@dataclass(frozen=True, slots=True)
class HashKv:
    """A hash of all keys up to `revision`, of what was not compacted at `compact_revision`."""

    hash: int
    revision: int
    compact_revision: int


@dataclass(frozen=True, slots=True)
class Granted:
    """A lease, and its time in seconds, which is never too short to be renewed."""

    lease_id: int
    ttl_s: int


@dataclass(frozen=True, slots=True)
class TimeToLive:
    """What is left of a lease in seconds, -1 when it is gone; what was granted; its keys."""

    left_s: int
    granted_s: int
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads an election: the key that says so, its create revision and value."""

    name: bytes
    key: bytes
    create_revision: int
    value: bytes
    lease: int


PERMISSION_KINDS = ("read", "write", "readwrite")


@dataclass(frozen=True, slots=True)
class Permission:
    """What a role may do with a range; `range_end` as in etcd."""

    kind: str
    key: bytes
    range_end: bytes
