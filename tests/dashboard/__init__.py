"""Tests of `roost.dashboard`."""
