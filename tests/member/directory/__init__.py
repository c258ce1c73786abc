"""Tests of `roost.member.directory`."""
