"""From the frames of all segments to the entries they stand for.

Frames come in the order they were written.  As long as none is lost there is one *run* of
entries.  A hole ends a run; what follows it begins another, unless a truncation says that
nothing of what was in the hole counts.
"""

from dataclasses import dataclass

from roost.journal.errors import JournalDamaged
from roost.journal.index import Index
from roost.journal.record import TRUNCATE
from roost.journal.recovery import Hole, Recovered
from roost.journal.segment import Segment
from roost.raft.types import EntryKind

_KIND_COUNT = len(EntryKind)


@dataclass(slots=True)
class Run:
    """Entries without a gap; `hole` is what follows them, None for the end of the log."""

    index: Index
    hole: JournalDamaged | None = None


class Replay:
    """Takes what was found, in order; `runs` is what it comes to."""

    def __init__(self, base: int, term_max: int) -> None:
        """Begin behind entry `base`; no term may be above the hard state's."""
        self.runs = [Run(Index(base))]
        self._term_max = term_max

    def take(self, segment: Segment, item: Recovered | Hole) -> None:
        """One frame, or one hole.

        Raises:
            JournalDamaged: frames that are valid contradict each other.

        """
        if isinstance(item, Hole):
            self.note_hole(item.damage)
        elif item.frame.kind == TRUNCATE:
            self._truncate(item.frame.log_index)
        else:
            self._append(segment, item)

    def note_hole(self, damage: JournalDamaged) -> None:
        """Frames are missing here."""
        # The first one says where the run ends; those behind it, before the next frame that can be
        # read, are the same gap.
        if self.runs[-1].hole is None:
            self.runs[-1].hole = damage

    def _truncate(self, log_index: int) -> None:
        # A run that begins at or behind the place is gone with all it holds.
        runs = self.runs
        while len(runs) > 1 and log_index <= runs[-1].index.base:
            runs.pop()
        # A hole at the end of the run that is left is healed when the truncation begins at or
        # before it: whatever was in the hole was dropped, and we know from where on.  When it
        # begins behind the hole, the entries in between were kept, and they are lost.
        run = runs[-1]
        if run.hole is None or log_index <= run.index.last + 1:
            run.index.truncate(log_index)
            run.hole = None

    def _append(self, segment: Segment, recovered: Recovered) -> None:
        frame = recovered.frame
        # Behind a hole an entry's own index is all that says where we are.
        if self.runs[-1].hole is not None:
            self.runs.append(Run(Index(frame.log_index - 1)))
        index = self.runs[-1].index
        # The frame's checksums are good, so this is no rot.  It is two histories in one file, or a
        # bug of ours: to go on would be to choose one, and nobody here can (J6).
        last_term = index.terms[-1] if index.terms else 0
        if (
            frame.kind >= _KIND_COUNT
            or frame.log_index != index.last + 1
            or not last_term <= frame.term <= self._term_max
        ):
            raise self._contradiction(segment, recovered, last_term)
        place = (segment.sequence, recovered.offset, frame.length, frame.payload_crc)
        index.append((*place, frame.term, frame.kind))
        # In its place like any other: the log is as long as the last identity, so a vote is given
        # and asked for by what was acknowledged, not by what can be read today (J19).
        if recovered.damage is not None:
            index.damaged[index.last] = recovered.damage

    def _contradiction(
        self, segment: Segment, recovered: Recovered, last_term: int
    ) -> JournalDamaged:
        """What is wrong with a valid frame that cannot stand where it does."""
        frame, index = recovered.frame, self.runs[-1].index
        fact = f"term {frame.term} follows term {last_term}"
        if frame.kind >= _KIND_COUNT:
            fact = f"entry kind {frame.kind} is unknown"
        elif frame.log_index != index.last + 1:
            fact = f"entry {frame.log_index} follows entry {index.last}"
        elif frame.term > self._term_max:
            fact = f"term {frame.term} is above the hard state's {self._term_max}"
        return JournalDamaged(segment.path, frame.position, recovered.offset, fact)
