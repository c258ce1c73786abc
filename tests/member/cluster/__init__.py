"""Tests of `roost.member.cluster`."""
