"""Tests of `roost.member`."""
