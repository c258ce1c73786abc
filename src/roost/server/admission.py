"""Who is let in while memory is short: what is light goes on, what is new and large does not.

A call is refused by its head, before any of its body is read, so refusing costs next to nothing.
Which methods are light the data model says: those that hold little, end something, or say how the
member is.
"""

from collections.abc import Set
from dataclasses import dataclass, field

from roost.call import Code, Status
from roost.memory import Memory

SHORT = Status(Code.RESOURCE_EXHAUSTED, "too little memory is left")


@dataclass(frozen=True, slots=True)
class Admission:
    """The rule of one port; `words` begin what callers are told, the limit's name follows."""

    memory: Memory = field(default_factory=Memory)
    # Paths of methods that are answered all the same.
    light: Set[bytes] = frozenset()
    words: Status = SHORT

    def refusal(self, path: bytes) -> Status | None:
        """What a call is told that is not let in; None when it is."""
        if self.memory.is_short and path not in self.light:
            return self.refuse()
        return None

    def refuse(self) -> Status:
        """What a call is told for which there is no memory; counted."""
        return self._said(str(self.memory.refusal()))

    def on_error(self) -> Status:
        """What a call is told whose handler was given no memory."""
        return self._said(str(self.memory.on_error()))

    def _said(self, reason: str) -> Status:
        return self.words._replace(text=f"{self.words.text}: {reason}")
