"""The `roost` command; one file a noun."""

from roost.cli.main import main

__all__ = ["main"]
