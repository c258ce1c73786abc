"""Tests of `roost.server`."""
