"""How far a migration is, in a file: so that it goes on where it was ended, and reads nothing anew.

One line of JSON, written beside and renamed.  Without the file, or with that of other clusters, a
migration compares both ends and goes on from there: it costs time, and loses nothing.
"""

import os
from pathlib import Path

import msgspec


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything up to `source_revision` is at the target, whose revision is, or was, the other."""

    source_cluster: int
    target_cluster: int
    source_revision: int
    target_revision: int
    # Whether the target was made of the source, so that its revisions are the same.
    keeps_revisions: bool


def read_state(path: Path) -> State | None:
    """What is written there; None when there is no file.

    Raises:
        ValueError: it holds something else.
        OSError: it cannot be read.

    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(data, type=State)


def write_state(path: Path, state: State) -> None:
    """Keep it, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(msgspec.json.encode(state) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
