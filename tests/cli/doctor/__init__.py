"""Tests of `roost.cli.doctor`: judges by facts, looks at real ones."""
