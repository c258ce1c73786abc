"""Tests of `roost.member.machine`."""
