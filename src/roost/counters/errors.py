"""What can be wrong with a counter, with where counters lie, and with what a partner sends."""

from roost.errors import CallerFault, DeviceFault, NotExecuted, PeerFault, Refused


class BadCounterName(CallerFault):
    """A counter's name has 1 to 128 printable characters, composed (NFC); the text says more."""

    def __init__(self, text: str, *, position: int | None = None) -> None:
        """`position` is the place of the character, from 0; None = it is about the whole name."""
        super().__init__(text)
        self.position = position


class CounterOverflow(CallerFault):
    """A member's part of a counter would leave the range of 64 bits; nothing was changed."""


class BadChange(CallerFault):
    """A change of a counter is no signed number of 64 bits, or they are too many at a time."""


class BadCounterRequest(CallerFault):
    """What was asked of counters over HTTP is not what can be asked; the text says what can."""


class KeyReused(CallerFault):
    """The idempotency key was given before, with another request; nothing was changed."""


class CounterStoreError(DeviceFault):
    """The counters of a member cannot be read, or not be kept; nothing more is acknowledged."""


class CounterStoreFull(CounterStoreError):
    """There is no room for what was counted; what was not acknowledged may not be there."""


class CounterStoreCorrupt(CounterStoreError):
    """What the directory of the counters holds is not what was written there."""


class CounterStoreForeign(CounterStoreError):
    """The directory of the counters is of another version of Roost."""


class OwnerForked(CounterStoreError):
    """Counters were copied, or are an old state: somebody has heard of a later one, or another."""


class MalformedCounters(PeerFault):
    """What a partner sent of its counters breaks the format."""


class OwnerRefused(Refused):
    """The name is, or was, another member's: names of those who count are never used again."""


class PurgeRefused(Refused):
    """Somebody has not acknowledged what would be removed; the text says who."""


class RetireRefused(Refused):
    """The member cannot be retired now; the text says why."""


class LinkRefused(Refused):
    """A link to another cluster may not be; the text says why."""


class LinkFailed(PeerFault):
    """A member of another cluster does not answer what a link asks; it is asked again."""


class FactsChanged(Refused):
    """Who counts has changed since it was looked at: look again, and ask again."""


class NotReady(NotExecuted):
    """The member is not fed yet, or is kept silent: ask another one, or wait.

    `phase` is one of `joining.Phase`, `share` how much of the seed's names it has, from 0 to 1.
    """

    def __init__(self, phase: str, share: float) -> None:
        """Say how far it is."""
        super().__init__(f"the counters of this member are {phase}: {share:.0%} is here")
        self.phase = phase
        self.share = share
