"""What the programs in this room are told on the command line, and what of it cannot be."""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence


def parser_of(name: str, text: str | None) -> argparse.ArgumentParser:
    """The parser of `python -m NAME`, whose help is its docstring, line by line as it stands."""
    return argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def count(text: str) -> int:
    """How many there are: one at least.  Medians of none, and waits for none, have no end."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def scale(text: str) -> float:
    """Times what a program does; more than a hundred times is a slip of the hand."""
    try:
        times = float(text)
    except ValueError:
        times = 0.0
    if not 0 < times <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0, and at most 100")
    return times


def add_rows(
    parser: argparse.ArgumentParser, rows: Iterable[str], given: Sequence[str] | None = None
) -> None:
    """Which of the rows that the program's docstring names; all, or those that are `given`."""
    rows = tuple(rows)
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=rows,
        default=rows if given is None else given,
        metavar="ROW",
        help=f"some of those above ({'all' if given is None else ' '.join(given)})",
    )


def add_rounds(parser: argparse.ArgumentParser, rounds: int) -> None:
    """How often it is measured."""
    text = "rounds, of which medians are told (%(default)s)"
    parser.add_argument("--rounds", type=count, default=rounds, help=text)


def add_scale(parser: argparse.ArgumentParser, what: str) -> None:
    """For whoever wants to see whether it runs."""
    text = f"times {what} (%(default)s); 0.1 is to try whether it runs"
    parser.add_argument("--scale", type=scale, default=1.0, help=text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """For programs that read the figures."""
    parser.add_argument("--json", action="store_true", help="JSON instead of words or a table")


def require_h2load() -> None:
    """End with what to install where the load generator is not."""
    if shutil.which("h2load") is None:
        sys.exit("bench needs h2load: install the package nghttp2-client")


def start(main: Callable[[], None]) -> None:
    """Run a program; an interrupt ends it, and what it started, without a traceback."""
    try:
        main()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        sys.exit(130)
