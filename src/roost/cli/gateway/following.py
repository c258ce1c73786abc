"""Who the members are, asked of themselves over the JSON gateway, as they come and go.

Learners serve few requests, so they get no connections.  What a member tells that only its own
machine reaches (`localhost`) is of use only where somebody has named such a place, too.
"""

import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from roost.cli.discovery.asking import PORTS, Json, Members, SaidNo, Server, Unanswered
from roost.cli.gateway.targets import Target
from roost.settings.urls import is_local

logger = logging.getLogger(__name__)
ASK_S = 5.0
MEMBERS_MAX = 99


class Follower:
    """Keeps a list of members."""

    def __init__(self, given: Sequence[Target], tls: Callable[[], ssl.SSLContext] | None) -> None:
        """Begin with those that somebody has named; `tls` makes a context, where members want one.

        They stay known, behind those that the members name.
        """
        self._given = given
        self._tls = tls
        self._has_failed = self._is_over = False

    def ask(self, known: Iterable[Target]) -> list[Target] | None:
        """All that there are now, asked of those `known`, by turns; None when nobody says so.

        It blocks, for no longer than ASK_S at each.
        """
        tls = None if self._tls is None else self._tls()
        why = "there is nobody to ask"
        for it in known:
            if self._is_over:
                return None
            try:
                asked = Members([Server(it.host, it.port, tls)], within_s=ASK_S)
                found = self._read(asked.call("/v3/cluster/member/list", {}))
            except (Unanswered, SaidNo) as error:
                why = str(error)
            except (KeyError, TypeError, ValueError, AttributeError):
                why = f"what {it} says is no list of members"
            else:
                self._has_failed = False
                return found or None
        if not self._has_failed:
            logger.warning("nobody says who the members are: %s", why)
        self._has_failed = True
        return None

    def stop(self) -> None:
        """Ask nobody any more; from any thread."""
        self._is_over = True

    def _read(self, said: Json) -> list[Target]:
        rows = said["members"]
        if not isinstance(rows, list):
            raise TypeError("the members are no list")
        may_be_local = any(is_local(it.host) for it in self._given)
        told = [
            target
            for row in rows[:MEMBERS_MAX]
            if not row.get("isLearner")
            for url in row.get("clientURLs", ())
            if (target := _target_of(url)) is not None
            and (may_be_local or not is_local(target.host))
        ]
        if not told:
            return []
        named = {(it.host, it.port): it for it in self._given}
        found = [
            replace(it, weight=named[it.host, it.port].weight)
            if (it.host, it.port) in named
            else it
            for it in told
        ]
        behind = [replace(it, priority=1, weight=0) for it in self._given]
        places = {(it.host, it.port) for it in found}
        return [*found, *(it for it in behind if (it.host, it.port) not in places)]


def _target_of(url: str) -> Target | None:
    """A client URL as a target; a socket's path is none."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        return None
    return Target(parts.hostname, PORTS[parts.scheme] if parts.port is None else parts.port)
