"""What operators ask of one member's counters, whatever the protocol: told, done, and noted.

Whoever asks has been admitted.  Each administrative act is a line of the log that begins with
`audit:`, with who asked and what came of it, and an event of the member (`CountersAdministered`).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from roost.counters import facts, linking, status
from roost.counters.counting import Counting
from roost.counters.errors import BadCounterRequest, LinkRefused
from roost.counters.linking import LinkAsked
from roost.counters.ports import transact, wait_fresh
from roost.counters.purging import Purging
from roost.counters.reports import Reports
from roost.counters.retiring import Retiring
from roost.database.events import CountersAdministered
from roost.errors import ModelRefused, RoostError

logger = logging.getLogger(__name__)
# Of each part of a line of the audit.
SHOWN_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operator wants done: "ready", "purge", "prove", "retire", "link" or "unlink".

    "prove" is a purge that says only what it would prove.

    `name` is who is to be retired, or the URL of a link; `source` is whose link it is, empty =
    everybody's.
    """

    what: str
    name: str = ""
    source: str = ""
    is_forced: bool = False
    is_relay: bool = False

    @property
    def words(self) -> str:
        """It, for the audit."""
        source = f"from {self.source}" if self.source else ""
        force, relay = "by force" * self.is_forced, "relaying" * self.is_relay
        return " ".join(filter(None, (self.what, self.name, source, force, relay)))


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
            "stats": self._statistics,
            "links": status.links,
            "topology": status.topology,
        }
        if what not in said:
            raise BadCounterRequest(f"{what!r}: one of {', '.join(said)}")
        return said[what](self._counting)

    def _statistics(self, counting: Counting) -> dict[str, Any]:
        """Of all, and of a purge that is being carried out; null = of none."""
        held = self.purging.progress
        purging = None if held is None else {
            "done": held.done_count,
            "total": held.total_count,
            "seconds": counting.around.clock_s() - held.began_s,
        }  # fmt: skip
        return status.statistics(counting) | {"purging": purging}

    async def administer(
        self,
        what: str,
        *,
        who: str,
        name: str = "",
        source: str = "",
        is_forced: bool = False,
        is_relay: bool = False,
    ) -> dict[str, Any]:
        """Do what operators ask (`Asked`); what this member says then.

        `who` asks, for the audit.

        Raises:
            BadCounterRequest: it is asked for something else.
            RoostError: it was refused, or cannot be done now.

        """
        asked = Asked(what, name, source, is_forced=is_forced, is_relay=is_relay)
        acts = {
            "ready": self._ready,
            "purge": self._purge,
            "prove": self._prove,
            "retire": self._retire,
            "link": self._link,
            "unlink": self._unlink,
        }
        if asked.what not in acts:
            raise BadCounterRequest(f"{asked.what!r}: one of {', '.join(acts)}")
        act = acts[asked.what]
        try:
            said = await act(asked)
        except RoostError as error:
            self._note(asked.words, who, f"{type(error).__name__}: {error}")
            raise
        if act != self._prove:  # which changes nothing
            self._note(asked.words, who, "done")
        return said

    def _note(self, asked: str, who: str, outcome: str) -> None:
        # Names are the caller's, also those in refusals and in a certificate.
        act, by, came_of_it = _in_a_line(asked), _in_a_line(who), _in_a_line(outcome)
        logger.info("audit: counters: %s, asked by %s: %s", act, by, came_of_it)
        self._counting.replica.tell(CountersAdministered(act, by, came_of_it))

    async def _ready(self, _asked: Asked) -> dict[str, Any]:
        self._counting.serve()
        return status.statistics(self._counting)

    async def _purge(self, asked: Asked) -> dict[str, Any]:
        done = await self.purging.purge(is_forced=asked.is_forced)
        return {"proof": done.proof, "left_out": done.left_out}

    async def _prove(self, asked: Asked) -> dict[str, Any]:
        """What a purge would prove now."""
        done = await self.purging.purge(is_forced=asked.is_forced, is_dry=True)
        return {"proof": done.proof, "left_out": done.left_out}

    async def _retire(self, asked: Asked) -> dict[str, Any]:
        if not asked.name:
            raise BadCounterRequest("say who is away for good, by the name under which it counts")
        await self.retiring.retire(asked.name)
        waits_for = await self.retiring.waits_for()
        return status.retirement(self._counting, asked.name) | {"waits_for": waits_for}

    async def _link(self, asked: Asked) -> dict[str, Any]:
        return await self._decide_link(linking.LINK, asked)

    async def _unlink(self, asked: Asked) -> dict[str, Any]:
        return await self._decide_link(linking.UNLINK, asked)

    async def _decide_link(self, operation: str, asked: Asked) -> dict[str, Any]:
        counting = self._counting
        body = LinkAsked(url=asked.name, source=asked.source, is_relay=asked.is_relay)
        try:
            await transact(counting.replica, operation, facts.encode(body))
        except ModelRefused as error:
            raise LinkRefused(error.text) from error
        await wait_fresh(counting.replica)
        counting.look_at_facts()
        return {"links": status.decided_links(counting)}


def _in_a_line(text: str) -> str:
    """A part of the audit: what somebody has named ends no line of it, and makes none long."""
    cut = text[:SHOWN_CHARS_MAX]
    shown = cut if cut.isprintable() else ascii(cut)
    return shown + "…" * (len(text) > SHOWN_CHARS_MAX)
