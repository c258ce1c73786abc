"""A package with two faces."""
