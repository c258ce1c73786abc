"""Tests of `roost.faces`."""
