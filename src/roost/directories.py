"""Directories whose names are to last."""

import os
from pathlib import Path

__all__ = ["sync_directory"]


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable.

    A file that is durable under a name that is not is lost with its name: who has made, renamed or
    removed a file calls this before it says so.

    Raises:
        OSError: it is not there, or its device fails.

    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
