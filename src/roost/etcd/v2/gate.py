"""Who asks v2, and whether they may, while v2 judges requests itself (record 0029).

While its own users are not asked for, v2 is as open as v3: to everybody, or to v3's root
(`border`).  Else whoever asks says a name and a password with every request (HTTP's Basic), and is
a guest without.  A password is checked once against the hash that is kept, off the loop, and known
again by a keyed digest for as long as that hash stands; so it costs a request what a look-up does.

A change travels to the leader as `etcd.v2_as` and is judged where it runs, by the state that it
sees:

    u32 length, then msgpack of [operation, user, hash, how the key was asked for], then the body

Full?  KNOWN_MAX passwords are known again; then those go that were used the longest ago.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from msgspec.structs import replace

from roost.call import Caller
from roost.database.model import Long, Operation, Txn
from roost.errors import RoostError
from roost.etcd import errors
from roost.etcd.access.judge import Judge, root
from roost.etcd.access.passwords import Attempt, Passwords, Result
from roost.etcd.border import Border
from roost.etcd.v2.faults import Fault, Reason
from roost.etcd.v2.paths import ROOT
from roost.etcd.v2.users import Users, Wanted
from roost.etcd.v2.values import Signature, decode_signature, encode
from roost.exchange import Request
from roost.flow import Flow, network_of
from roost.outcome import Waiting

AS: Final = "etcd.v2_as"
KNOWN_MAX = 4096
AUTHORIZATION: Final = b"authorization"
_LENGTH_BYTES: Final = 4
# What an operation of v2 wants, by its body and by how its key was asked for.
WantedBy = Callable[[bytes, bool], Wanted | None]


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who sent a request, as `Caller`, while v2 judges requests itself."""

    token: str
    certificate_name: str
    address: str
    flow: Flow
    # Empty is a guest.
    user: str = ""
    # The hash that the password was checked against.
    password: bytes = b""
    # Why it is nobody at all.
    refusal: RoostError | None = None


@dataclass(frozen=True, slots=True)
class _Guarded:
    """An operation; `denied` is its answer to whoever may not."""

    run: Operation
    # None: root only.
    wanted: WantedBy | None
    denied: bytes


def asked_key(path: bytes, *, is_slashed: bool) -> bytes:
    """A path as patterns see it: as it was asked for (etcd)."""
    return (b"" if path == ROOT else path) + (b"/" if is_slashed else b"")


def is_slashed(request: Request) -> bool:
    """Whether a path was asked for with a "/" behind, which paths of nodes do not have."""
    return request.raw_path.endswith((b"/", b"%2F", b"%2f"))


class Gate:
    """The one way in to v2."""

    def __init__(self, border: Border, users: Users, passwords: Passwords) -> None:
        """Everybody is a stranger."""
        self._border = border
        self._users = users
        self._passwords = passwords
        self._operations: dict[str, _Guarded] = {}
        self._secret = secrets.token_bytes(32)
        # Digests of names with passwords and hashes that belong together.
        self._known: dict[bytes, None] = {}
        border.replica.register(AS, self._run_as)

    @property
    def is_open(self) -> bool:
        """Whether nobody has to say who they are to v2 itself."""
        return not self._users.is_on

    @property
    def asks_nobody(self) -> bool:
        """Whether v3 does not ask either."""
        return self.is_open and not self._border.auth.may_be_enabled

    def register(
        self, name: str, run: Operation, wanted: WantedBy | None, *, denied: bytes
    ) -> None:
        """Let clients run an operation as far as they may; see `_Guarded`."""
        guarded = self._operations[name] = _Guarded(run, wanted, denied)
        users = self._users

        def run_open(txn: Txn, body: bytes) -> bytes | Long:
            if users.may_be_on and users.is_enabled(txn):
                return self._judged(txn, Signature(name, "", b"", is_slashed=False), body)
            return guarded.run(txn, body)

        self._border.register(name, run_open, root)

    def _run_as(self, txn: Txn, body: bytes) -> bytes | Long:
        """Operation: run another one for a user of v2."""
        stop = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "big")
        signature = decode_signature(body[_LENGTH_BYTES:stop])
        inner = body[stop:]
        if self._users.is_enabled(txn):
            return self._judged(txn, signature, inner)
        if self._border.auth.is_enabled(txn):
            raise errors.user_empty()
        return self._operations[signature.operation].run(txn, inner)

    def _judged(self, txn: Txn, signature: Signature, body: bytes) -> bytes | Long:
        guarded, users = self._operations[signature.operation], self._users
        wanted = guarded.wanted and guarded.wanted(body, signature.is_slashed)
        name = signature.user
        is_allowed = users.knows(txn, name, signature.password) and (
            users.is_root(txn, name) if wanted is None else users.may(txn, name, wanted)
        )
        return guarded.run(txn, body) if is_allowed else guarded.denied

    def write(
        self,
        caller: Caller,
        name: str,
        body: bytes,
        done: Callable[[bytes], None],
        refused: Callable[[RoostError], None],
        waiting: Waiting | None = None,
        *,
        is_slashed: bool = False,
    ) -> None:
        """Have the leader run an operation."""
        if self.is_open:
            self._border.write(caller, name, body, done, refused, waiting)
            return
        visitor = _visitor_of(caller)
        if visitor.refusal is not None:
            refused(visitor.refusal)
            return
        signature = Signature(name, visitor.user, visitor.password, is_slashed)
        head = encode(signature)
        signed = len(head).to_bytes(_LENGTH_BYTES, "big") + head + body
        self._border.write(caller, AS, signed, done, refused, waiting, is_signed=True)

    def admit(
        self,
        caller: Caller,
        wanted: Wanted,
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
        *,
        is_local: bool = False,
        waiting: Waiting | None = None,
    ) -> None:
        """Go on when this member may answer, and the caller may have what is wanted."""
        border, users = self._border, self._users
        judges = users.is_on

        def ready() -> None:
            view, visitor = border.replica.view, _visitor_of(caller)
            if not users.is_on:
                if judges:  # it was turned off meanwhile
                    border.admit(caller, Judge.need_root, allowed, refused, is_local=True)
                else:
                    allowed()
            elif visitor.refusal is not None:
                refused(visitor.refusal)
            elif users.knows(view, visitor.user, visitor.password) and users.may(
                view, visitor.user, wanted
            ):
                allowed()
            else:
                refused(_insufficient())

        check = None if judges else Judge.need_root
        border.admit(caller, check, ready, refused, is_local=is_local, waiting=waiting)

    def check_root(self, caller: Caller) -> None:
        """Whoever asks is root, while v2 judges requests itself.

        Raises:
            RoostError: somebody else asks.

        """
        if not self._users.is_on:
            return
        visitor = _visitor_of(caller)
        if visitor.refusal is not None:
            raise visitor.refusal
        view = self._border.replica.view
        is_known = self._users.knows(view, visitor.user, visitor.password)
        if not (is_known and self._users.is_root(view, visitor.user)):
            raise _insufficient()

    async def wait_root(self, caller: Caller) -> None:
        """Return when whoever asks is root: of v2 while that judges, else of v3 while that does.

        Raises:
            RoostError: somebody else asks.

        """
        if self._users.is_on:
            self.check_root(caller)
        else:
            await self._border.wait_admitted(caller, Judge.need_root, is_local=True)

    def enter(self, request: Request, then: Callable[[Request], None]) -> None:
        """Find out who asks, now or when a password has been checked, and go on with that."""
        caller = request.caller

        def go_on(user: str, password: bytes, refusal: RoostError | None = None) -> None:
            visitor = Visitor(
                caller.token,
                caller.certificate_name,
                caller.address,
                caller.flow.as_user("v2:" + user) if user else caller.flow,
                user,
                password,
                refusal,
            )
            then(replace(request, caller=visitor))

        header = request.headers.get(AUTHORIZATION, b"")
        if not header:
            go_on("", b"")
            return
        basic = _basic(header)
        if basic is None:
            go_on("", b"", _insufficient())
        else:
            self._identify(request, basic, go_on)

    def _identify(
        self,
        request: Request,
        basic: "_Basic",
        go_on: Callable[[str, bytes, RoostError | None], None],
    ) -> None:
        """Check a password; one that was right before is right at once."""
        if self._is_known(basic, self._hash_of(basic.name)):
            go_on(basic.name, self._hash_of(basic.name), None)
            return

        def fresh(_error: RoostError | None) -> None:
            # Without a leader, what is here is what there is to judge by (etcd never asks).
            held = self._hash_of(basic.name)
            attempt = Attempt(basic.name, network_of(request.caller.address), held, basic.password)
            waiting = request.waiting or _Patient()
            checked = partial(self._on_checked, basic, held, go_on)
            if not self._passwords.check(attempt, checked, waiting):
                go_on("", b"", errors.too_many_attempts())

        # A user may be newer than what is applied here.
        self._border.replica.read_nowait(fresh, request.caller.flow)

    def _on_checked(
        self,
        basic: "_Basic",
        held: bytes,
        go_on: Callable[[str, bytes, RoostError | None], None],
        result: Result,
    ) -> None:
        try:
            is_right = result()
        except RoostError as error:
            go_on("", b"", error)
            return
        if is_right:
            self._remember(basic, held)
            go_on(basic.name, held, None)
        else:
            go_on("", b"", _insufficient())

    def _hash_of(self, name: str) -> bytes:
        user = self._users.user(self._border.replica.view, name)
        return b"" if user is None else user.password

    def _digest(self, basic: "_Basic", held: bytes) -> bytes:
        """What a name, a password and a hash that belong together are known by."""
        digest = hashlib.blake2b(key=self._secret, digest_size=32)
        for part in (basic.name.encode(), held, basic.password):
            digest.update(len(part).to_bytes(_LENGTH_BYTES, "big") + part)
        return digest.digest()

    def _is_known(self, basic: "_Basic", held: bytes) -> bool:
        digest = self._digest(basic, held)
        if not held or digest not in self._known:
            return False
        del self._known[digest]
        self._known[digest] = None
        return True

    def _remember(self, basic: "_Basic", held: bytes) -> None:
        self._known[self._digest(basic, held)] = None
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]


@dataclass(frozen=True, slots=True)
class _Basic:
    """What somebody says of itself."""

    name: str
    password: bytes


class _Patient:
    """Whoever waits to the end."""

    is_over = False


def _basic(header: bytes) -> _Basic | None:
    """A name and a password (Go: Request.BasicAuth); None when the header says something else."""
    kind, _, encoded = header.partition(b" ")
    if kind.lower() != b"basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
    except binascii.Error:
        return None
    return _Basic(name.decode(errors="replace"), password) if colon else None


def _visitor_of(caller: Caller) -> Visitor:
    """Who came before anybody had to say who they are is a guest."""
    if isinstance(caller, Visitor):
        return caller
    return Visitor(caller.token, caller.certificate_name, caller.address, caller.flow)


def _insufficient() -> Fault:
    return Fault(Reason.UNAUTHORIZED, "Insufficient credentials")
