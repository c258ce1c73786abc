"""What a position of a segment is worth: the table has a row for all that can be seen."""

from itertools import pairwise, product

import pytest

from roost.journal.verdicts import VERDICTS, Evidence, FrameState, SlotState, Verdict


def test_the_table_of_verdicts_is_complete() -> None:
    possible = set()
    for frame, slot, evidence in product(FrameState, SlotState, Evidence):
        if frame is FrameState.HEAD_BAD and slot is not SlotState.OK:
            continue  # only a valid slot can vouch for a payload
        if frame is FrameState.BAD and slot is SlotState.DIFFERS:
            continue  # without a frame there is nothing to differ from
        possible.add((frame, slot, evidence))
    assert set(VERDICTS) == possible


# What is written again, or kept as it is, is an entry; the rest is none, or cannot be told.
KEPT = {Verdict.GOOD, Verdict.REWRITE_SLOT, Verdict.REWRITE_HEAD}
CERTAIN = {*KEPT, Verdict.DAMAGED, Verdict.DOUBLE_FAULT, Verdict.CONFLICT}


def verdict_on(frame: FrameState, slot: SlotState, evidence: Evidence) -> Verdict | None:
    """None where that is never seen."""
    return VERDICTS.get((frame, slot, evidence))


@pytest.mark.parametrize("evidence", Evidence)
def test_a_whole_frame_is_kept_but_where_its_slot_is_another_entrys(evidence: Evidence) -> None:
    kept = {it for it in SlotState if verdict_on(FrameState.OK, it, evidence) in KEPT}
    assert kept == set(SlotState) - {SlotState.DIFFERS}


@pytest.mark.parametrize("slot", SlotState)
def test_nothing_is_torn_that_a_later_batch_was_written_behind(slot: SlotState) -> None:
    """A batch begins when the one before it is durable: to drop it would be to lose a promise."""
    seen = {verdict_on(it, slot, Evidence.LATER_BATCH) for it in FrameState}
    assert not seen & {Verdict.TORN, Verdict.TAIL_UNKNOWN}


def test_only_what_left_no_trace_is_torn() -> None:
    for frame, slot, evidence in product(FrameState, SlotState, Evidence):
        if verdict_on(frame, slot, evidence) is Verdict.TORN:
            assert (frame, slot) == (FrameState.BAD, SlotState.ZERO)


def test_more_evidence_never_makes_less_of_an_entry() -> None:
    """From nothing behind it to a later batch: what was kept or damaged stays so."""
    for frame, slot in product(FrameState, SlotState):
        for before, after in pairwise(verdict_on(frame, slot, it) for it in Evidence):
            assert before not in CERTAIN or after == before
