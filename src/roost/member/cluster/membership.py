"""Operations that change who is in the cluster; they run on the leader, one at a time.

Requests are JSON of `AddMember`, `RemoveMember` and so on; the answer is JSON of all
`MemberRecord`s afterwards, the added one first.  The strictness is etcd's (etcd:
server/etcdserver/api/membership): a change that would leave fewer started voters than a majority
is refused.  `replace` is ours: etcd has none.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from roost.errors import UNDECODABLE
from roost.member.cluster.roster import (
    PUBLISH_OPERATION,
    RECORD_BYTES_MAX,
    MemberRecord,
    Roster,
    member_id_of,
)
from roost.member.config import address_of
from roost.member.errors import (
    BadMemberConfig,
    BadPeerUrls,
    MalformedChange,
    MemberExists,
    MemberGone,
    MemberNotFound,
    NotALearner,
    PeerUrlsTaken,
    TooFewAlive,
    TooFewStarted,
    TooManyLearners,
    TooManyPeerUrls,
)
from roost.member.operation import AnyOperation, Changing
from roost.raft import Change, ChangeKind, Id
from roost.store import Txn

# Each is looked at wherever the roster is.
PEER_URLS_MAX, PEER_URL_CHARS_MAX = 16, 1024
LEARNERS_MAX = 1  # etcd's --experimental-max-learners
ADD, REMOVE, PROMOTE, UPDATE = "member.add", "member.remove", "member.promote", "member.update"
REPLACE = "member.replace"
Asked = TypeVar("Asked", bound=msgspec.Struct)


class AddMember(msgspec.Struct, frozen=True, kw_only=True):
    """Add a member that will be reached at these URLs."""

    peer_urls: tuple[str, ...]
    is_learner: bool = False


class RemoveMember(msgspec.Struct, frozen=True):
    """Remove a member for good."""

    id: Id


class ReplaceMember(msgspec.Struct, frozen=True):
    """Put a new member that will be reached at these URLs in the place of another."""

    id: Id
    peer_urls: tuple[str, ...]


class PromoteMember(msgspec.Struct, frozen=True):
    """Make a learner a voter."""

    id: Id


class UpdateMember(msgspec.Struct, frozen=True):
    """Give a member other peer URLs."""

    id: Id
    peer_urls: tuple[str, ...]


class Membership:
    """The operations of one member.

    `token` makes ids of added members; `is_alive(id)` says whether a voter's link is open and it
    was heard lately: a change that takes a majority of those is refused.  Who listens nowhere
    (`is_reachable`) takes nobody: no new member could come to it, and it would lose its majority.
    """

    def __init__(
        self,
        roster: Roster,
        *,
        token: str,
        is_alive: Callable[[int], bool],
        is_reachable: bool = True,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """Remember where to look."""
        self._roster = roster
        self._token = token
        self._is_alive = is_alive
        self._is_reachable = is_reachable
        self._wall_s = wall_s

    def operations(self) -> dict[str, AnyOperation]:
        """By name: those that change the configuration, and those that only change a record."""
        return {
            ADD: Changing(self.add),
            REMOVE: Changing(self.remove),
            PROMOTE: Changing(self.promote),
            REPLACE: Changing(self.replace),
            UPDATE: self.update,
            PUBLISH_OPERATION: self._roster.publish,
        }

    def add(self, txn: Txn, body: bytes) -> tuple[Sequence[Change], bytes]:
        """Add a voter or a learner.

        Raises:
            Refused: the leaf says why.

        """
        asked = _read(body, AddMember)
        records = self._roster.records(txn)
        record = self._new_record(txn, asked.peer_urls, records, is_learner=asked.is_learner)
        if asked.is_learner:
            if sum(it.is_learner for it in records) >= LEARNERS_MAX:
                raise TooManyLearners(f"there may be {LEARNERS_MAX}")
        else:
            self._check_quorum_after(records, added=1)
        return [_addition_of(record)], msgspec.json.encode([record, *records])

    def replace(self, txn: Txn, body: bytes) -> tuple[Sequence[Change], bytes]:
        """Put a new member in another's place by one joint change.

        There is never a voter too few or too many; the new one may have the old one's URLs.

        Raises:
            Refused: as a removal or an addition would be.

        """
        asked = _read(body, ReplaceMember)
        records = self._roster.records(txn)
        gone = _find(records, asked.id)
        rest = [it for it in records if it.id != gone.id]
        record = self._new_record(txn, asked.peer_urls, rest, is_learner=gone.is_learner)
        if not gone.is_learner:
            self._check_quorum_after(records, added=0)  # the old half decides, too
            self._check_quorum_after(rest, added=1)
        self._roster.remove(txn, gone.id)
        changes = [Change(ChangeKind.REMOVE, gone.id), _addition_of(record)]
        return changes, msgspec.json.encode([record, *rest])

    def _new_record(
        self, txn: Txn, urls: tuple[str, ...], records: Sequence[MemberRecord], *, is_learner: bool
    ) -> MemberRecord:
        """Write down somebody new beside `records`."""
        if not self._is_reachable:
            raise TooFewAlive(
                "this member was opened alone, where no other can reach it: open it with "
                "listen_peer_urls=[...] first, and give it these peer URLs"
            )
        _check_urls(urls)
        _check_free(urls, records)
        member_id = member_id_of(urls, self._token, int(self._wall_s()))
        if self._roster.is_removed(member_id, txn) or any(it.id == member_id for it in records):
            raise MemberExists(f"member {member_id:x} exists, or did")
        record = MemberRecord(id=member_id, name="", peer_urls=urls)
        self._roster.put(txn, record)
        return msgspec.structs.replace(record, is_learner=is_learner)

    def remove(self, txn: Txn, body: bytes) -> tuple[Sequence[Change], bytes]:
        """Remove a member; it learns of it, and its id is never used again.

        Raises:
            Refused: the leaf says why.

        """
        member_id = _read(body, RemoveMember).id
        records = self._roster.records(txn)
        if self._roster.is_removed(member_id, txn):
            raise MemberGone(f"member {member_id:x} was removed before")
        gone = _find(records, member_id)
        rest = [it for it in records if it.id != member_id]
        if not gone.is_learner:
            self._check_quorum_after(rest, added=0)
        self._roster.remove(txn, member_id)
        return [Change(ChangeKind.REMOVE, member_id)], msgspec.json.encode(rest)

    def promote(self, txn: Txn, body: bytes) -> tuple[Sequence[Change], bytes]:
        """Make a learner a voter; the core refuses one that has not caught up.

        Raises:
            Refused: the leaf says why.

        """
        member_id = _read(body, PromoteMember).id
        records = self._roster.records(txn)
        if not _find(records, member_id).is_learner:
            raise NotALearner(f"member {member_id:x} votes already")
        self._check_quorum_after(records, added=1)
        after = [
            msgspec.structs.replace(it, is_learner=False) if it.id == member_id else it
            for it in records
        ]
        return [Change(ChangeKind.ADD_VOTER, member_id)], msgspec.json.encode(after)

    def update(self, txn: Txn, body: bytes) -> bytes:
        """Change a member's peer URLs.

        Raises:
            Refused: the leaf says why.

        """
        asked = _read(body, UpdateMember)
        records = self._roster.records(txn)
        held = _find(records, asked.id)
        _check_urls(asked.peer_urls)
        _check_free(asked.peer_urls, [it for it in records if it.id != asked.id])
        changed = msgspec.structs.replace(held, peer_urls=asked.peer_urls, is_learner=False)
        self._roster.put(txn, changed)
        return msgspec.json.encode([changed if it.id == asked.id else it for it in records])

    def _check_quorum_after(self, voters_and_more: Iterable[MemberRecord], *, added: int) -> None:
        """Refuse a change after which the started voters would be no majority.

        Two members may come of one, though the second has not started: how else (etcd:
        IsReadyToAddVotingMember).
        """
        voters = [it for it in voters_and_more if not it.is_learner]
        count = len(voters) + added
        started = sum(1 for it in voters if it.name)
        if added and started == 1 and count == 2:
            return
        needed = count // 2 + 1
        if started < needed:
            raise TooFewStarted(f"{started} of {count} would have started")
        if sum(1 for it in voters if self._is_alive(it.id)) < needed:
            raise TooFewAlive(f"{needed} must be reached")


def _read(body: bytes, kind: type[Asked]) -> Asked:
    """What was asked, wherever it comes from."""
    if len(body) > RECORD_BYTES_MAX:
        raise MalformedChange(f"{len(body)} bytes say more than there is to say of a member")
    try:
        return msgspec.json.decode(body, type=kind)
    except UNDECODABLE as error:
        raise MalformedChange(str(error)) from error


def _addition_of(record: MemberRecord) -> Change:
    kind = ChangeKind.ADD_LEARNER if record.is_learner else ChangeKind.ADD_VOTER
    return Change(kind, record.id)


def _find(records: Iterable[MemberRecord], member_id: int) -> MemberRecord:
    for record in records:
        if record.id == member_id:
            return record
    raise MemberNotFound(f"there is no member {member_id:x}")


def _check_urls(urls: Sequence[str]) -> None:
    try:
        for url in urls[:PEER_URLS_MAX]:
            host, _ = address_of(url)
            if urlsplit(url).path or not host.isprintable() or " " in host:
                raise BadMemberConfig(f"{url!r} must be of the form http://host:port")
    except BadMemberConfig as error:
        raise BadPeerUrls(str(error)) from error
    if not urls:
        raise BadPeerUrls("a member has at least one peer URL")
    if len(urls) > PEER_URLS_MAX or any(len(it) > PEER_URL_CHARS_MAX for it in urls):
        raise TooManyPeerUrls(
            f"a member has at most {PEER_URLS_MAX}, of {PEER_URL_CHARS_MAX} characters each"
        )


def _check_free(urls: Sequence[str], records: Iterable[MemberRecord]) -> None:
    taken = {url for record in records for url in record.peer_urls}
    if not taken.isdisjoint(urls):
        raise PeerUrlsTaken("another member has one of these peer URLs")
