"""What operators ask of one member's counters, whatever the protocol: told, done, and noted.

Whoever asks has been admitted.  Each administrative act is a line of the log that begins with
`audit:`, with who asked and what came of it, and an event of the member (`CountersAdministered`).
"""

import logging
from collections.abc import Callable
from typing import Any

from roost.counters import status
from roost.counters.counting import Counting
from roost.counters.errors import BadCounterRequest
from roost.counters.purging import Purging
from roost.counters.reports import Reports
from roost.counters.retiring import Retiring
from roost.database.events import CountersAdministered
from roost.errors import RoostError

logger = logging.getLogger(__name__)


class Operators:
    """One member's."""

    def __init__(self, counting: Counting) -> None:
        """Carry out on `counting` what was decided by whomever."""
        self._counting = counting
        reports = Reports(counting)
        self.purging = Purging(counting, reports)
        self.retiring = Retiring(counting, reports)

    def describe(self, what: str) -> dict[str, Any]:
        """What this member says: "stats", "links" or "topology"; as JSON has it.

        Raises:
            BadCounterRequest: it is asked for something else.

        """
        said: dict[str, Callable[[Counting], dict[str, Any]]] = {
            "stats": status.statistics,
            "links": status.links,
            "topology": status.topology,
        }
        if what not in said:
            raise BadCounterRequest(f"{what!r}: one of {', '.join(said)}")
        return said[what](self._counting)

    async def administer(
        self, what: str, *, name: str = "", is_forced: bool = False, who: str
    ) -> dict[str, Any]:
        """Do what operators ask: "ready", "purge" or "retire"; what this member says then.

        `name` is who is to be retired; `who` asks, for the audit.

        Raises:
            BadCounterRequest: it is asked for something else.
            RoostError: it was refused, or cannot be done now.

        """
        acts = {"ready": self._ready, "purge": self._purge, "retire": self._retire}
        if what not in acts:
            raise BadCounterRequest(f"{what!r}: ready, purge or retire")
        asked = " ".join([what, *([name] if name else []), *(["by force"] if is_forced else [])])
        try:
            said = await acts[what](name, is_forced)
        except RoostError as error:
            self._note(asked, who, f"{type(error).__name__}: {error}")
            raise
        self._note(asked, who, "done")
        return said

    def _note(self, asked: str, who: str, outcome: str) -> None:
        logger.info("audit: counters: %s, asked by %s: %s", asked, who, outcome)
        self._counting.replica.tell(CountersAdministered(asked, who, outcome))

    async def _ready(self, name: str, is_forced: bool) -> dict[str, Any]:  # noqa: FBT001 - as all
        del name, is_forced
        self._counting.serve()
        return status.statistics(self._counting)

    async def _purge(self, name: str, is_forced: bool) -> dict[str, Any]:  # noqa: FBT001 - as all
        del name
        return {"proof": await self.purging.purge(is_forced=is_forced)}

    async def _retire(self, name: str, is_forced: bool) -> dict[str, Any]:  # noqa: FBT001 - as all
        del is_forced
        if not name:
            raise BadCounterRequest("say who is away for good, by the name under which it counts")
        await self.retiring.retire(name)
        waits_for = await self.retiring.waits_for()
        return status.retirement(self._counting, name) | {"waits_for": waits_for}
