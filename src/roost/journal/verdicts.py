"""What a position of a segment is worth, by what its frame, its slot and what follows them show.

A decision of three inputs, so it is a table: the whole rule, of which a test reaches every row.
What the words mean stands in `recovery`, which looks.
"""

from enum import Enum


class FrameState(Enum):
    """How a frame looks."""

    OK = "ok"
    HEAD_BAD = "head bad, payload as the slot says"
    BAD = "bad"


class SlotState(Enum):
    """How a slot looks."""

    OK = "ok"
    DIFFERS = "valid, but of another entry"
    ZERO = "zero"
    GARBAGE = "garbage"


class Evidence(Enum):
    """What later positions prove about this one."""

    NONE = "nothing later"
    SAME_BATCH = "later entries of the same batch"
    LATER_BATCH = "entries of a later batch"


class Verdict(Enum):
    """What a position is worth."""

    GOOD = "good"
    REWRITE_SLOT = "good; its slot is written anew"
    REWRITE_HEAD = "good; its head is written anew"
    TORN = "torn: a crash cut the write short"
    DAMAGED = "the entry is damaged; its identity is known from its slot"
    DOUBLE_FAULT = "entry and slot are damaged, and later entries prove that it was written"
    TAIL_UNKNOWN = "the last entry and its slot are damaged"
    CONFLICT = "the entry and its slot contradict each other"


_ANY = tuple(Evidence)


def _rows(frame: FrameState, slot: SlotState, verdict: Verdict) -> dict[object, Verdict]:
    return {(frame, slot, evidence): verdict for evidence in _ANY}


VERDICTS: dict[object, Verdict] = {
    # A whole frame is an entry, whatever its slot says, and whether or not it was acknowledged:
    # to keep one that nobody was promised is always safe, since Raft overwrites it if need be.
    **_rows(FrameState.OK, SlotState.OK, Verdict.GOOD),
    **_rows(FrameState.OK, SlotState.ZERO, Verdict.REWRITE_SLOT),
    **_rows(FrameState.OK, SlotState.GARBAGE, Verdict.REWRITE_SLOT),
    # Both whole, and not of one entry: no crash and no rot does that.
    **_rows(FrameState.OK, SlotState.DIFFERS, Verdict.CONFLICT),
    **_rows(FrameState.HEAD_BAD, SlotState.OK, Verdict.REWRITE_HEAD),
    # Also in the newest batch, where a crash may have done it: from here the two look the same
    # (PAR, FAST'18), and to call damage a crash drops what was acknowledged, while to call a
    # crash damage costs a question to the others.
    **_rows(FrameState.BAD, SlotState.OK, Verdict.DAMAGED),
    # Neither frame nor slot, and nothing of a later batch: the write was cut short, in whatever
    # order its sectors reached the disk.  Entries of the same batch behind it prove nothing, for
    # the sync that covers them all did not come back.
    (FrameState.BAD, SlotState.ZERO, Evidence.NONE): Verdict.TORN,
    (FrameState.BAD, SlotState.ZERO, Evidence.SAME_BATCH): Verdict.TORN,
    # A later batch was begun after this one's sync had come back: this was acknowledged.
    (FrameState.BAD, SlotState.ZERO, Evidence.LATER_BATCH): Verdict.DOUBLE_FAULT,
    # A slot lies in one sector: a crash leaves it whole or zero.  Garbage there is rot, and says
    # that something was written, but not what.
    (FrameState.BAD, SlotState.GARBAGE, Evidence.NONE): Verdict.TAIL_UNKNOWN,
    (FrameState.BAD, SlotState.GARBAGE, Evidence.SAME_BATCH): Verdict.TAIL_UNKNOWN,
    (FrameState.BAD, SlotState.GARBAGE, Evidence.LATER_BATCH): Verdict.DOUBLE_FAULT,
}
