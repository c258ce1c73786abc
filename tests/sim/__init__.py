"""Tests of `roost.sim`."""
