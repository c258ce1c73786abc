"""Requests at the border: decoded and checked once, refused in etcd's words."""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from roost.errors import Refused, RoostError
from roost.etcd import errors
from roost.etcd.ports import Call

Request = TypeVar("Request", bound=Message)


def fail(call: Call, error: RoostError) -> None:
    """Answer a call with what went wrong."""
    call.fail(*errors.status_of(error))


def parse(
    call: Call,
    kind: type[Request],
    body: bytes,
    check: Callable[[Request], None] = lambda _request: None,
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
