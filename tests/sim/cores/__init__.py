"""Tests of `roost.sim.cores`."""
