"""What went out and is not back: how much is being applied, and what must be in force before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.raft.outbox import Outbox
from roost.raft.types import HardState

Batch = tuple[int, int]


@given(st.lists(st.one_of(st.tuples(st.integers(1, 4), st.integers(0, 9)), st.integers(0, 6))))
def test_a_batch_counts_until_the_last_of_it_is_applied(
    steps: list[tuple[int, int] | int],
) -> None:
    """The model is a list of batches; a number says how many more entries are applied."""
    outbox, batches, last, applied = Outbox(HardState()), list[Batch](), 0, 0
    for step in steps:
        if isinstance(step, int):
            applied = min(last, applied + step)
            outbox.note_applied(applied)
        else:
            count, size = step
            last += count
            batches.append((last, size))
            outbox.note_handed(last, size)
        assert outbox.unapplied_bytes == sum(size for end, size in batches if end > applied)
        outbox.invariants()
    outbox.note_applied(last)
    assert (outbox.unapplied_bytes, len(outbox.apply_sizes)) == (0, 0)


def test_a_change_is_in_force_before_it_is_applied() -> None:
    """Else this node would go on deciding by a configuration that the others have left."""
    outbox = Outbox(HardState())
    outbox.handed_changes.append(5)
    outbox.note_applied(4)
    with pytest.raises(AssertionError, match="in force"):
        outbox.note_applied(5)
    outbox.handed_changes.popleft()
    outbox.note_applied(5)


def test_what_a_snapshot_replaced_is_not_waited_for() -> None:
    """`applied` will never be said of it, and no entry would be handed out again."""
    outbox = Outbox(HardState())
    outbox.note_handed(5, 100)
    outbox.handed_changes.append(5)
    outbox.forget_handed()
    assert outbox.unapplied_bytes == 0
    outbox.note_applied(50)
    outbox.note_handed(51, 7)
    outbox.note_applied(51)
    assert outbox.unapplied_bytes == 0


@pytest.mark.parametrize(("taken", "persisted"), [(1, 2), (0, -1)])
def test_only_what_was_taken_is_durable(taken: int, persisted: int) -> None:
    outbox = Outbox(HardState(), taken_count=taken, persisted_count=persisted)
    with pytest.raises(AssertionError, match="taken"):
        outbox.invariants()
