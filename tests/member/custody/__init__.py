"""Tests of `roost.member.custody`."""
