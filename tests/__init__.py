"""Roost's tests."""
