"""Tests of `roost.cli`."""
