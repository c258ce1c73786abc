"""Tests of `roost.member.work`."""
