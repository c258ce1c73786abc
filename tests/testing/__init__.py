"""Tests of `roost.testing`."""
