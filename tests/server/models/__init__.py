"""Tests of `roost.server.models`."""
