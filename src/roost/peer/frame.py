"""What is said in a greeting: the kinds of its frames, and their bodies; `framing` has the bytes.

Who dials and who is dialled greet each other first: `greeting` has the conversation.  After it
frames go from the dialler to the acceptor only (D7).  Bodies of the greeting are MessagePack, and
every number and text is checked where it is decoded.
"""

from typing import Annotated, TypeVar

import msgspec

from roost.errors import UNDECODABLE
from roost.peer.errors import MalformedFrame
from roost.peer.framing import encode
from roost.raft.types import Count, Id

HELLO, WELCOME, REFUSAL = 240, 241, 242
JOIN, INVITATION = 247, 248
CHALLENGE, PROOF, CONFIRM, CONFIRMED = 249, 250, 251, 252
CONTROL_BYTES_MAX = 4 << 20
BULK_BYTES_MAX = 80 << 20
HANDSHAKE_BYTES_MAX = 4096
NONCE_BYTES, MAC_BYTES = 16, 32

Nonce = Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
# Empty where no secret is shared.
Mac = Annotated[bytes, msgspec.Meta(max_length=MAC_BYTES)]
Body = TypeVar("Body", bound=msgspec.Struct)
TcpPort = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Text = Annotated[str, msgspec.Meta(max_length=1024)]


class Life(msgspec.Struct, frozen=True, array_like=True):
    """One life of a member.

    `directory` is when its data directory was made, in microseconds since 1970; `incarnation`
    grows with every start of that directory; `number` is drawn by the process, and no other
    process ever draws the same.  So a directory that is new, a copy of one, or an old state of
    it, is noticed.
    """

    directory: Count
    incarnation: Count
    number: Count


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Who dials, whom it means to reach, and where it can be dialled itself."""

    cluster_id: Id
    member_id: Id
    life: Life
    target_id: Id
    channel: Count
    protocol_version: Count
    storage_version: Count
    nonce: Nonce
    addresses: tuple[tuple[Text, TcpPort], ...] = ()


class Challenge(msgspec.Struct, frozen=True):
    """A number that nobody can have known before: prove that you are who you say."""

    nonce: Nonce


class Proof(msgspec.Struct, frozen=True):
    """The answer to a challenge."""

    mac: Mac = b""


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """Who was reached."""

    member_id: Id
    life: Life
    mac: Mac = b""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why the other side will not talk; `kind` is the name of an error class."""

    kind: Text
    text: Text
    mac: Mac = b""


class Confirm(msgspec.Struct, frozen=True, kw_only=True):
    """Is it you who greets us with this nonce?  Answered with CONFIRMED or REFUSAL."""

    target_id: Id
    nonce: Nonce


class Confirmed(msgspec.Struct, frozen=True):
    """It is."""


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """I was added to your cluster under these peer URLs: tell me who I am and what you hold.

    `directory` is when the asker's directory was made, if it has been a member before and only
    its store is gone; 0 is a newcomer.
    """

    peer_urls: tuple[Text, ...]
    protocol_version: Count
    storage_version: Count
    nonce: Nonce
    directory: Count = 0


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """Who the newcomer is; a snapshot that knows it follows."""

    cluster_id: Id
    member_id: Id
    mac: Mac = b""


def encode_struct(kind: int, body: msgspec.Struct) -> bytes:
    """A whole handshake frame."""
    return b"".join(encode(kind, [msgspec.msgpack.encode(body)]))


def decode(body: bytes, kind: type[Body]) -> Body:
    """Decode what was said.

    Raises:
        MalformedFrame: it is nothing of that kind.

    """
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except UNDECODABLE as error:
        raise MalformedFrame(f"this is no {kind.__name__.lower()}: {error}") from error
