"""Tests of `roost.member.pipeline`."""
