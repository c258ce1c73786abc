"""Tests of `roost.peer`."""
