"""`python -m roost.testing.pressure`: clients that ask much of a member, and one that only puts.

Each row of the table of issue 14 is played against three members of Roost, and with `--peer etcd`
against three of etcd on the same machine right after: the longest put of another client and its
99th percentile, changes of the leader, how long it took, and the leader's memory.  The other
client's history is judged for linearizability.  Exit code 1 when a row does not hold: no change of
leader, p99 at most 50 ms and no put above 250 ms, or no worse than etcd's, and what the row says.

    python -m roost.testing.pressure --rows limit,count --keys 300000 --peer etcd
    python -m roost.testing.pressure --minutes 10
"""

import argparse
import dataclasses
import json
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from roost.testing.etcd import etcd_reason
from roost.testing.pressure.campaign import Plan, rows_named, run
from roost.testing.pressure.figures import Figures, common_faults, faults
from roost.testing.pressure.rows import ROWS
from roost.testing.pressure.sizes import FULL, Sizes

_HEAD = (
    "row", "members", "took s", "p50 ms", "p99 ms", "longest ms", "leader changes", "MiB", "+MiB",
    "facts", "verdict",
)  # fmt: skip


def faults_of(figures: list[Figures]) -> list[str]:
    """What does not hold of a row of Roost's, beside etcd's if there are some."""
    ours, theirs = figures[0], figures[1] if len(figures) > 1 else None
    row = ROWS.get(ours.row)
    return common_faults(ours, theirs) if row is None else faults(row, ours, theirs)


def lines_of(figures: list[Figures]) -> list[str]:
    """A row of the table for each kind of member."""
    found = faults_of(figures)
    lines = []
    for it in figures:
        facts = ", ".join(f"{name} {value:g}" for name, value in it.facts.items())
        is_ours = it.kind == "roost"
        verdict = ("; ".join(found) or "holds") if is_ours else it.error
        held = f" [{', '.join(it.held)}]" if is_ours and found and it.held else ""
        cells = (
            it.row, it.kind, f"{it.took_s:.2f}", it.p50_ms, it.p99_ms, it.longest_ms,
            it.leader_changes, f"{it.resident_mib:.0f}", f"{it.grown_mib:.0f}", facts,
            verdict + held,
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m roost.testing.pressure",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    text = "some of these, comma-separated; without it all: " + ", ".join(ROWS)
    parser.add_argument("--rows", default="", metavar="ROW,ROW", help=text)
    parser.add_argument("--peer", choices=["etcd"], help="play them against this as well")
    parser.add_argument("--keys", type=int, help="keys that ranges read")
    parser.add_argument("--value-bytes", type=int, help="bytes of a value of those")
    parser.add_argument("--full", action="store_true", help="a million keys, 1 GiB of values")
    parser.add_argument("--scale", type=float, default=1.0, help="times the table's numbers")
    parser.add_argument("--minutes", type=float, default=0.0, help="all rows at once, so long")
    parser.add_argument(
        "--judge",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="judge the other client's history",
    )
    parser.add_argument("--directory", type=Path, help="where the members' data lies meanwhile")
    parser.add_argument("--json", action="store_true", help="a line a row, instead of a table")
    options = parser.parse_args()
    given = {it: getattr(options, it) for it in ("keys", "value_bytes", "scale")}
    for name, value in given.items():
        if value is not None and value <= 0:
            parser.error(f"--{name.replace('_', '-')}: {value:g} is not above 0")
    if options.minutes < 0:
        parser.error(f"--minutes: {options.minutes:g} is below 0")
    return options


def plan_of(options: argparse.Namespace) -> Plan:
    """What the options ask for.

    Raises:
        KeyError: there is no such row.

    """
    sizes = (FULL if options.full else Sizes()).scaled(options.scale)
    given = {"keys": options.keys, "value_bytes": options.value_bytes}
    sizes = dataclasses.replace(sizes, **{name: it for name, it in given.items() if it})
    kinds = ["roost", *([options.peer] if options.peer else [])]
    rows = rows_named(options.rows)
    return Plan(rows, kinds, sizes, minutes=options.minutes, judges=options.judge)


def main() -> None:
    """Entry point of the campaign."""
    options = _options()
    try:
        plan = plan_of(options)
    except KeyError as error:
        sys.exit(f"there is no row {error}; there are {', '.join(ROWS)}")
    if options.peer and (reason := etcd_reason()):
        sys.exit(f"no etcd here: {reason}")
    signal.signal(signal.SIGTERM, _end)

    def say(text: str) -> None:
        sys.stderr.write(f"\r{text:<78}")
        sys.stderr.flush()

    def tell(figures: list[Figures]) -> None:
        say("")
        sys.stderr.write("\r")
        if options.json:
            row = {"figures": [asdict(it) for it in figures], "faults": faults_of(figures)}
            print(json.dumps(row), flush=True)
        else:
            print("\n".join(lines_of(figures)), flush=True)

    if not options.json:
        print(f"| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}", flush=True)
    try:
        with tempfile.TemporaryDirectory(dir=options.directory) as root:
            found = run(plan, Path(root), say, tell)
    except KeyboardInterrupt:
        say("")
        sys.exit(130)
    sys.exit(1 if any(faults_of(it) for it in found) else 0)


def _end(_number: int, _frame: object) -> NoReturn:
    """End as an interrupt does: everything that was started is ended on the way out."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
