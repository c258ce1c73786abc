"""Tests of `roost.sim.members`."""
