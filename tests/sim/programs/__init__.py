"""Tests of `roost.sim.programs`."""
