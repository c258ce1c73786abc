"""To whom connections are handed on: by priority, by weight, and by turns (RFC 2782).

One that cannot be connected to rests for a while, and others take its turns; when all of a
priority rest, those of the next have them, and when everybody rests, everybody is tried again.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from roost.places import describe


@dataclass(frozen=True, slots=True)
class Target:
    """Where a member serves clients; a lower priority comes first."""

    host: str
    port: int
    priority: int = 0
    weight: int = 0

    def __str__(self) -> str:
        """As people write it."""
        return describe((self.host, self.port))


class Targets:
    """All that are known, and which of them rest."""

    def __init__(
        self,
        targets: Iterable[Target],
        *,
        rest_s: float,
        clock_s: Callable[[], float],
        dice: random.Random,
    ) -> None:
        """Nobody rests."""
        self._rest_s = rest_s
        self._clock_s = clock_s
        self._dice = dice
        self._turn = 0
        self._resting: dict[Target, float] = {}
        self.known: tuple[Target, ...] = ()
        self.replace(targets)

    def replace(self, targets: Iterable[Target]) -> None:
        """From now on it is these; those that were known before go on resting."""
        self.known = tuple(dict.fromkeys(targets))
        self._resting = {it: until for it, until in self._resting.items() if it in self.known}

    def rests(self, target: Target) -> bool:
        """Whether it could not be connected to lately."""
        return self._resting.get(target, 0.0) > self._clock_s()

    @property
    def due(self) -> list[Target]:
        """Those that have rested, and have not been tried since."""
        return [it for it in self._resting if not self.rests(it)]

    def failed(self, target: Target) -> None:
        """It could not be connected to."""
        if target in self.known:
            self._resting[target] = self._clock_s() + self._rest_s

    def worked(self, target: Target) -> bool:
        """It could; say whether it rested before."""
        return self._resting.pop(target, None) is not None

    def in_turn(self) -> Iterator[Target]:
        """All, each once, in the order in which a connection tries them."""
        left = list(self.known)
        awake = [it for it in left if not self.rests(it)]
        while awake:
            chosen = self._choose(awake)
            awake.remove(chosen)
            left.remove(chosen)
            yield chosen
            awake = [it for it in awake if not self.rests(it)]
        yield from sorted(left, key=lambda it: it.priority)

    def _choose(self, awake: list[Target]) -> Target:
        best = min(it.priority for it in awake)
        equals = [it for it in awake if it.priority == best]
        weighted = [it for it in equals if it.weight]
        if weighted:
            return self._dice.choices(weighted, [it.weight for it in weighted])[0]
        # By turns among all, so that those who rest leave theirs to whoever comes next.
        order = [it for it in self.known if it in equals]
        self._turn += 1
        return order[self._turn % len(order)]
