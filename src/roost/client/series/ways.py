"""How requests about series come to a member: over HTTP (`members`), or in its own process.

`roost.program` has the other way; what is asked, answered and refused is the same on both.
"""

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from roost.client.series.answers import Answer
from roost.client.series.questions import Asked


class Stream(Protocol):
    """One request of points that goes on, with what is answered meanwhile."""

    @property
    def status(self) -> int:
        """As HTTP has it; 0 as long as nothing was answered."""

    async def send(self, data: bytes) -> None:
        """Send more frames (`points`).

        Raises:
            OSError: they are not taken.

        """

    async def line(self) -> bytes:
        """The next line that is answered; empty at the end.

        Raises:
            OSError: it does not come.

        """

    def close(self) -> None:
        """End without waiting for anything."""


class Way(Protocol):
    """What a connection sends its requests by."""

    async def stream(self) -> Stream:
        """Begin a request of points.

        Raises:
            ClientError: nobody takes it, or a member said no.

        """

    def leave(self) -> None:
        """Whoever was asked last does not answer: begin with another one, if there is one."""

    async def ask(self, method: str, target: str) -> bytes:
        """The whole answer to a request.

        Raises:
            ClientError: nobody answered, or a member said no.

        """

    async def ask_json(self, method: str, target: str, value: Any = None) -> dict[str, Any]:
        """The answer to a request, both JSON.

        Raises:
            ClientError: as `ask`.

        """

    def lines(self, target: str) -> AsyncGenerator[bytes, None]:
        """Lines of an answer that has no end, as they come.

        Raises:
            ClientError: as `ask`; Unreachable when it has ended all the same.

        """

    def pieces(self, target: str) -> AsyncGenerator[bytes, None]:
        """An answer of any length, as it comes.

        Raises:
            ClientError: as `ask`; OutcomeUnknown when it has broken off.

        """

    async def answer(self, asked: Asked) -> Answer:
        """The answer to a question.

        Raises:
            ClientError: as `ask`.

        """
