"""Tests of `roost.settings`."""
