"""How first members meet at a place that all of them know (etcd: v2discovery, v3discovery).

A place keeps how many first members there are, and what each has written down there. A member
writes down where it is, and waits until as many have done so as there are to be; those count who
came first.  Its id is what it will be in the cluster, so one that comes again is known.  What
stands there beside that are client URLs, which etcd's members do not look at: by them, whoever
comes late finds the cluster (`late`).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from roost.cli.discovery.asking import CannotDiscover, Late, Patience

logger = logging.getLogger(__name__)
SIZE_MAX = 99
# Whoever waits asks again after so long, whether the service says something or not.
WAIT_S = 300.0


class ClusterFull(CannotDiscover):
    """All first members have come before this one; it is to be added to the cluster."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a member has written down, and when: an index that grows."""

    name: str
    value: str
    index: int


@dataclass(frozen=True, slots=True)
class Registered:
    """Who has come, and the state in which that stood there."""

    size: int
    index: int
    members: Sequence[Written]


def size_of(flag: str, text: str) -> int:
    """How many first members there are to be, as that is written down.

    Raises:
        CannotDiscover: it is no such number.

    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= SIZE_MAX):
        raise CannotDiscover(f"--{flag}: _config/size is {text!r}")
    return int(text)


class Place(Protocol):
    """Where they meet; each call may raise `Unanswered`, and `CannotDiscover`."""

    # The setting that names it.
    flag: str

    def look(self) -> Registered:
        """Who has come."""

    def create(self, name: str, value: str) -> str:
        """Write down what must not be there yet; return what stands there now."""

    def tell_clients(self, name: str, value: str) -> None:
        """Write down where a member serves clients."""

    def client_urls(self) -> list[str]:
        """Where members serve clients, as they have written down."""

    def wait(self, index: int, within_s: float) -> None:
        """Return when something has happened there since a state, or raise `Late`."""


@dataclass(frozen=True, slots=True)
class Own:
    """What a member writes down of itself: `value` is its name and URLs, as --initial-cluster's."""

    id: str
    value: str
    client_urls: tuple[str, ...]


class Discovery:
    """One member that looks for the others."""

    def __init__(self, place: Place, own: Own, pause: Callable[[float], object]) -> None:
        """Nobody has been asked; `pause(seconds)` waits."""
        self._place = place
        self._own = own
        self._surely = Patience(pause).surely

    def run(self) -> list[str]:
        """All first members as name=URL, the one that came first first.

        Raises:
            ClusterFull: this one came too late.
            CannotDiscover: it is no place for a cluster.

        """
        flag, own = self._place.flag, self._own
        found = self._surely(self._look)
        held = self._surely(partial(self._place.create, own.id, own.value))
        if held != own.value:
            raise CannotDiscover(f"--{flag}: another member has these peer URLs")
        told = ",".join(own.client_urls)
        self._surely(partial(self._place.tell_clients, own.id, told))
        while True:
            found = self._surely(self._look)
            if len(found.members) == found.size and self._is_in(found):
                break
            logger.info("%d of %d members have come", len(found.members), found.size)
            self._surely(partial(self._wait, found.index))
        names = [it.value.partition("=")[0] for it in found.members]
        if len(set(names)) < len(names):
            raise CannotDiscover(f"--{flag}: two members have one name: {', '.join(names)}")
        return [it.value for it in found.members]

    def _is_in(self, found: Registered) -> bool:
        return any(it.name == self._own.id for it in found.members)

    def _look(self) -> Registered:
        """Those who came first."""
        said = self._place.look()
        first = sorted(said.members, key=lambda it: it.index)[: said.size]
        found = Registered(said.size, said.index, first)
        if len(first) == said.size and not self._is_in(found):
            text = "the cluster is full; have this member added to it (roost member add), or start"
            raise ClusterFull(f"--{self._place.flag}: {text} it with --discovery-fallback learner")
        return found

    def _wait(self, index: int) -> None:
        try:
            self._place.wait(index, WAIT_S)
        except Late:
            return  # it is looked at again
