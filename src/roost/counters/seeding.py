"""Which member feeds a new one, and how fast that goes.

It is the one of the operator's choice, by the name under which it counts; else, or when that one
has said nothing for PATIENCE_S, the next of those that are ready, by their names.  Pages of several
make one whole: each goes on behind the last name of the one before (`joining.Pull`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from roost.counters.exchange import Exchange
from roost.counters.facts import Owner
from roost.counters.joining import Phase, Progress

PATIENCE_S = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeding:
    """How far a new member has come; `left_s` = how long it may take still, None = unknown."""

    progress: Progress
    seed: str
    rows_a_second: float
    left_s: float | None


class Seeding:
    """One member's."""

    def __init__(self, seed: str = "", *, is_silent: bool = False) -> None:
        """`seed` is the name of who is to feed it, empty = anybody; `is_silent` = see `begin`."""
        self.wanted = seed
        self.is_silent = is_silent
        self.seed = ""
        self._asked_at_s = self._began_at_s = self._ended_at_s = 0.0
        self._rows_count = self._rows_before = 0
        self._share_before = 0.0

    def begin(self, exchange: Exchange) -> None:
        """Have a new member fed; a silent one serves nobody then, before somebody says so."""
        exchange.joining.begin(is_silent=self.is_silent)

    def look(self, exchange: Exchange, others: Sequence[Owner], now_s: float) -> None:
        """See that somebody feeds it; `others` are those who count on other members."""
        if not exchange.members():
            exchange.joining.go_without()  # it is the only member
        if exchange.joining.phase is not Phase.FEEDING:
            exchange.seed = 0
            self._ended_at_s = self._ended_at_s or now_s
            return
        found = exchange.joining.progress()
        if not self._began_at_s:
            self._began_at_s, self._rows_before = now_s, found.rows_count
            self._share_before = found.share
        if found.rows_count != self._rows_count:
            self._rows_count, self._asked_at_s = found.rows_count, now_s
        is_there = any(it.member_id == exchange.seed for it in others)
        if is_there and now_s - self._asked_at_s < PATIENCE_S:
            return
        chosen = self._choose(others)
        if chosen is not None:
            self.seed, self._asked_at_s = chosen.name, now_s
            exchange.seed = chosen.member_id

    def _choose(self, others: Sequence[Owner]) -> Owner | None:
        """The one that is wanted, if it was not asked last; else the next that is ready."""
        wanted = next((it for it in others if it.name == self.wanted), None)
        if wanted is not None and self.seed != self.wanted:
            return wanted
        # Where nobody is ready yet, all are being fed: by each other.
        among = sorted((it for it in others if it.is_ready), key=lambda it: it.name) or list(others)
        later = [it for it in among if it.name > self.seed]
        return next(iter(later or among), None)

    def feeding(self, exchange: Exchange, now_s: float) -> Feeding:
        """How far it has come, and how fast."""
        found = exchange.joining.progress()
        until_s = now_s if found.phase is Phase.FEEDING else self._ended_at_s
        took_s = until_s - self._began_at_s if self._began_at_s else 0.0
        gained = found.share - self._share_before
        is_feeding = found.phase is Phase.FEEDING
        return Feeding(
            progress=found,
            seed=self.seed if is_feeding else "",
            rows_a_second=(found.rows_count - self._rows_before) / took_s if took_s > 0 else 0.0,
            left_s=took_s * (1.0 - found.share) / gained if is_feeding and gained > 0 else None,
        )
