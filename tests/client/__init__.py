"""Tests of `roost.client`."""
