"""Tests of `roost.raft`."""
