"""What a bench has found, a line each, and how far it is: for people, or for programs."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median

# How often one question is asked.
TRIES = 7


@dataclass(frozen=True, slots=True)
class Found:
    """One line: what was measured, by rounds, and what of it counts."""

    row: str
    load: str
    figures: dict[str, list[float]]
    says: dict[str, float] = field(default_factory=dict)


def timed(row: str, load: str, look: Callable[[], int], wanted: int) -> Found:
    """One question, some times over.

    Raises:
        RuntimeError: it is not answered with so many rows, one more or less.

    """
    took = []
    for _ in range(TRIES):
        begun_s = time.perf_counter()
        found = look()
        took.append(1000 * (time.perf_counter() - begun_s))
        if abs(found - wanted) > 1:
            raise RuntimeError(f"{load}: {found} rows, and not {wanted}")
    return Found(row, load, {"ms": took}, {"ms": median(took), "rows": wanted})


def say(text: str) -> None:
    """How far it is, over what was said before."""
    print(f"\r{text:<79}", end="", file=sys.stderr, flush=True)


def in_words(found: Found) -> str:
    """What counts of it."""
    says = "  ".join(f"{name} {it:,.2f}" for name, it in found.says.items())
    return f"{found.row:<7} {found.load:<26} {says}"


def print_found(found: Found, *, as_json: bool, words: Callable[[Found], str] = in_words) -> None:
    """One line."""
    if as_json:
        print(json.dumps(asdict(found)), flush=True)
    else:
        print(f"\r{words(found)}", flush=True)
