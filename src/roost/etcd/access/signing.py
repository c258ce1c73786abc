"""How an operation says who asks for it, where it travels to the leader (`border`).

    u32 length, then msgpack of [operation, user, digest of the token, revision], then the body

It stands by itself because the modules that work with it may be compiled (`roost/compiled.py`), and
a Struct may not be there.
"""

import msgspec

from roost.etcd.access.tokens import Identity

# A name may be as long as a request.
_LENGTH_BYTES = 4


class Signature(msgspec.Struct, frozen=True, array_like=True):
    """Which operation, and who asks."""

    operation: str
    user: str
    token: bytes
    revision: int


def sign(operation: str, identity: Identity, body: bytes) -> bytes:
    """The body of an operation that says who asks."""
    head = msgspec.msgpack.encode(Signature(operation, *identity))
    return len(head).to_bytes(_LENGTH_BYTES, "big") + head + body


def signed(body: bytes) -> tuple[Signature, bytes]:
    """Who asks, and the body of what is asked for."""
    stop = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "big")
    return msgspec.msgpack.decode(body[_LENGTH_BYTES:stop], type=Signature), body[stop:]
