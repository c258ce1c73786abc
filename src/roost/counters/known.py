"""What the cluster has decided of counters, as this member has it, and how it is known there."""

from collections.abc import Callable, Sequence

from roost.counters import facts
from roost.counters.errors import OwnerRefused
from roost.counters.facts import Admission, Facts
from roost.counters.owners import Owner
from roost.database import model
from roost.errors import Refused, RoostError
from roost.outcome import Outcome

# How long whoever is heard of has to ask for itself, before others do.
INTRODUCE_S = 2.0


class Known:
    """One member's view of the facts, looked at again and again."""

    def __init__(self, replica: model.Replica) -> None:
        """Register the operations that decide."""
        self._replica = replica
        self.facts: Facts = facts.NOTHING
        self._row: bytes | None = None
        self._is_asking = self._is_introducing = False
        # Who is heard of and not known, since when; and of whom that was refused.
        self._unknown_s: dict[bytes, float] = {}
        self._left_out: set[bytes] = set()
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

    def introduce(self, heard_of: Sequence[Owner], now_s: float) -> None:
        """Have those known who have counted here, were heard of, and do not ask themselves.

        One that was lost before it could would count at some members for ever, and at others not:
        nobody could retire it.
        """
        unknown = [
            it
            for it in heard_of
            if self.facts.of_epoch(it.epoch) is None
            and self.facts.foreigner(it.epoch) is None
            and it.epoch not in self._left_out
        ]
        self._unknown_s = {it.epoch: self._unknown_s.get(it.epoch, now_s) for it in unknown}
        due = [it for it in unknown if now_s - self._unknown_s[it.epoch] >= INTRODUCE_S]
        if not due or self._is_introducing or not self._replica.leader_id:
            return
        self._is_introducing = True
        first = due[0]

        def done(outcome: Outcome) -> None:
            self._is_introducing = False
            if isinstance(outcome, Refused):
                self._left_out.add(first.epoch)

        asked = Admission(
            name=first.called, epoch=first.epoch, member_id=first.member_id, is_ready=False
        )
        self._replica.transact_nowait(facts.INTRODUCE, facts.encode(asked), done)
