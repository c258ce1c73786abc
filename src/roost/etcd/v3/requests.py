"""Requests at the border: decoded and checked once, refused in etcd's words."""

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from roost.call import Call
from roost.errors import Refused, RoostError
from roost.etcd import errors

logger = logging.getLogger(__name__)
Request = TypeVar("Request", bound=Message)


class Failing(Protocol):
    """What can be ended with a gRPC status."""

    def fail(self, code: int, text: str) -> None: ...


def guarded(call: Failing, step: Callable[[], None]) -> Callable[[], None]:
    """Make `step` safe to be called by a loop, a timer or a thread: what it raises ends `call`.

    What a handler raises ends its call by itself, and what the replica calls back is safe where
    it is called; this is for what a service does between those, in turns of its own.
    """

    def run() -> None:
        try:
            step()
        except RoostError as error:
            call.fail(*errors.status_of(error))
        except Exception as error:
            logger.exception("a call failed")
            call.fail(*errors.status_of_fault(error))

    return run


def fail(call: Call, error: RoostError) -> None:
    """Answer a call with what went wrong."""
    call.fail(*errors.status_of(error))


def emptily(call: Call) -> Callable[[RoostError | None], None]:
    """What ends a call whose answer is empty, and as etcd's has no header: done, or an error."""

    def done(error: RoostError | None) -> None:
        if error is not None:
            fail(call, error)
        else:
            call.reply(b"")

    return done


def parse(
    call: Call,
    kind: type[Request],
    body: bytes,
    check: Callable[[Request], object] = lambda _request: None,
) -> Request | None:
    """Decode and check a request; None when the call was answered with what is wrong."""
    try:
        request = kind.FromString(body)
        check(request)
    except DecodeError:
        fail(call, errors.malformed_request())
    except Refused as refusal:
        fail(call, refusal)
    else:
        return request
    return None
