"""How many keys follow the pages that were answered (issue 14).

Whoever lists many keys asks for a page, and then for the next one at the same revision, from behind
the last key on.  Each answer says how many keys its range has in all; at a revision that is not the
newest only a walk over the whole range can say that, and two hundred pages are two hundred walks.
But a revision never changes, so what follows a page is what its range had, less the page: that is
noted with each page, and found by the one that goes on.

Full?  The pages that were asked for longest ago are forgotten; the next one counts by a walk.
"""

from collections import OrderedDict
from typing import NamedTuple

NOTED_COUNT_MAX = 1024
# So that all of them together are small; nobody who lists keys has longer ones.
KEY_BYTES_MAX = 1024


class Rest(NamedTuple):
    """The keys from `first` to before `stop` (None = the end), as of a revision."""

    revision: int
    first: bytes
    stop: bytes | None


class PageCounts:
    """What is known on one member."""

    def __init__(self) -> None:
        """Nothing is."""
        self._noted: OrderedDict[Rest, int] = OrderedDict()

    def note(self, rest: Rest, count: int) -> None:
        """So many keys follow a page."""
        if len(rest.first) > KEY_BYTES_MAX or len(rest.stop or b"") > KEY_BYTES_MAX:
            return
        self._noted[rest] = count
        self._noted.move_to_end(rest)
        if len(self._noted) > NOTED_COUNT_MAX:
            self._noted.popitem(last=False)

    def find(self, rest: Rest) -> int | None:
        """How many keys there are; None when no page that ended there is remembered.

        It stays noted: a client may ask for a page again.
        """
        return self._noted.get(rest)
