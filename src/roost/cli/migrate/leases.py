"""Leases of the source, granted at the target with their own ids, and kept alive there.

A client's lease is renewed at the source until it is told to go to the target, and goes on there
with the same id.  Until then it is we who renew it at the target; a lease that the source has no
more is left to end there, and by then its keys are gone at both.
"""

import time
from collections.abc import Callable

from roost.client import Client, RequestRefused

# A lease is renewed when so much of its time is over: two may fail.
_RENEWALS = 3
# How often the source is asked which leases there are.
LOOK_S = 5.0


class Leases:
    """Which leases were granted, and when each is to be renewed."""

    def __init__(
        self, source: Client, target: Client, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        """None is granted yet."""
        self._source, self._target = source, target
        self._clock_s = clock_s
        # By id: its time in seconds, and when it is due.
        self._held: dict[int, tuple[int, float]] = {}
        self._gone: set[int] = set()
        self._looked_s: float | None = None

    @property
    def count(self) -> int:
        """How many are kept alive."""
        return len(self._held)

    def wanted(self, lease_id: int) -> int:
        """The lease that a key is put with at the target; 0 where it has ended at the source.

        Raises:
            ClientError: no endpoint answered.

        """
        if not lease_id or lease_id in self._held:
            return lease_id
        if lease_id not in self._gone:
            self._take(lease_id)
        return lease_id if lease_id in self._held else 0

    def _take(self, lease_id: int) -> None:
        told = self._source.leases.time_to_live(lease_id)
        if told.left_s < 0:
            self._gone.add(lease_id)
            return
        try:
            self._target.leases.grant(told.granted_s, lease_id)
        except RequestRefused:
            # It is there already, from an import or from before.
            if not self._target.leases.renew(lease_id):
                raise
        self._note(lease_id, told.granted_s)

    def _note(self, lease_id: int, ttl_s: int) -> None:
        self._held[lease_id] = (ttl_s, self._clock_s() + ttl_s / _RENEWALS)

    def keep(self) -> None:
        """Renew what is due, and now and then look which there are.

        Raises:
            ClientError: no endpoint answered.

        """
        now = self._clock_s()
        if self._looked_s is None or now - self._looked_s >= LOOK_S:
            there = set(self._source.leases.all())
            self._held = {it: row for it, row in self._held.items() if it in there}
            self._gone &= there
            for it in sorted(there - self._held.keys()):
                self.wanted(it)
            self._looked_s = now
        for lease_id, (ttl_s, due_s) in list(self._held.items()):
            if due_s > now:
                continue
            if self._target.leases.renew(lease_id):
                self._note(lease_id, ttl_s)
            else:
                del self._held[lease_id]
                self.wanted(lease_id)
