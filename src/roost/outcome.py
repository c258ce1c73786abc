"""How a request ends, and who is told.

Whoever asks for something leaves a callback, which is called once with the outcome: the result, or
the error that stands in its place, so that there is never both and never neither.  It belongs to
the one who asked, so nothing that it raises may reach the one who tells: that is a member,
telling thousands in one turn.  What a callback raises is logged, and the callback is told once
more, that answering has failed; so its call is answered whatever happened on the way.

`told` and `told_read` make a callback safe to call.  They stand where a member takes a request to
keep it, and nowhere behind that; an operation that waits on the leader does the same itself
(`Request.tell`), and so do reads that wait for a round (`tell_reads`): that costs no closure each.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from roost.errors import AnswerFailed, DeviceFault, RoostError, ShortOfMemory

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
Outcome = bytes | RoostError
Done = Callable[[Outcome], None]
# A read barrier has no result: `None` says that the view holds everything.
ReadDone = Callable[[RoostError | None], None]
# What a program's own function may raise while we run it in one step: an error, a call of
# `sys.exit`, what it has kept of another task, or whatever a library has made of BaseException, as
# pytest has of a test that fails.  Each is that function's alone.  Let through, they would end the
# loop, or leave who ran beside it without an answer.  Only an interrupt is meant for the program as
# a whole: whoever catches these lets a KeyboardInterrupt through before.
PROGRAM_FAULTS: tuple[type[BaseException], ...] = (BaseException,)


def text_of(error: BaseException) -> str:
    """What an error of a program's says, as Unicode, so that it can travel.

    It may quote the name of a file that is none; and what says it is the program's own code.
    """
    try:
        return _unicode(str(error))
    except KeyboardInterrupt:
        raise
    except PROGRAM_FAULTS as failure:
        return f"it cannot be put into words: {type(failure).__name__}"


def code_of(error: BaseException) -> str:
    """The code of an error that has one, as `text_of`; what is no text is none."""
    code = getattr(error, "code", "")
    return _unicode(code) if isinstance(code, str) else ""


def _unicode(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def in_words(error: BaseException) -> str:
    """An error of a program's, for people."""
    return f"{type(error).__name__}: {text_of(error)}"


class Waiting(Protocol):
    """Whoever waits for an outcome, as a call does: what nobody waits for is not begun."""

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more: its client is gone, or has no time left."""


def told(done: Done) -> Done:
    """Make a callback for a result or an error safe to call.

    A `DeviceFault` goes on to the caller as well: it is about the member, not about the request.
    """

    def tell(outcome: Outcome) -> None:
        try:
            done(outcome)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is this request's
            tell_failure(done, failure)

    return tell


def told_read(done: ReadDone) -> ReadDone:
    """Make a callback for an error or its absence safe to call, as `told` does."""

    def tell(error: RoostError | None) -> None:
        tell_reads((done,), error)

    return tell


def tell_reads(dones: Iterable[ReadDone], error: RoostError | None) -> None:
    """Tell everybody an error or its absence; what one raises is its own alone."""
    for done in dones:
        try:
            done(error)
        except MemoryError as failure:
            # A read changes nothing, so there is no doubt about what became of it.
            tell_failure(done, failure, ShortOfMemory("an allocation has failed"))
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is this request's
            tell_failure(done, failure)


def tell_failure(
    done: Callable[[RoostError], None], failure: Exception, said: RoostError | None = None
) -> None:
    """Log what a callback raised, and tell it `said`, or that answering has failed."""
    logger.error("a request failed while it was answered", exc_info=failure)
    try:
        done(said or AnswerFailed("internal error"))
    except Exception:
        logger.exception("a request could not even be told so")
    if isinstance(failure, DeviceFault):
        raise failure


def settle_future(future: asyncio.Future[Result], outcome: Result | RoostError) -> None:
    """Answer whoever awaits, unless nobody does any more."""
    if future.done():
        return
    if isinstance(outcome, RoostError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
