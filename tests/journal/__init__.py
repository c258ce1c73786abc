"""Tests of `roost.journal`."""
