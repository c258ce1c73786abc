"""A question about series on its way to a member, for asyncio."""

from typing import Any, Self

from roost.client.series.answers import Answer
from roost.client.series.questions import Asked, Building, changed
from roost.client.series.ways import Way


class Question(Building):
    """A question on its way; see `Building` for its steps."""

    __slots__ = ("way",)

    def __init__(self, way: Way, asked: Asked) -> None:
        """Use `Connection.query`."""
        self.way = way
        self.asked = asked

    def _with(self, **given: Any) -> Self:
        return type(self)(self.way, changed(self.asked, given))

    async def fetch(self) -> Answer:
        """The answer.

        Raises:
            ClientError: as `Way.ask`.

        """
        return await self.way.answer(self.asked)

    async def to_csv(self) -> bytes:
        """The answer as CSV, with times as RFC 3339.

        Raises:
            ClientError: as `Way.ask`.

        """
        return await self.way.ask("GET", self.asked.target(form="csv"))
