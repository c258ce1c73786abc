"""Tests of `roost.moving`."""
