"""Tests of `roost.program`: what a database that was opened with all services has besides."""
