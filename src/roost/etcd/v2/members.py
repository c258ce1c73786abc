"""/v2/members: who is in the cluster, and changes of that (etcd: api/v2http/client.go).

Errors here have a form of their own: {"message": ...}, with the status.
"""

from collections.abc import Callable
from itertools import chain

import msgspec

from roost.call import Caller
from roost.database.cluster import (
    AddMember,
    MemberChange,
    MemberRecord,
    RemoveMember,
    UpdateMember,
    decode_members,
    encode_change,
    operation_of,
)
from roost.database.member_errors import (
    BadPeerUrls,
    MemberExists,
    MemberGone,
    MemberNotFound,
    PeerUrlsTaken,
    TooManyPeerUrls,
)
from roost.errors import RoostError
from roost.etcd.access.judge import somebody
from roost.etcd.border import Border
from roost.etcd.errors import status_of
from roost.etcd.v2.asking import answer_to, in_time
from roost.etcd.v2.faults import Fault, Reason, fault_of
from roost.etcd.v2.gate import Gate
from roost.etcd.v2.json_text import message_json
from roost.exchange import JSON, TEXT, Answer, Request, not_allowed

PREFIX = b"/v2/members"
METHODS = ("GET", "POST", "DELETE", "PUT")
_JSON_KIND = b"application/json"
_STATUSES: dict[type[RoostError], int] = {
    MemberNotFound: 404,
    MemberExists: 409,
    PeerUrlsTaken: 409,
    BadPeerUrls: 400,
    TooManyPeerUrls: 400,
}


class Member(msgspec.Struct, frozen=True):
    """A member as clients see it."""

    id: str
    name: str
    # etcd's names.
    peerURLs: tuple[str, ...]  # noqa: N815 - the same
    clientURLs: tuple[str, ...]  # noqa: N815 - the same


class Members(msgspec.Struct, frozen=True):
    """All of them."""

    members: list[Member]


class _Urls(msgspec.Struct, frozen=True):
    peerURLs: tuple[str, ...] = ()  # noqa: N815 - etcd's name


class _Denied(Exception):
    """An answer that says no."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class MemberPages:
    """Answers what is asked of members."""

    def __init__(self, border: Border, gate: Gate, *, request_s: float) -> None:
        """A request has so many seconds."""
        self._border = border
        self._gate = gate
        self._request_s = request_s

    async def answer(self, request: Request, name: bytes) -> Answer:
        """Answer a request to /v2/members/`name`."""
        try:
            return await self._answer(request, name)
        except _Denied as error:
            return self._message(error.status, error.text)
        except RoostError as error:
            fault = fault_of(error)
            if fault.reason is Reason.UNAUTHORIZED:
                # etcd names no cluster to strangers.
                return Answer(401, message_json("Insufficient credentials"), (JSON,))
            found = (_STATUSES[it] for it in type(error).__mro__ if it in _STATUSES)
            return self._message(next(found, 500), status_of(error).text)

    def machines(self, request: Request) -> Answer:
        """All client URLs, as text."""
        if request.method not in ("GET", "HEAD"):
            return not_allowed("GET", "HEAD")
        records = self._border.replica.members()
        urls = sorted(chain.from_iterable(it.client_urls for it in records))
        return Answer(200, ", ".join(urls).encode(), (TEXT,))

    def leader(self, request: Request) -> Answer:
        """The leader's peer URL, as text (etcd 0.3; later ones have /v2/members/leader)."""
        if request.method not in ("GET", "HEAD"):
            return not_allowed("GET", "HEAD")
        record = self._leader()
        if record is None:
            fault = Fault(Reason.DURING_ELECTION)
            return Answer(fault.status, fault.body, (JSON,))
        return Answer(200, record.peer_urls[0].encode(), (TEXT,))

    def _message(self, status: int, text: str) -> Answer:
        cluster = (b"x-etcd-cluster-id", b"%x" % self._border.replica.cluster_id)
        return Answer(status, message_json(text), (cluster, JSON))

    def _json(self, status: int, value: object) -> Answer:
        cluster = (b"x-etcd-cluster-id", b"%x" % self._border.replica.cluster_id)
        return Answer(status, msgspec.json.encode(value) + b"\n", (cluster, JSON))

    def _leader(self) -> MemberRecord | None:
        """Who leads, as far as this member knows."""
        replica = self._border.replica
        return next((it for it in replica.members() if it.id == replica.leader_id), None)

    async def _answer(self, request: Request, name: bytes) -> Answer:
        """Answer it.

        Raises:
            _Denied: no.
            RoostError: no.

        """
        if request.method not in METHODS:
            return not_allowed(*METHODS)
        if request.method == "GET":
            return await self._read(request.caller, name)
        if not self._border.auth.may_be_enabled:  # else v3's root is who changes members
            self._gate.check_root(request.caller)
        if request.method == "POST":
            urls = _urls_of(request)
            added = await self._change(request.caller, AddMember(peer_urls=urls))
            return self._json(201, _shown(added[0]))
        if not name:
            return Answer(405, b"Method Not Allowed\n", (TEXT,))
        member_id = _id_of(name)
        change: MemberChange = RemoveMember(member_id)
        if request.method == "PUT":
            change = UpdateMember(member_id, _urls_of(request))
        try:
            await self._change(request.caller, change)
        except MemberGone:
            raise _Denied(410, f"Member permanently removed: {member_id:x}") from None
        except MemberNotFound:
            raise _Denied(404, f"No such member: {member_id:x}") from None
        cluster = (b"x-etcd-cluster-id", b"%x" % self._border.replica.cluster_id)
        return Answer(204, b"", (cluster,))

    async def _read(self, caller: Caller, name: bytes) -> Answer:
        await in_time(self._border.wait_admitted(caller, somebody, is_local=True), self._request_s)
        if not name:
            records = self._border.replica.members()
            return self._json(200, Members([_shown(it) for it in records]))
        if name == b"leader":
            record = self._leader()
            if record is None:
                raise _Denied(503, "During election")
            return self._json(200, _shown(record))
        raise _Denied(404, "Not found")

    async def _change(self, caller: Caller, change: MemberChange) -> list[MemberRecord]:
        """Have it done; all members after it."""
        border, asked = self._border, encode_change(change)

        def ask(done: Callable[[bytes], None], refused: Callable[[RoostError], None]) -> None:
            def told(outcome: bytes | RoostError) -> None:
                if isinstance(outcome, RoostError):
                    refused(outcome)
                else:
                    done(outcome)

            def allowed() -> None:
                border.replica.transact_nowait(operation_of(change), asked, told, caller.flow)

            border.admit_root(caller, allowed, refused)

        return decode_members(await answer_to(ask, self._request_s))


def _shown(record: MemberRecord) -> Member:
    return Member(f"{record.id:x}", record.name, record.peer_urls, record.client_urls)


def _urls_of(request: Request) -> tuple[str, ...]:
    """The peer URLs in a body."""
    kind = request.headers.get(b"content-type", b"")
    if kind.partition(b";")[0].strip().lower() != _JSON_KIND:
        shown = kind.decode("latin-1")
        raise _Denied(415, f"Bad Content-Type {shown}, accept application/json")
    try:
        return msgspec.json.decode(request.body, type=_Urls).peerURLs
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _Denied(400, str(error)) from error


def _id_of(name: bytes) -> int:
    """The id that is written so."""
    shown = name.decode("latin-1")
    try:
        number = int(shown, 16) if shown.isalnum() else -1
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64:
        raise _Denied(404, f"No such member: {shown}")
    return number
