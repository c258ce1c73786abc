"""Tests of `roost.member.snapshots`."""
