"""Both ends of a greeting, and what is true of the cluster they greet in."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from roost.peer import Secrets
from roost.peer.errors import (
    WrongMember,
)
from roost.peer.frame import (
    WELCOME,
    Hello,
    Invitation,
    Join,
    Life,
    Welcome,
)
from roost.peer.greeting import Acceptor, Admitted, CallBack, Dialler, Say
from roost.peer.lives import Lives
from roost.peer.local import CONTROL, Known, LocalPeer

HOME, FAR = ("10.0.0.2", 2380), ("10.0.0.9", 2380)


ONE, TWO = b"1" * 16, b"2" * 16


LOCAL = LocalPeer(
    cluster_id=9, member_id=1, life=Life(10, 5, 77), protocol_version=1, storage_version=1
)


PEER = replace(LOCAL, member_id=2, life=Life(20, 5, 88), addresses=(HOME,))


OURS, THEIRS = Secrets([b"a secret of members"]), Secrets([b"what strangers guess"])


@dataclass
class Certificate:
    """A certificate that is for some names."""

    names: tuple[str, ...]
    is_allowed: bool = False

    def foreign_to(self, names: Sequence[str]) -> str:
        return "" if set(names) & set(self.names) else f"a certificate of {self.names}"


@dataclass
class House:
    """Member 1 of cluster 9, which knows member 2; 66 was removed."""

    secrets: Secrets = field(default_factory=Secrets)
    local: LocalPeer = LOCAL
    members: dict[int, Known] = field(default_factory=lambda: {2: Known((HOME,), ("m2",))})
    full: bool = False
    lives: Lives = field(default_factory=lambda: Lives(lambda _member_id: (0, 0)))
    asked_about: list[int] = field(default_factory=list)

    def known(self, member_id: int) -> Known | None:
        return self.members.get(member_id)

    def is_removed(self, member_id: int) -> bool:
        return member_id == 66

    def is_full(self) -> bool:
        return self.full

    def is_greeting(self, nonce: bytes) -> bool:
        return nonce == ONE

    def ask_about(self, member_id: int) -> None:
        self.asked_about.append(member_id)

    def invite(self, join: Join) -> tuple[Invitation, Known]:
        if join.peer_urls != ("http://10.0.0.2:2380",):
            raise WrongMember("nobody was added")
        return Invitation(cluster_id=9, member_id=2), self.members[2]


def acceptor(house: House, shown: Certificate | None = None, nonce: bytes = TWO) -> Acceptor:
    return Acceptor(house, nonce=nonce, shown=lambda: shown)


def encode(body: msgspec.Struct) -> bytes:
    return msgspec.msgpack.encode(body)


def greet(
    house: House,
    hello: Hello,
    *,
    secrets: Secrets | None = None,
    shown: Certificate | None = None,
    answer: str = "",
) -> tuple[CallBack, Admitted]:
    """Play the whole greeting; `answer` is what the one who was called back says."""
    near, far = Dialler(hello, secrets or Secrets()), acceptor(house, shown)
    said = near.open()
    challenge = far.feed(said.kind, encode(said.body))
    assert isinstance(challenge, Say)
    proof = near.feed(challenge.kind, encode(challenge.body))
    assert isinstance(proof, Say)
    calling = far.feed(proof.kind, encode(proof.body))
    assert isinstance(calling, CallBack)
    admitted = far.answered(answer)
    assert isinstance(admitted, Admitted)
    welcome = near.feed(WELCOME, encode(admitted.welcome))
    assert isinstance(welcome, Welcome)
    assert welcome.life == LOCAL.life
    return calling, admitted


def hello(**changes: object) -> Hello:
    return msgspec.structs.replace(PEER.hello(1, CONTROL, ONE), **changes)


def joining(*urls: str) -> Join:
    return Join(
        peer_urls=urls or ("http://10.0.0.2:2380",), protocol_version=1, storage_version=1,
        nonce=ONE,
    )  # fmt: skip
