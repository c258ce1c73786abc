"""File descriptors: all that may be had, and a part kept for files.

A process that has none left can open no file: the journal cannot go on, and the member would end
because of idle connections.  So the soft limit is raised to the hard one, and a connection is
taken only while more than a reserve is free.  The kernel gives out the lowest number that is free,
so the number of a new connection says how many are in use, whoever uses them.

    0 … limit - files - members      anybody
        … limit - files              members
        … limit                      files: the journal's, the store's, copies, child processes

`Held` keeps a few for a moment in which, for all that, none is left.
"""

import logging
import os
import resource
from errno import EMFILE, ENFILE

logger = logging.getLogger(__name__)
# No descriptor was free; nothing is wrong with what was to be opened.
EXHAUSTED = (EMFILE, ENFILE)
# More than this is never needed, and some programs look at each that they might have.
LIMIT_MAX = 1 << 20
FILES_MIN, FILES_MAX = 32, 256
MEMBERS_MIN, MEMBERS_MAX = 16, 192
HELD_COUNT = 4


def attainable() -> int:
    """How many descriptors this process has, or would have after `raise_limit`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(limit(), LIMIT_MAX if hard == resource.RLIM_INFINITY else min(hard, LIMIT_MAX))


def raise_limit() -> int:
    """Allow ourselves all that we may have; return how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = attainable()
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    logger.info("%d file descriptors may be used, after %d", wanted, soft)
    return wanted


def limit() -> int:
    """How many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return LIMIT_MAX if soft == resource.RLIM_INFINITY else soft


def free_for_members(most: int = 0) -> int:
    """The first number that no connection of another member may have; 0 is the limit of now."""
    most = most or limit()
    return most - min(FILES_MAX, max(FILES_MIN, most // 4))


def free_for_all(most: int = 0) -> int:
    """The first number that no client's connection may have; 0 is the limit of now."""
    most = most or limit()
    return free_for_members(most) - min(MEMBERS_MAX, max(MEMBERS_MIN, most // 8))


class Held:
    """Descriptors that are open for nothing, to be given up for something."""

    def __init__(self, count: int = HELD_COUNT) -> None:
        """Hold `count`."""
        self._count = count
        self._held: list[int] = []
        self.hold()

    def hold(self) -> None:
        """Hold as many as at first, if they can be had."""
        while len(self._held) < self._count:
            try:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                return

    def release(self) -> None:
        """Give them up."""
        while self._held:
            os.close(self._held.pop())
