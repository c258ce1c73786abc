"""What all members say of themselves, gathered by the one that is looked at.

It asks while somebody looks, at most once in ASK_S for all who do, and keeps the last that each
has told, with when.  Nobody is waited for: a member that says nothing is shown with how old it is.

Full?  There is one row a member; of one that is no member any more the row goes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from roost.dashboard.facts import FRAME_ASK, FRAME_TELL, Facts, decode, encode
from roost.dashboard.ports import Replica

ASK_S = 0.9


@dataclass(frozen=True, slots=True)
class _Told:
    facts: Facts
    at_s: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One member as the page shows it; `age_s` is None, and so are the facts, until it has told.

    `lag_entries` is how far what it has applied is behind the newest commit that anybody knows.
    """

    id: str
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool
    is_here: bool
    age_s: float | None
    lag_entries: int | None
    facts: Facts | None


class Gathering:
    """One member's."""

    def __init__(
        self, replica: Replica, facts: Callable[[], Facts], clock_s: Callable[[], float]
    ) -> None:
        """`facts()` says what this member has to say now; `clock_s` never goes back."""
        self._replica = replica
        self._facts = facts
        self._clock_s = clock_s
        self._told: dict[int, _Told] = {}
        self._asked_s = float("-inf")
        # Called when another member has told.
        self.on_told: Callable[[], None] = lambda: None
        replica.register_frame(FRAME_ASK, self._on_ask)
        replica.register_frame(FRAME_TELL, self._on_tell)

    def ask(self) -> None:
        """Ask the others, unless they were asked a moment ago."""
        now_s = self._clock_s()
        if now_s - self._asked_s < ASK_S:
            return
        self._asked_s = now_s
        for it in self._replica.members():
            if it.id != self._replica.member_id:
                self._replica.send_frame(it.id, FRAME_ASK, (b"",))

    @property
    def is_whole(self) -> bool:
        """Whether everybody has told since they were asked last."""
        return all(
            it.id == self._replica.member_id or self._has_told(it.id)
            for it in self._replica.members()
        )

    def _has_told(self, member_id: int) -> bool:
        told = self._told.get(member_id)
        return told is not None and told.at_s >= self._asked_s

    def _on_ask(self, sender: int, _body: bytes) -> None:
        self._replica.send_frame(sender, FRAME_TELL, (encode(self._facts()),))

    def _on_tell(self, sender: int, body: bytes) -> None:
        self._told[sender] = _Told(decode(body), self._clock_s())
        self.on_told()

    def rows(self) -> Sequence[Row]:
        """All members, in the order of their names; what has not told is there as well."""
        replica, now_s = self._replica, self._clock_s()
        members = replica.members()
        here = replica.member_id
        self._told = {it.id: self._told[it.id] for it in members if it.id in self._told}
        self._told[here] = _Told(self._facts(), now_s)
        newest = max(it.facts.commit_index for it in self._told.values())
        return [
            Row(
                id=f"{it.id:x}",
                name=it.name,
                peer_urls=it.peer_urls,
                client_urls=it.client_urls,
                is_learner=it.is_learner,
                is_here=it.id == here,
                age_s=None if told is None else now_s - told.at_s,
                lag_entries=None if told is None else max(0, newest - told.facts.applied_index),
                facts=None if told is None else told.facts,
            )
            for it in sorted(members, key=lambda it: (it.name, it.id))
            for told in (self._told.get(it.id),)
        ]
