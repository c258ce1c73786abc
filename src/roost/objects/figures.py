"""The figures of machines on one member: how far each is behind, and whether it has stopped."""

from collections.abc import Sequence

from roost.figures import Each, Figure
from roost.objects.following import Following

Followed = Sequence[Following]


def _all(followed: Followed) -> Followed:
    return followed


_of_each = Each("machine", _all)

FIGURES: tuple[Figure[Followed], ...] = (
    Figure(
        "roost_machine_applied_index",
        "gauge",
        "The last command that this copy of a machine has carried out.",
        _of_each(lambda _, it: it.counts().applied_index),
    ),
    Figure(
        "roost_machine_lag_commands",
        "gauge",
        "Commands that are known here, and not carried out.",
        _of_each(lambda _, it: it.counts().lag_commands),
    ),
    Figure(
        "roost_machine_is_stopped",
        "gauge",
        "1 when this copy of a machine carries nothing out any more; its status says why.",
        _of_each(lambda _, it: it.counts().is_stopped),
    ),
    Figure(
        "roost_machine_snapshot_index",
        "gauge",
        "The last command that is in the snapshot of a machine.",
        _of_each(lambda _, it: it.counts().snapshot_index),
    ),
    Figure(
        "roost_machine_snapshot_bytes",
        "gauge",
        "What the snapshot of a machine takes.",
        _of_each(lambda _, it: it.counts().snapshot_bytes),
    ),
    Figure(
        "roost_machine_snapshot_has_failed",
        "gauge",
        "1 when there was no snapshot when there should have been; its status says why.",
        _of_each(lambda _, it: it.counts().snapshot_has_failed),
    ),
    Figure(
        "roost_machine_slow_commands_total",
        "counter",
        "Commands of a machine that held this member up.",
        _of_each(lambda _, it: it.counts().slow_command_count),
    ),
)
