"""Calls that a coroutine answers, since they may wait for long; and calls passed on.

etcd's lock and election services are clients of its other services: what these refuse is passed
on with its text, and without its code.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError

from roost.call import Call, Code, Sending, StreamCall
from roost.errors import RoostError
from roost.etcd import errors
from roost.tasks import Tasks

logger = logging.getLogger(__name__)


class PassedOn:
    """A unary call whose refusals lose their code, as etcd's do when they are passed on."""

    def __init__(self, call: Call) -> None:
        """Answer `call`."""
        self._call = call
        self.token = call.token
        self.certificate_name = call.certificate_name
        self.address = call.address
        self.flow = call.flow

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return self._call.is_over

    def reply(self, message: bytes) -> None:
        """Answer."""
        self._call.reply(message)

    def reply_in_parts(self, size: int) -> Sending:
        """Answer with a long message."""
        return self._call.reply_in_parts(size)

    def fail(self, code: int, text: str) -> None:
        """Answer with a status."""
        self._call.fail(code_passed_on(code), text)


def code_passed_on(code: int) -> int:
    """The code of a status of another service; who may try again is still told so."""
    return code if code in (Code.OK, Code.UNAVAILABLE) else Code.UNKNOWN


class Answering:
    """One request, and a coroutine that sends what there is to send.

    The client may go away at any time; the coroutine is cancelled then.
    """

    def __init__(
        self,
        tasks: Tasks,
        call: StreamCall,
        answer: Callable[[bytes], Awaitable[None]],
        *,
        passes_on: bool = False,
    ) -> None:
        """`answer` is called with the request, and runs as one of `tasks`.

        `passes_on` takes the code from refusals.
        """
        self._tasks = tasks
        self._call = call
        self._passes_on = passes_on
        # None once it was asked, or its client is gone: it may be a method of a class of ours.
        self._answer: Callable[[bytes], Awaitable[None]] | None = answer
        self._task: asyncio.Task[None] | None = None

    def on_message(self, message: bytes) -> None:
        """The request."""
        answer, self._answer = self._answer, None
        if answer is not None:
            self._task = self._tasks.start(self._run(answer, message))

    def on_half_close(self) -> None:
        """There is one request only."""

    def on_cancel(self) -> None:
        """The client went away."""
        # A task that was cancelled keeps the error, and that the frames it passed: ours is one.
        task, self._task, self._answer = self._task, None, None
        if task is not None:
            task.cancel()

    async def _run(self, answer: Callable[[bytes], Awaitable[None]], message: bytes) -> None:
        try:
            await answer(message)
        except RoostError as error:
            error.__traceback__ = None  # its frames know the future that it was the answer of
            code, text = errors.status_of(error)
            self._call.finish(code_passed_on(code) if self._passes_on else code, text)
        except DecodeError:
            self._call.finish(*errors.status_of(errors.malformed_request()))
        except OSError as error:
            self._call.finish(*errors.status_of(errors.file_failed(error)))
        except Exception as error:
            logger.exception("a call failed")
            self._call.finish(*errors.status_of_fault(error))
        else:
            self._call.finish(Code.OK, "")
