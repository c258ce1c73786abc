"""How long a stream is tried again, and how fast."""

import random
import time

from roost.client.connections import Connections, is_lost
from roost.client.errors import ClientError, Unreachable
from roost.client.scope import Scope

_PAUSE_S_MIN, _PAUSE_S_MAX = 0.05, 1.0


class Patience:
    """Counts the tries of one stream.

    Until it has begun every endpoint is tried once.  After that it is tried again until
    `patience_s` have gone by without a word from any of them.
    """

    def __init__(self, connections: Connections, patience_s: float, scope: Scope) -> None:
        """Nothing was tried yet."""
        self._connections = connections
        self._patience_s = patience_s
        self._scope = scope
        self._has_begun = self._was_stale = False
        self._failed_count = 0
        self._heard = time.monotonic()

    def heard(self) -> None:
        """An endpoint has answered."""
        self._has_begun, self._was_stale = True, False
        self._failed_count = 0
        self._heard = time.monotonic()

    def failed(self, error: ClientError) -> None:
        """Return when it is time for another try.

        Raises:
            ClientError: another try is of no use; or none was, for as long as we had patience.

        """
        self._scope.check()
        if not self._was_stale and self._connections.is_stale(error):
            self._was_stale = True
            return
        if not is_lost(error):
            raise error
        if not self._failed_count:
            self._heard = time.monotonic()
        self._failed_count += 1
        count = len(self._connections.endpoints)
        if not self._has_begun:
            if self._failed_count >= count:
                raise error
        elif time.monotonic() - self._heard > self._patience_s:
            text = f"no endpoint has answered for {self._patience_s:g} s: {error.text}"
            raise Unreachable(error.code, text) from error
        round_count, at = divmod(self._failed_count, count)
        if not at:
            pause_s = min(_PAUSE_S_MAX, _PAUSE_S_MIN * 2**round_count)
            self._scope.wait(pause_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
