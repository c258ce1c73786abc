"""What the cluster has decided of counters, as this member has it, and how it is known there."""

from collections.abc import Callable

from roost.counters import facts
from roost.counters.errors import OwnerRefused
from roost.counters.facts import Admission, Facts
from roost.database import model
from roost.errors import Refused, RoostError
from roost.outcome import Outcome


class Known:
    """One member's view of the facts, looked at again and again."""

    def __init__(self, replica: model.Replica) -> None:
        """Register the operations that decide."""
        self._replica = replica
        self.facts: Facts = facts.NOTHING
        self._row: bytes | None = None
        self._is_asking = False
        for name, operation in facts.operations().items():
            replica.register(name, operation)

    def look(self) -> bool:
        """Read them again; whether they are others than before."""
        row = facts.read(self._replica.store, self._replica.view)
        if row == self._row:
            return False
        self._row, self.facts = row, facts.decode(row)
        return True

    def ask(self, asked: Admission, refused: Callable[[RoostError], None]) -> None:
        """Ask to be known, unless this member is, or asks already, or nobody could say so.

        Whoever gets no answer asks again, for as long as it is not written.
        """
        owner = self.facts.of_epoch(asked.epoch)
        is_known = owner is not None and facts.is_of(owner, asked)
        if is_known or self._is_asking or not self._replica.leader_id:
            return
        self._is_asking = True

        def done(outcome: Outcome) -> None:
            self._is_asking = False
            if isinstance(outcome, Refused):
                refused(OwnerRefused(f"{outcome}: give it another name, --counters-name"))

        self._replica.transact_nowait(facts.ADMIT, facts.encode(asked), done)
