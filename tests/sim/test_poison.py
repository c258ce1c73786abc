"""No committed entry stops a replica, and every replica makes the same of it (P13)."""

import random

import pytest

from roost.sim import poison
from roost.sim.poison import run_poison
from roost.store.errors import MalformedWriteSet
from roost.store.write_set import decode
from tests.samples import SAMPLES


@pytest.mark.slow
def test_random_write_sets_leave_equal_digests_whatever_the_layers_are() -> None:
    count = 10_000 * SAMPLES
    totals = run_poison(count, 7, lambda _totals: None)
    assert totals.broken > 50
    assert totals.comparisons >= 4
    assert totals.digest == run_poison(count, 7, lambda _totals: None).digest


def test_the_payloads_are_of_every_kind() -> None:
    dice = random.Random(1)
    kinds: set[int] = set()
    broken = 0
    for _ in range(2000):
        try:
            kinds |= {kind for kind, _, _, _ in decode(poison.random_payload(dice))}
        except MalformedWriteSet:
            broken += 1
    assert kinds == {1, 3, 4, 5, 6}, "decoding makes puts and deletes of rows"
    assert 0 < broken < 600
