"""Tests of `roost.proto`."""
