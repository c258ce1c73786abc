"""Tests that make a device fail at every step."""
