"""What one operation is asked with and answered by, on its way between members.

    asked    MessagePack [name, arguments, once]     once: a key, or nil
    answer   0x00, the result                        or
             0x01, MessagePack [kind, text, code]    a refusal: kind is the class's name

A refusal is an ordinary answer to the member: the operation has put back what it wrote, so there
is nothing in the log, and the answer waits until all that it saw is committed.  It does not travel
as an error of the member's, whose table of names is its own.
"""

import msgspec

from roost import errors
from roost.database import errors as ours
from roost.database.errors import Refused
from roost.errors import UNDECODABLE, RoostError
from roost.member.errors import OperationFailed as MemberFailed
from roost.member.errors import RequestTooLarge
from roost.outcome import code_of, text_of

# All operations of a program are one to the member; see `runner`.
RUN_OPERATION = "database.run"
RAN, SAID_NO = b"\0", b"\1"


class Asked(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One operation that was asked for."""

    name: str
    # Of what was sent: there may be very many.
    arguments: memoryview
    once: bytes | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Why it says no."""

    kind: str
    text: str
    code: str = ""


_asked = msgspec.msgpack.Decoder(Asked)
_refusal = msgspec.msgpack.Decoder(Refusal)
_KINDS: dict[str, type[Refused]] = {
    name: it for name, it in vars(ours).items() if isinstance(it, type) and issubclass(it, Refused)
}


def encode_asked(name: str, arguments: bytes, once: bytes | None) -> bytes:
    """What RUN_OPERATION is asked with, for the program's operation of that name."""
    return msgspec.msgpack.encode(Asked(name=name, arguments=memoryview(arguments), once=once))


def decode_asked(body: bytes) -> Asked:
    """What a member was asked for.

    Raises:
        Refused: it is nothing that could be asked.

    """
    try:
        return _asked.decode(body)
    except UNDECODABLE as error:
        raise ours.UnknownOperation(f"what was asked is no operation: {error}") from error


def encode_refusal(refusal: errors.Refused) -> bytes:
    """A refusal as an answer; one of somebody's own class goes as what it is derived from."""
    kind = next(it.__name__ for it in type(refusal).__mro__ if it.__name__ in _KINDS)
    said = Refusal(kind=kind, text=text_of(refusal), code=code_of(refusal))
    return SAID_NO + msgspec.msgpack.encode(said)


def decode_answer(answer: bytes) -> bytes:
    """The result.

    Raises:
        Refused: the operation said no.

    """
    if answer[:1] == RAN:
        return answer[1:]
    said = _refusal.decode(answer[1:])
    kind = _KINDS.get(said.kind, Refused)
    raise kind(said.text, code=said.code)


def of_members(error: RoostError) -> RoostError:
    """What a member says of a request, in the words of a database."""
    if isinstance(error, RequestTooLarge):
        return ours.WriteSetTooLarge(f"{error}: do it in several operations")
    if isinstance(error, MemberFailed):
        return ours.OperationFailed(str(error))
    return error
