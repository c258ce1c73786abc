"""What can be wrong with a counter, and with what a partner sends."""

from roost.errors import CallerFault, PeerFault


class BadCounterName(CallerFault):
    """A counter's name has 1 to 128 printable characters, composed (NFC); the text says more."""

    def __init__(self, text: str, *, position: int | None = None) -> None:
        """`position` is the place of the character, from 0; None = it is about the whole name."""
        super().__init__(text)
        self.position = position


class CounterOverflow(CallerFault):
    """A member's part of a counter would leave the range of 64 bits; nothing was changed."""


class BadChange(CallerFault):
    """A change of a counter is no signed number of 64 bits; nothing was changed."""


class MalformedCounters(PeerFault):
    """What a partner sent of its counters breaks the format."""
