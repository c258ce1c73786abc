"""Term, vote and the newest committed change: the record `hard` (see `twin`), in JSON.

A term that is beyond what can be counted was never reached by elections: somebody sent it, before
such messages were refused.  It is replaced, once and durably, by one that leaves room (see
`roost.raft.admission`), so that a cluster that was ended by it starts and elects again.
"""

import logging
from pathlib import Path

import msgspec

from roost.errors import UNDECODABLE
from roost.journal.disk import Disk
from roost.journal.errors import JournalDamaged
from roost.journal.twin import Twin
from roost.raft.admission import restored
from roost.raft.types import HardState

logger = logging.getLogger(__name__)


class HardRecord:
    """The record and its two files; `held` is what was loaded or saved last."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        """Open the files; nothing is loaded."""
        self._twin = Twin(disk, directory, "hard")
        self._path = directory / "hard.a"
        self.held = HardState()
        self._is_new = True

    def load(self) -> HardState:
        """Read what was saved last.

        Raises:
            JournalDamaged: neither copy can be read, or it says nothing that a node could be in.

        """
        body = self._twin.load()
        if body is not None:
            self._is_new = False
            try:
                self.held = msgspec.json.decode(body, type=HardState)
            except UNDECODABLE as error:
                raise JournalDamaged(self._path, 0, 0, f"the hard state: {error}") from error
            # It is whole, so we wrote it or somebody did on purpose: not a matter of the device,
            # and all the more no state to vote from.
            if min(msgspec.structs.astuple(self.held)) < 0:
                raise JournalDamaged(self._path, 0, 0, f"{self.held} is no hard state")
        return self.held

    def save(self, state: HardState) -> None:
        """Make `state` the durable one."""
        # `held` is set first: where the device fails nothing is promised any more, so what it
        # says then is nobody's business.
        self.held, self._is_new = state, False
        self._twin.save(msgspec.json.encode(state))

    def save_again(self, *, always: bool) -> None:
        """Write the same bytes, where a copy is damaged or its cache may not be its disk (J17)."""
        # A vote that was read from a page that never reached the disk would be given twice: once
        # before the power cut that follows, to one candidate, and once after it, to another.
        if not self._is_new and (always or self._twin.is_damaged):
            self.save(self.held)

    def resume(self, base_term: int, last_term: int) -> HardState:
        """What to go on with, given the terms of the log's base and of its end.

        Raises:
            CorruptState: the log itself is beyond what can be counted.

        """
        held = self.held
        if base_term > held.term:
            # A snapshot may be of a term that this member never heard of (J25).
            held = HardState(term=base_term)
        state = restored(held, last_term)
        if state is not held:
            text = "the term was %d, which no election reaches: somebody sent it; going on with %d"
            logger.error(text, held.term, state.term)
        # Before anything else is: whoever votes next must vote from what is durable.
        if state is not self.held:
            self.save(state)
        return state

    def close(self) -> None:
        """Close both files."""
        self._twin.close()
