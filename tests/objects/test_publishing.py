"""When a machine's snapshot is due."""

from dataclasses import replace

import pytest

import roost
from roost.objects import SnapshotPolicy
from roost.objects.layouts.machines import Snapshot

POLICY = SnapshotPolicy(commands=100, size_bytes=1000, age_s=60.0, tail=5)
LAST = Snapshot(
    index=50, nonce=b"", parts=1, size_bytes=400, checksum=b"", at_s=10.0, member="m", digest=b""
)


@pytest.mark.parametrize(
    ("last", "index", "since_bytes", "at_s", "is_due"),
    [
        (None, 0, 0, 0.0, False),
        (None, 99, 999, 1e9, False),
        (None, 100, 0, 0.0, True),
        (None, 1, 1000, 0.0, True),
        (LAST, 50, 5000, 1e9, False),
        (LAST, 149, 999, 69.0, False),
        (LAST, 150, 100, 11.0, True),
        (LAST, 150, 99, 11.0, False),
        (LAST, 51, 1000, 11.0, True),
        (LAST, 51, 1, 70.0, True),
        (LAST, 52, 1, 69.9, False),
    ],
)
def test_a_snapshot_is_due_by_count_by_bytes_or_by_age(
    last: Snapshot | None, index: int, since_bytes: int, at_s: float, *, is_due: bool
) -> None:
    assert POLICY.is_due(last, index, since_bytes, at_s) is is_due


def test_nothing_of_a_policy_may_be_nothing() -> None:
    for name in ("commands", "size_bytes", "age_s", "tail"):
        with pytest.raises(roost.BadArgument, match=name):
            replace(POLICY, **{name: 0})
