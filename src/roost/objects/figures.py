"""The figures of machines on one member: how far each is behind, and whether it has stopped."""

from collections.abc import Callable, Iterator, Sequence

from roost.figures import Figure, Sample, Value
from roost.objects.following import Following
from roost.objects.shapes import MachineCounts

Followed = Sequence[Following]


def _of_each(read: Callable[[MachineCounts], Value]) -> Callable[[Followed], Iterator[Sample]]:
    """A sample of each machine."""

    def samples(followed: Followed) -> Iterator[Sample]:
        for it in followed:
            yield Sample(read(it.counts()), (("machine", it.name),))

    return samples


FIGURES: tuple[Figure[Followed], ...] = (
    Figure(
        "roost_machine_applied_index",
        "gauge",
        "The last command that this copy of a machine has carried out.",
        _of_each(lambda it: it.applied_index),
    ),
    Figure(
        "roost_machine_lag_commands",
        "gauge",
        "Commands that are known here, and not carried out.",
        _of_each(lambda it: it.lag_commands),
    ),
    Figure(
        "roost_machine_is_stopped",
        "gauge",
        "1 when this copy of a machine carries nothing out any more; its status says why.",
        _of_each(lambda it: it.is_stopped),
    ),
    Figure(
        "roost_machine_snapshot_index",
        "gauge",
        "The last command that is in the snapshot of a machine.",
        _of_each(lambda it: it.snapshot_index),
    ),
    Figure(
        "roost_machine_snapshot_bytes",
        "gauge",
        "What the snapshot of a machine takes.",
        _of_each(lambda it: it.snapshot_bytes),
    ),
    Figure(
        "roost_machine_snapshot_has_failed",
        "gauge",
        "1 when there was no snapshot when there should have been; its status says why.",
        _of_each(lambda it: it.snapshot_has_failed),
    ),
    Figure(
        "roost_machine_slow_commands_total",
        "counter",
        "Commands of a machine that held this member up.",
        _of_each(lambda it: it.slow_command_count),
    ),
)
