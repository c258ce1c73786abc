"""Consensus cores alone, in scenarios and storms."""
