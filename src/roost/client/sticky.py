"""Calls that must happen once, to members that remember their keys: each stays where it was sent.

A member that may have done what was asked knows the call's key, and no other member does.  So a
try that was turned away goes to the next endpoint, and one whose answer was lost is repeated at its
own, until the time is over: then nobody can say what became of it.
"""

import asyncio
from enum import Enum
from typing import TypeVar

from google.protobuf.message import Message

from roost.client.backoff import Backoff
from roost.client.connections import Connections
from roost.client.errors import ClientError, OutcomeUnknown
from roost.errors import NotExecuted

Answer = TypeVar("Answer", bound=Message)
# Of the time that is left, for one try at an endpoint that may hang.
_PART = 0.5


class Retry(Enum):
    """What is done when an answer is lost.

    * `EXACTLY_ONCE`: ask the same member again; when it does not answer in time, `OutcomeUnknown`.
    * `AT_LEAST_ONCE`: ask another one then, too; it may be done twice.
    * `AT_MOST_ONCE`: ask nobody again, and raise `OutcomeUnknown` at once.
    """

    EXACTLY_ONCE = "exactly once"
    AT_LEAST_ONCE = "at least once"
    AT_MOST_ONCE = "at most once"


async def call_sticky(
    connections: Connections,
    path: str,
    request: Message,
    answer: type[Answer],
    *,
    retry: Retry,
    timeout_s: float | None = None,
) -> Answer:
    """Ask for one answer; `request` has a key by which its member knows it again.

    Raises:
        RequestRefused: the cluster said no.
        Busy, Unreachable: nothing happened, for as long as we tried.
        OutcomeUnknown: it may have happened.

    """
    now_s = asyncio.get_running_loop().time
    whole_s = connections.manners.timeout_s if timeout_s is None else timeout_s
    until_s = now_s() + whole_s
    backoff, was_stale = Backoff(), False
    waiting: list[str] = []
    # Where it may have been done.
    held = ""
    lost: OutcomeUnknown | None = None
    while True:
        waiting = waiting or connections.nearest.in_order()
        endpoint = held or waiting.pop(0)
        part_s = max(0.0, until_s - now_s()) * (1.0 if retry is Retry.AT_MOST_ONCE else _PART)
        try:
            return await connections.nearest.call_at(
                endpoint, path, request, answer, timeout_s=part_s
            )
        except OutcomeUnknown as error:
            if retry is Retry.AT_MOST_ONCE:
                raise
            lost = error
            held = endpoint if retry is Retry.EXACTLY_ONCE else ""
            last: ClientError = error
        except ClientError as error:
            if not was_stale and connections.forget_token(error):
                was_stale = True
                continue
            if not isinstance(error, NotExecuted):
                raise
            last = error
        pause_s = 0.0 if waiting and not held else backoff.next_s()
        is_last = not connections.manners.retries and (bool(held) or not waiting)
        if is_last or now_s() + pause_s >= until_s:
            raise lost or last
        await asyncio.sleep(pause_s)
