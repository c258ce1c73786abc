"""Tests of `roost.store`."""
