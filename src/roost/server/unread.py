"""Answers that have not left yet: what a member keeps for clients that do not read them.

A client may ask for more, in one small packet, than a machine has memory: the windows of HTTP/2
hold its answers back, but they have been made.  So all connections together keep no more than a
part of the memory that the process may use; when that is not enough, the one that holds the most
is given up, and its client sees a connection that broke.
"""

import logging
from collections.abc import Collection
from typing import Final, Protocol

from roost.memory_limit import find_limits

logger = logging.getLogger(__name__)
# So much of the memory.
_PART: Final = 4


def unread_bytes_max() -> int:
    """What answers may take that nobody reads."""
    return min(it.bytes_max for it in find_limits()) // _PART


class Holder(Protocol):
    """A connection that keeps answers for its client."""

    unread_bytes: int
    address: str

    def give_up(self) -> None:
        """Drop them, and close."""


class Unread:
    """What all connections of a port keep."""

    __slots__ = ("_holders", "bytes", "bytes_max", "given_up_count", "others")

    def __init__(self, bytes_max: int, holders: Collection[Holder]) -> None:
        """Nothing is kept; `holders` are the connections that there are, at any time."""
        self.bytes = self.given_up_count = 0
        self.bytes_max = bytes_max
        self._holders = holders
        # Those that keep something now and are not of `holders`.
        self.others: set[Holder] = set()

    def recount(self, holder: Holder, count: int) -> None:
        """A connection keeps so many bytes now."""
        self.bytes += count - holder.unread_bytes
        holder.unread_bytes = count

    def shrink(self) -> None:
        """Too much is kept: give up the connection that keeps the most."""
        most = max((*self._holders, *self.others), key=lambda it: it.unread_bytes)
        text = "the client at %s does not read its answers, and is given up: %d bytes of %d"
        logger.warning(text, most.address, most.unread_bytes, self.bytes)
        self.given_up_count += 1
        self.recount(most, 0)
        self.others.discard(most)
        most.give_up()
