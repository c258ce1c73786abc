"""What etcd 3.4 to 3.6 keeps in its store, a bbolt file (etcd: server/storage/schema).

    key           u64 main, "_", u64 sub, and "t" for a deletion  -> mvccpb.KeyValue; of a deletion
                                                                     its key alone
    meta          "consistent_index", "term"   -> u64, u64: the entry that was applied last
                  "scheduledCompactRev", "finishedCompactRev"  -> a revision as in `key`
                  "storageVersion"             -> text, from 3.6 on
    lease         u64 id                       -> leasepb.Lease: 1 id, 2 TTL in s, 3 remaining TTL
    auth          "authEnabled" -> u8, "authRevision" -> u64
    authUsers     name                         -> authpb.User
    authRoles     name                         -> authpb.Role
    alarm         etcdserverpb.AlarmMember     -> nothing; says what was refused, see `replay`
    members, members_removed, cluster   of the cluster that was; nothing of them is taken

Numbers are big-endian.  What is read is checked here, once: whoever gets a `Revision` may rely on
what its docstring says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from roost.etcd.model.leases import TTL_S_MAX, Lease
from roost.etcd.model.mvcc import REVISION_MAX
from roost.etcd.model.wire import read_varint, varint
from roost.moving.bolt import BoltFile, Row
from roost.moving.errors import EtcdFileDamaged, EtcdFileRefused
from roost.proto import auth_pb2, kv_pb2, rpc_pb2

KEY, META, LEASE = b"key", b"meta", b"lease"
AUTH, AUTH_USERS, AUTH_ROLES = b"auth", b"authUsers", b"authRoles"
ALARM = b"alarm"
# In every store of etcd's, though it may be empty.
BUCKETS = (
    *(ALARM, AUTH, AUTH_ROLES, AUTH_USERS, b"cluster", KEY, LEASE, b"members"),
    *(b"members_removed", META),
)
CONSISTENT_INDEX = b"consistent_index"
SCHEDULED, FINISHED = b"scheduledCompactRev", b"finishedCompactRev"
STORAGE_VERSION = b"storageVersion"
AUTH_ENABLED, AUTH_REVISION = b"authEnabled", b"authRevision"
REVISION_KEY = Struct(">QcQ")
TOMBSTONE_MARK = b"t"
Parsed = TypeVar("Parsed", bound=Message)
_U64_BYTES = 8
_SUB_MAX = (1 << 63) - 1
# The newest layout of which we know what it means.
_VERSION_MAX = (3, 6)


@dataclass(frozen=True, slots=True)
class Revision:
    """One write: 0 < main <= REVISION_MAX; the key is not empty.

    Of a put: 0 < create_revision <= main, 0 < version.  Of a deletion `put` is None.
    """

    main: int
    sub: int
    key: bytes
    put: kv_pb2.KeyValue | None


@dataclass(frozen=True, slots=True)
class Users:
    """Users and roles by name, in order, and whether they count."""

    is_enabled: bool
    revision: int
    users: dict[bytes, auth_pb2.User]
    roles: dict[bytes, auth_pb2.Role]


class Backend:
    """Reads etcd's store."""

    def __init__(self, file: BoltFile) -> None:
        """Look at what it says of itself.

        Raises:
            EtcdFileRefused: it is not etcd's, or a later etcd's.
            EtcdFileDamaged: it is not as etcd leaves it; so may be what is read later.

        """
        self._buckets = file.buckets()
        if KEY not in self._buckets or META not in self._buckets:
            raise EtcdFileRefused("it is bbolt's, but not etcd's v3: it has no keys and no meta")
        meta = {row.key: row.value for row in self._rows(META)}
        _check_version(meta.get(STORAGE_VERSION, b""))
        # 0 in what `etcdutl snapshot restore` would be given: not every version writes it.
        self.consistent_index = _number(meta.get(CONSISTENT_INDEX, bytes(_U64_BYTES)), "an index")
        # Reads below it are refused; what nobody can see any more may still be there.
        compacted = [_revision_of(meta[it])[0] for it in (SCHEDULED, FINISHED) if it in meta]
        self.compacted = max(compacted, default=0)

    def _rows(self, name: bytes) -> Iterator[Row]:
        for row in self._buckets.pop(name, iter(())):
            if row.is_bucket:
                raise EtcdFileDamaged(f"a bucket stands among the rows of {name.decode()}")
            yield row

    def revisions(self) -> Iterator[Revision]:
        """All that is kept of the history, in order; to be called once."""
        return (_decode_revision(row) for row in self._rows(KEY))

    def leases(self) -> dict[bytes, Lease]:
        """Leases by id, as it stands in keys."""
        return {_lease_id(row.key): _decode_lease(row) for row in self._rows(LEASE)}

    def alarms(self) -> set[tuple[int, int]]:
        """Alarms that are raised: by which member, and which."""
        found = set()
        for row in self._rows(ALARM):
            said = _parsed(rpc_pb2.AlarmMember(), Row(row.key, row.key, is_bucket=False))
            found.add((said.memberID, int(said.alarm)))
        return found

    def users(self) -> Users:
        """Users and roles."""
        held = {row.key: row.value for row in self._rows(AUTH)}
        users, roles = {}, {}
        for row in self._rows(AUTH_USERS):
            user = _parsed(auth_pb2.User(), row)
            if user.name != row.key:
                raise EtcdFileDamaged(f"the user {row.key!r} says that it is {user.name!r}")
            users[row.key] = user
        for row in self._rows(AUTH_ROLES):
            role = _parsed(auth_pb2.Role(), row)
            if role.name != row.key:
                raise EtcdFileDamaged(f"the role {row.key!r} says that it is {role.name!r}")
            roles[row.key] = role
        revision = _number(held.get(AUTH_REVISION, bytes(_U64_BYTES)), "a revision of users")
        return Users(held.get(AUTH_ENABLED) == b"\x01", revision, users, roles)


def revision_key(main: int, sub: int, *, is_tombstone: bool = False) -> bytes:
    """A revision as it stands in etcd's keys."""
    return REVISION_KEY.pack(main, b"_", sub) + (TOMBSTONE_MARK if is_tombstone else b"")


def encode_lease(name: bytes, lease: Lease) -> bytes:
    """A leasepb.Lease."""
    encoded = b"\x08" + varint(int.from_bytes(name, "big")) + b"\x10" + varint(lease.ttl_s)
    return encoded + b"\x18" + varint(lease.remaining_s) if lease.remaining_s else encoded


def _check_version(said: bytes) -> None:
    if not said:
        return
    parts = said.split(b".")
    if len(parts) < 2 or not all(it.isdigit() and len(it) < 6 for it in parts[:2]):
        raise EtcdFileDamaged(f"{said!r} is no version of etcd's")
    if (int(parts[0]), int(parts[1])) > _VERSION_MAX:
        text = "this Roost knows those up to 3.6: `roost migrate` follows a running one"
        raise EtcdFileRefused(f"its layout is etcd {said.decode()}'s; {text}")


def _number(value: bytes, what: str) -> int:
    if len(value) != _U64_BYTES:
        raise EtcdFileDamaged(f"{what} has {len(value)} bytes")
    return int.from_bytes(value, "big")


def _revision_of(key: bytes) -> tuple[int, int]:
    """Main and sub of a revision."""
    if len(key) < REVISION_KEY.size:
        raise EtcdFileDamaged(f"a revision has {len(key)} bytes")
    main, mark, sub = REVISION_KEY.unpack_from(key)
    if mark != b"_" or not 0 <= main <= REVISION_MAX or sub > _SUB_MAX:
        raise EtcdFileDamaged(f"{key.hex()} is no revision")
    return main, sub


def _decode_revision(row: Row) -> Revision:
    main, sub = _revision_of(row.key)
    rest = row.key[REVISION_KEY.size :]
    held = _parsed(kv_pb2.KeyValue(), row)
    if not main or not held.key or rest not in (b"", TOMBSTONE_MARK):
        raise EtcdFileDamaged(f"the row of revision {main} is none")
    if rest:
        return Revision(main, sub, held.key, None)
    is_sound = 0 < held.create_revision <= held.mod_revision == main and held.version > 0
    if not is_sound:
        raise EtcdFileDamaged(f"revision {main} of {held.key!r} contradicts itself")
    return Revision(main, sub, held.key, held)


def _parsed(message: Parsed, row: Row) -> Parsed:
    try:
        message.ParseFromString(row.value)
    except DecodeError as error:
        raise EtcdFileDamaged(f"the row {row.key!r} cannot be read: {error}") from error
    return message


def _lease_id(key: bytes) -> bytes:
    if len(key) != _U64_BYTES or not any(key):
        raise EtcdFileDamaged(f"{key.hex()} is no lease")
    return key


def _decode_lease(row: Row) -> Lease:
    numbers = {0x08: 0, 0x10: 0, 0x18: 0}
    offset = 0
    try:
        while offset < len(row.value):
            tag = row.value[offset]
            if tag not in numbers:
                raise EtcdFileDamaged(f"the lease {row.key.hex()} cannot be read: tag {tag}")
            numbers[tag], offset = read_varint(row.value, offset + 1)
    except IndexError as error:
        raise EtcdFileDamaged(f"the lease {row.key.hex()} cannot be read") from error
    lease_id, ttl_s, remaining_s = numbers.values()
    if lease_id != int.from_bytes(row.key, "big"):
        raise EtcdFileDamaged(f"the lease {row.key.hex()} says that it is {lease_id:x}")
    if not 0 < ttl_s <= TTL_S_MAX or not 0 <= remaining_s <= ttl_s:
        raise EtcdFileDamaged(f"the lease {row.key.hex()} has {remaining_s} s left of {ttl_s}")
    return Lease(ttl_s, remaining_s)
