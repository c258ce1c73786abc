"""Writes of many keys under kills, power cuts and changes of the leader: all of it or nothing.

A heavy client deletes what it has put, by a range or by a lease, and looks whether all is gone; the
members' states are compared in the end, as in every run.  Slices and entries are small, so that
much happens between the first part of a long write and its end.
"""

from dataclasses import replace

import pytest

from roost.etcd.model import kv, leases
from roost.sim.campaign import simulate
from roost.sim.members.chronicle import Chronicle
from roost.sim.members.swarm import Swarm
from roost.store import long_write

KEYS = 600


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["delete", "lease"])
@pytest.mark.parametrize("seed", [1, 2, 12, 18])
def test_a_long_write_is_whole_whatever_fails(
    monkeypatch: pytest.MonkeyPatch, seed: int, kind: str
) -> None:
    for module in (kv, leases):
        monkeypatch.setattr(module, "INLINE_ROWS_MAX", 20)
        monkeypatch.setattr(module, "SLICE_ROWS", 20)
    monkeypatch.setattr(long_write, "ENTRY_BYTES", 512)
    drawn = Swarm.draw(Chronicle(seed).stream("swarm"))
    swarm = replace(
        drawn, size=3, changes=False, damage=False, clients=2, safety_s=8.0, kills=True,
        power_cuts=seed % 2 == 0, partitions=seed % 3 == 0, transfers=True, nemesis_s_mean=0.2,
        delay_s_mean=0.002, strangers=False, copies=False, garbage=False, trailing_entries=10,
        layer_bytes=4 << 10 if seed % 2 else 1 << 20, heavy=kind, heavy_keys=KEYS,
    )  # fmt: skip
    result, trace = simulate(seed, swarm)
    assert result.violation == "", "\n".join(trace[-10:])
    assert result.crashes
