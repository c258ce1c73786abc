"""Calls that a coroutine answers, since they may wait for long."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError

from roost.errors import RoostError
from roost.etcd import errors
from roost.etcd.ports import StreamCall
from roost.tasks import Tasks

logger = logging.getLogger(__name__)


class Answering:
    """One request, and a coroutine that sends what there is to send.

    The client may go away at any time; the coroutine is cancelled then.
    """

    def __init__(
        self, tasks: Tasks, call: StreamCall, answer: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """`answer` is called with the request, and runs as one of `tasks`."""
        self._tasks = tasks
        self._call = call
        self._answer = answer
        self._task: asyncio.Task[None] | None = None

    def on_message(self, message: bytes) -> None:
        """The request."""
        if self._task is None:
            self._task = self._tasks.start(self._run(message))

    def on_half_close(self) -> None:
        """There is one request only."""

    def on_cancel(self) -> None:
        """The client went away."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, message: bytes) -> None:
        try:
            await self._answer(message)
        except RoostError as error:
            self._call.finish(*errors.status_of(error))
        except DecodeError:
            self._call.finish(*errors.status_of(errors.malformed_request()))
        except OSError as error:
            self._call.finish(errors.INTERNAL, f"etcdserver: {error}")
        except Exception:
            logger.exception("a call failed")
            self._call.finish(*errors.INTERNAL_ERROR)
        else:
            self._call.finish(0, "")
