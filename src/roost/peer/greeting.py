"""The greeting: who is at the other end of a connection, and what is believed of it.  Sans I/O.

    who dials                                who is dialled
    HELLO {who, its life, whom, nonce}  ->
                                        <-   CHALLENGE {nonce}
    PROOF {mac}                         ->
                                             calls back: dials the member where it is known to be
                                             and asks CONFIRM {the hello's nonce}; only whoever
                                             sent that hello answers CONFIRMED
                                        <-   WELCOME {who, its life, mac}

A newcomer says JOIN instead of HELLO, is called back at the URLs it was added with, and gets an
INVITATION instead of a welcome.  Instead of anything there may come a REFUSAL {why, mac}.  Only
addresses that the roster has are ever called back, or those of somebody who knows the secret.

What is believed, and why:

* **The dialler is the member it says it is**, when the member at the address that we know for it
  says so.  Whoever has not taken that address cannot be it, whatever it knows: neither a stranger,
  nor a copy of the member's directory, nor a second process of that name.  That holds without TLS.
* With a shared secret the dialler knows it too, or nothing it says counts (`secret`).
* With TLS its certificate belongs to that member: it is for the host of one of its peer URLs, its
  name or its id, or it is what `--peer-cert-allowed-cn` and `-hostname` ask for.
* **The acceptor is the member that was meant**, because it is where we know that member to be; with
  a secret it proves that it knows it, with TLS its certificate is for that host.
* What a greeting claims of a life is kept only when the greeting is proven (`lives`).
* **A member that is not in our roster** may be newer than what we have applied, and may be the
  leader that we need to catch up.  It is taken in where a secret or an allowed name proves that it
  is of our cluster; otherwise its greeting is refused, and those whom we do know are asked: what
  one of them says of it, in its name, counts as if it stood in our roster (`House.ask_about`).
* **A member that has moved** while we were away, with all whom we could ask, is looked for where it
  says it is, too, when the secret or an allowed name proves that it is of our cluster.
* Nobody ends itself because of a refusal that is not proven (`RefusedThere.is_proven`).

Refusals, in the order in which they are looked for; those below the line only after the proof:

    WrongCluster         the other cluster's id
    WrongVersion         another protocol or storage version
    WrongMember          another member was meant; we dialled ourselves; an unknown channel
    UnprovenMember       a secret is asked for, and it is not known
    -----------------
    RemovedMember        it was a member once
    WrongMember          it is not known here; too many are
    UnprovenMember       its certificate is somebody else's
    AlreadyBootstrapped  its directory is not the one that member has lived in
    WrongIncarnation     its directory is an old state, or a copy
    UnprovenMember       the one at its address says that it greets nobody like that
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

import msgspec

from roost.peer import frame
from roost.peer.claims import Shown, check_certificate, check_hello, check_join
from roost.peer.errors import (
    REFUSALS,
    HandshakeRefused,
    MalformedFrame,
    RefusedThere,
    RemovedMember,
    UnprovenMember,
    WrongMember,
)
from roost.peer.frame import (
    Challenge,
    Confirm,
    Confirmed,
    Hello,
    Invitation,
    Join,
    Proof,
    Refusal,
    Welcome,
    decode,
)
from roost.peer.lives import Lives
from roost.peer.local import NEWCOMER, Address, Known, LocalPeer
from roost.peer.secret import Secrets

_TEXT_MAX = 1024
_ADDRESSES_MAX = 16
_DIALLER, _ACCEPTOR, _REFUSAL = "dialler", "acceptor", "refusal"
Answer = TypeVar("Answer", Welcome, Invitation)


class House(Protocol):
    """What the acceptor's end must be able to look up."""

    local: LocalPeer
    lives: Lives
    secrets: Secrets

    def known(self, member_id: int) -> Known | None:
        """A member of the roster, or one that such a member has vouched for."""

    def is_removed(self, member_id: int) -> bool:
        """Whether it was a member once and is none any more."""

    def is_full(self) -> bool:
        """Whether nobody else can be known."""

    def is_greeting(self, nonce: bytes) -> bool:
        """Whether we have just sent a greeting with that nonce."""

    def ask_about(self, member_id: int) -> None:
        """Ask those whom we know who and where that member is."""

    def invite(self, join: Join) -> tuple[Invitation, Known]:
        """Who a newcomer is, and where.

        Raises:
            HandshakeRefused: nobody was added with these URLs, or has lived before.

        """


@dataclass(frozen=True, slots=True)
class Say:
    """Send this; the conversation goes on."""

    kind: int
    body: msgspec.Struct


@dataclass(frozen=True, slots=True)
class Told:
    """Send this; that was all."""

    kind: int
    body: msgspec.Struct


@dataclass(frozen=True, slots=True)
class CallBack:
    """Dial these addresses and ask for that nonce; then call `Acceptor.answered`."""

    target_id: int
    addresses: tuple[Address, ...]
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Admitted:
    """The greeting is proven: send the welcome, and listen."""

    hello: Hello
    welcome: Welcome
    # Where it is besides, when it is not in our roster, or has moved.
    new_addresses: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Joins:
    """A newcomer is where it was added: send the invitation, and a snapshot."""

    asked: Join
    invitation: Invitation


AcceptorStep = Say | Told | CallBack | Admitted | Joins


class _At(Enum):
    """How far an acceptor's end has come."""

    BEGIN = 0
    CHALLENGED = 1
    CALLING = 2
    OVER = 3


class Acceptor:
    """The end of whoever was dialled.

    `feed` raises a leaf of HandshakeRefused, which is to be sent as `refusal` makes it, or
    MalformedFrame, which ends the connection without a word.
    """

    def __init__(self, house: House, *, nonce: bytes, shown: Callable[[], Shown | None]) -> None:
        """Wait for the first word; `shown` is the other side's certificate, if it has one."""
        self._house = house
        self._shown = shown
        self._challenge = Challenge(nonce)
        self._at = _At.BEGIN
        self._first: Hello | Join | None = None
        self._invitation: Invitation | None = None
        self._first_body = b""
        self._challenge_body = msgspec.msgpack.encode(self._challenge)
        # Where the other side says it is, beside where we know it to be; believed once it is
        # proven to be of our cluster.
        self._new_addresses: tuple[Address, ...] = ()
        # The secret that the other side has proven to know.
        self._shared: Secrets | None = None
        self._handlers: Mapping[tuple[_At, int], Callable[[bytes], AcceptorStep]] = {
            (_At.BEGIN, frame.HELLO): self._on_hello,
            (_At.BEGIN, frame.JOIN): self._on_join,
            (_At.BEGIN, frame.CONFIRM): self._on_confirm,
            (_At.CHALLENGED, frame.PROOF): self._on_proof,
        }

    def feed(self, kind: int, body: bytes) -> AcceptorStep:
        """Take one frame and say what to do.

        Raises:
            HandshakeRefused: one of its leaves.
            MalformedFrame: nobody greets like that.

        """
        handler = self._handlers.get((self._at, kind))
        if handler is None:
            raise MalformedFrame(f"frame kind {kind} has no place in a greeting here")
        return handler(body)

    def _on_confirm(self, body: bytes) -> AcceptorStep:
        self._at = _At.OVER
        return confirm(body, self._house.local.member_id, self._house.is_greeting)

    def _on_hello(self, body: bytes) -> AcceptorStep:
        hello = decode(body, Hello)
        check_hello(self._house.local, hello)
        return self._ask_for_proof(hello, body)

    def _on_join(self, body: bytes) -> AcceptorStep:
        join = decode(body, Join)
        check_join(self._house.local, join)
        return self._ask_for_proof(join, body)

    def _ask_for_proof(self, first: Hello | Join, body: bytes) -> AcceptorStep:
        self._first, self._first_body = first, body
        self._at = _At.CHALLENGED
        return Say(frame.CHALLENGE, self._challenge)

    def _on_proof(self, body: bytes) -> AcceptorStep:
        proof, secrets = decode(body, Proof), self._house.secrets
        if secrets:
            self._shared = secrets.find(proof.mac, _DIALLER, *self._said)
            if self._shared is None:
                why = "another one" if proof.mac else "none"
                text = f"this cluster shares a secret, and {why} was used"
                raise UnprovenMember(f"{text}: give all members the same --peer-secret-file")
        self._at = _At.CALLING
        first, shown = self._first, self._shown()
        assert first is not None, "a proof follows a hello"
        if isinstance(first, Hello):
            return self._check_member(first, shown)
        return self._check_newcomer(first, shown)

    def _check_newcomer(self, join: Join, shown: Shown | None) -> CallBack:
        self._invitation, known = self._house.invite(join)
        check_certificate(shown, known, self._invitation.member_id)
        return CallBack(NEWCOMER, known.addresses, join.nonce)

    def _check_member(self, hello: Hello, shown: Shown | None) -> CallBack:
        house, member_id = self._house, hello.member_id
        if house.is_removed(member_id):
            raise RemovedMember(f"member {member_id:x} was removed from the cluster")
        known = house.known(member_id)
        is_of_cluster = self._shared is not None or (shown is not None and shown.is_allowed)
        told = hello.addresses[:_ADDRESSES_MAX] if is_of_cluster else ()
        if known is None:
            if not is_of_cluster:
                house.ask_about(member_id)
                raise WrongMember(f"member {member_id:x} is not known here, or not yet")
            if house.is_full():
                raise WrongMember(f"member {member_id:x} is not known here, and too many are")
            known = Known(())
        self._new_addresses = tuple(it for it in told if it not in known.addresses)
        known = Known((*known.addresses, *self._new_addresses), known.names)
        check_certificate(shown, known, member_id)
        # Whoever has the wrong directory is told so by name, wherever it is.
        house.lives.check(member_id, hello.life)
        return CallBack(member_id, known.addresses, hello.nonce)

    def answered(self, refused: str) -> Admitted | Joins:
        """The one at the known address has said that it greets us, if `refused` is empty.

        Raises:
            HandshakeRefused: it did not; or what it claims cannot be.

        """
        assert self._at is _At.CALLING, "somebody was called back"
        self._at = _At.OVER
        house, first = self._house, self._first
        if isinstance(first, Join):
            if refused:
                raise UnprovenMember(f"nobody who joins is at these peer URLs: {refused}")
            assert self._invitation is not None, "a newcomer was called back"
            return Joins(first, self._signed(self._invitation))
        assert isinstance(first, Hello), "a hello or a join was heard"
        member_id = first.member_id
        if refused:
            house.ask_about(member_id)  # it may have moved, and we may be behind
            text = f"member {member_id:x} is not who greets: {refused}"
            raise UnprovenMember(f"{text}; if it has moved, some member must be able to say so")
        if house.is_removed(member_id):
            raise RemovedMember(f"member {member_id:x} was removed from the cluster")
        house.lives.believe(member_id, first.life)
        local = house.local
        welcome = Welcome(member_id=local.member_id, life=local.life)
        return Admitted(first, self._signed(welcome), self._new_addresses)

    def refusal(self, error: HandshakeRefused) -> Refusal:
        """Say no; by name, and signed when the other side has proven that it may know."""
        bare = Refusal(kind=type(error).__name__, text=str(error)[:_TEXT_MAX])
        mac = self._sign(_REFUSAL, bare) if self._shared else b""
        return msgspec.structs.replace(bare, mac=mac)

    @property
    def _said(self) -> tuple[bytes, bytes]:
        return self._first_body, self._challenge_body

    def _signed(self, bare: Answer) -> Answer:
        return msgspec.structs.replace(bare, mac=self._sign(_ACCEPTOR, bare))

    def _sign(self, role: str, bare: msgspec.Struct) -> bytes:
        body = msgspec.msgpack.encode(bare)
        # With the secret that the other side used: it may not know our first one yet.
        secrets = self._shared or self._house.secrets
        return secrets.sign(role, *self._said, body)


class Dialler:
    """The end of whoever dials: a member's with `hello`, a newcomer's with a join."""

    def __init__(self, first: Hello | Join, secrets: Secrets) -> None:
        """`open` says the first word."""
        self._secrets = secrets
        self._first = first
        self._first_body = msgspec.msgpack.encode(first)
        self._challenge_body = b""

    def open(self) -> Say:
        """What is said first."""
        is_hello = isinstance(self._first, Hello)
        return Say(frame.HELLO if is_hello else frame.JOIN, self._first)

    def feed(self, kind: int, body: bytes) -> Say | Welcome | Invitation:
        """Take one frame; say what to send, or how it ended.

        Raises:
            RefusedThere: the other side says no.
            HandshakeRefused: we do not believe the other side.
            MalformedFrame: nobody answers like that.

        """
        if kind == frame.REFUSAL:
            self._on_refusal(decode(body, Refusal))
        if kind == frame.CHALLENGE and not self._challenge_body:
            decode(body, Challenge)
            self._challenge_body = body
            mac = self._secrets.sign(_DIALLER, self._first_body, body)
            return Say(frame.PROOF, Proof(mac))
        if kind == frame.WELCOME and isinstance(self._first, Hello) and self._challenge_body:
            welcome = decode(body, Welcome)
            self._check_answer(welcome)
            if welcome.member_id != self._first.target_id:
                meant = self._first.target_id
                raise WrongMember(f"reached member {welcome.member_id:x}, not {meant:x}")
            return welcome
        if kind == frame.INVITATION and isinstance(self._first, Join) and self._challenge_body:
            invitation = decode(body, Invitation)
            self._check_answer(invitation)
            return invitation
        raise MalformedFrame(f"frame kind {kind} is no answer to a greeting")

    def _check_answer(self, answer: Welcome | Invitation) -> None:
        if self._secrets and not self._is_signed(answer, _ACCEPTOR):
            text = "the other side does not know the secret of --peer-secret-file, or has none"
            raise UnprovenMember(text)

    def _is_signed(self, said: Welcome | Invitation | Refusal, role: str) -> bool:
        bare = msgspec.msgpack.encode(msgspec.structs.replace(said, mac=b""))
        parts = (self._first_body, self._challenge_body, bare)
        return self._secrets.find(said.mac, role, *parts) is not None

    def _on_refusal(self, refusal: Refusal) -> None:
        is_proven = not self._secrets or self._is_signed(refusal, _REFUSAL)
        error = REFUSALS.get(refusal.kind, HandshakeRefused)(refusal.text)
        raise RefusedThere(error, is_proven=is_proven)


def confirm(body: bytes, own_id: int, is_greeting: Callable[[bytes], bool]) -> Told:
    """Answer somebody who is being greeted in our name.

    Raises:
        WrongMember, UnprovenMember: it is not us who does that.

    """
    asked = decode(body, Confirm)
    if asked.target_id != own_id:
        raise WrongMember(f"member {asked.target_id:x} was meant, this is {own_id:x}")
    if not is_greeting(asked.nonce):
        raise UnprovenMember(f"member {own_id:x} is greeting nobody with that number")
    return Told(frame.CONFIRMED, Confirmed())
