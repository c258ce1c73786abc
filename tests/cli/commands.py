"""Commands of `roost` as tests run them: processes that cost little.

Each is a fork of one process that has loaded what commands of clients need, which takes a tenth of
the time of a new interpreter.  What is about starting, importing and ending is tried with those.
"""

import atexit
import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from roost.testing.warden import Start, Warden

LOADED = ("roost.cli.main", "roost.cli.shared", "roost.cli.forms", "roost.client")


@cache
def _warden() -> Warden:
    warden = Warden(*LOADED)
    atexit.register(warden.close)
    return warden


def run(
    *arguments: str | bytes | Path,
    typed: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[bytes]":
    """Run `roost` to its end, with words on its standard input and in its environment."""
    words = [os.fsdecode(it) for it in arguments]
    with TemporaryDirectory() as directory:
        inward, outward, errors = (Path(directory) / it for it in ("in", "out", "err"))
        inward.write_bytes(typed)
        asked = Start(
            words,
            str(outward),
            errors=str(errors),
            typed=str(inward),
            environment={**os.environ, **(environment or {})},
        )
        pid = _warden().start_as(asked)
        code = _warden().end_of(pid)
        said = outward.read_bytes(), errors.read_bytes()
        return subprocess.CompletedProcess(["roost", *words], code, *said)
