"""What campaigns have in common as commands: a folder, what is said, and how they end."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import Field, asdict
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Protocol

from roost.testing.devices import loop_reason


class Report(Protocol):
    """What a campaign saw: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""


def need_loop_device() -> None:
    """End the command where no file system can lose its power."""
    if reason := loop_reason():
        sys.exit(f"no power cuts here: {reason}")


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A folder that goes when the block ends; what cannot be removed of it stays."""
    root = Path(tempfile.mkdtemp())
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def say(text: str) -> None:
    """Tell whoever looks on how far it is."""
    print(text, file=sys.stderr, flush=True)


def end(report: Report, *, as_json: bool) -> NoReturn:
    """Print a report, and end with 1 when a promise was broken."""
    held = asdict(report)
    if as_json:
        print(json.dumps(held))
    else:
        for name, figure in held.items():
            print(f"{name}: {figure}")
    sys.exit(0 if report.is_clean else 1)
