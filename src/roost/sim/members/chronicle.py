"""What happened in one run: told line by line, counted, and summed up in a digest.

The digest is over the lines, the bytes that arrived anywhere and the stores in the end: two runs
of one seed have the same, whatever the process.
"""

import asyncio
import hashlib
import random
from dataclasses import dataclass


@dataclass(slots=True)
class Result:
    """What one run saw."""

    seed: int
    events: int = 0
    virtual_s: float = 0.0
    acknowledged: int = 0
    operations: int = 0
    watched: int = 0
    listed: int = 0
    elections: int = 0
    crashes: int = 0
    damages: int = 0
    repaired: int = 0
    changes: int = 0
    intrusions: int = 0
    dropped: int = 0
    snapshots: int = 0
    committed: int = 0
    expired: int = 0
    # How often a lock of v2 was held.
    held: int = 0
    # Requests to count that were answered, and directories that were found out to be old.
    counted: int = 0
    found_out: int = 0
    digest: str = ""
    is_stranded: bool = False
    violation: str = ""


class Chronicle:
    """The chance of one seed, and what became of it."""

    def __init__(self, seed: int) -> None:
        """Nothing has happened."""
        self.seed = seed
        self.result = Result(seed)
        self.trace: list[str] = []
        self.digest = hashlib.blake2b(digest_size=16)

    def stream(self, name: str) -> random.Random:
        """A source of chance of its own, so that one more draw here shifts nothing there."""
        return random.Random(f"{self.seed}/{name}")  # noqa: S311 - a simulation is no secret

    def say(self, text: str) -> None:
        """Add a line to the trace."""
        line = f"{asyncio.get_running_loop().time():10.4f}  {text}"
        self.trace.append(line)
        self.digest.update(line.encode())
