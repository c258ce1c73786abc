"""Chance, where the core and the links need it."""

import random


class SystemDice:
    """Chance from the operating system, so that members never draw the same timeouts."""

    def __init__(self) -> None:
        """Seed from the operating system's entropy."""
        self._random = random.SystemRandom()

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        return self._random.randrange(n)
