"""How a request ends, and who is told.

Whoever asks for something leaves a callback, which is called once with the outcome.  It belongs
to the one who asked, so nothing that it raises may reach the one who tells: that is a member,
telling thousands in one turn.  What a callback raises is logged, and the callback is told once
more, that answering has failed; so its call is answered whatever happened on the way.

`told` and `told_read` make a callback safe to call.  They stand where requests enter a member,
and nowhere behind that.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from roost.errors import AnswerFailed, DeviceFault, RoostError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
Done = Callable[[bytes | None, RoostError | None], None]
ReadDone = Callable[[RoostError | None], None]


def told(done: Done) -> Done:
    """Make a callback for a result or an error safe to call.

    A `DeviceFault` goes on to the caller as well: it is about the member, not about the request.
    """

    def tell(result: bytes | None, error: RoostError | None) -> None:
        try:
            done(result, error)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is this request's
            _tell_failure(lambda it: done(None, it), failure)

    return tell


def told_read(done: ReadDone) -> ReadDone:
    """Make a callback for an error or its absence safe to call, as `told` does."""

    def tell(error: RoostError | None) -> None:
        try:
            done(error)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is this request's
            _tell_failure(done, failure)

    return tell


def _tell_failure(done: ReadDone, failure: Exception) -> None:
    logger.error("a request failed while it was answered", exc_info=failure)
    try:
        done(AnswerFailed("internal error"))
    except Exception:
        logger.exception("a request could not even be told so")
    if isinstance(failure, DeviceFault):
        raise failure


def settle_future(future: asyncio.Future[Result], result: Result, error: RoostError | None) -> None:
    """Answer whoever awaits, unless nobody does any more."""
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
