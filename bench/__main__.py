"""`python -m bench`: Roost against real etcd, turn and turn about, in one run.

Each round measures Roost and etcd one right after the other, and every other round the other way
about; what counts is the ratio of a round, and the median of those.  Requests go to the leader,
values have 100 bytes where nothing else is said, and all runs are bounded by counts.

    --rows put stm     other rows than `put` and `get` (see below); `all` is all of them
    --rounds 7         more rounds
    --scale 0.1        a tenth of the requests, keys and watchers: to try whether it runs
    --into FILE        keep the raw results; rows that are measured again are replaced
    --dictionary       PySyncObj's replicated dictionary beside ours, and nothing else

`python -m bench.page` makes the page and its chart of the file.  Rows:

    put, get               1, 10, 100 and 100 x 10 at once, three members and one; gets linearizable
    serializable           gets that ask nobody else
    sustained              150,000 puts in a row
    sizes                  values of 1 KiB, 64 KiB and 1 MiB
    tls                    puts and gets, with TLS on both ports
    put-64 txn-put stm lease-keepalive watch      the kinds of etcd's own `benchmark`
    bulk grow memory disk restart     a store that grows to a million keys; taken together
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench import growing
from bench.dictionary import measure_dictionary
from bench.options import (
    add_json,
    add_rounds,
    add_rows,
    add_scale,
    parser_of,
    require_h2load,
    start,
)
from bench.pairs import Plan
from bench.rows import RATE, ROUNDS_MIN, Row, Run, load_results, save_results
from bench.workloads import WORKLOADS, run_table, run_watch
from roost import compiled
from roost.testing.etcd import etcd_command

ROWS = tuple(dict.fromkeys([*(it.row for it in WORKLOADS), "stm", "watch", *growing.ROWS]))
ALL = "all"
ROOT = Path(__file__).parent.parent


def measure(plan: Plan, wanted: frozenset[str], sizes: Sequence[int]) -> Iterator[Row]:
    """All rows that are wanted."""
    yield from run_table(plan, wanted, tuple(sizes))
    if "watch" in wanted:
        yield from run_watch(plan)
    if wanted & set(growing.ROWS):
        yield from (it for it in growing.run_growing(plan) if it.row in wanted)


def describe(plan: Plan) -> Run:
    """When and where it is."""
    now = datetime.now(UTC)
    commit = _said("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD") or "unknown"
    etcd = _said(*etcd_command(), "--version").splitlines() or ["etcd"]
    cpu = next(
        (it.partition(":")[2].strip() for it in _cpu_lines() if it.startswith("model name")), ""
    )
    cores = len(os.sched_getaffinity(0))
    return Run(
        id=now.strftime("%Y-%m-%d %H:%M:%S"),
        date=now.strftime("%Y-%m-%d"),
        commit=commit,
        command=f"python -m bench {' '.join(sys.argv[1:])}".strip(),
        machine=f"{cpu or platform.machine()}, {platform.system()} {platform.release()}",
        cores=cores,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        tree=compiled.description(),
        etcd=etcd[0].removeprefix("etcd Version: "),
        rounds=plan.rounds,
        scale=plan.scale,
        load=round(os.getloadavg()[0], 1),
    )


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> None:
    """Measure; print a table or JSON, and keep it."""
    parser = parser_of("bench", __doc__)
    add_rows(parser, (*ROWS, ALL), ("put", "get"))
    add_rounds(parser, 5)
    parser.add_argument(
        "--members",
        type=int,
        nargs="+",
        choices=(1, 3),
        default=[3, 1],
        help="clusters of so many, where a row is of both (3 1)",
    )
    add_scale(parser, "requests, keys and watchers")
    parser.add_argument("--into", type=Path, help="a file of raw results, such as %(prog)s keeps")
    parser.add_argument("--dictionary", action="store_true", help="PySyncObj beside it instead")
    add_json(parser)
    options = parser.parse_args()
    require_h2load()
    if options.into:
        # Before hours of measuring, and not behind them.
        try:
            load_results(options.into)
        except (OSError, ValueError, LookupError, TypeError) as error:
            parser.error(f"--into: {options.into} holds no raw results: {error}")

    def say(text: str) -> None:
        print(f"\r{text:<79}", end="", file=sys.stderr, flush=True)

    if options.dictionary:
        print_dictionary(options.rounds, options.scale, say, as_json=options.json)
        return
    plan = Plan(options.rounds, options.scale, say)
    wanted = frozenset(ROWS if ALL in options.rows else options.rows)
    run, rows = describe(plan), []
    for row in measure(plan, wanted, options.members):
        rows.append(replace(row, run=run.id))
        if options.into:
            # Each at once: a campaign that is interrupted has what it has.
            save_results(options.into, load_results(options.into).with_rows(run, rows))
    say("")
    print(file=sys.stderr)
    if options.json:
        print(json.dumps([asdict(row) | {"ratio": row.ratio} for row in rows]))
    else:
        print_table(rows)
        print(f"\n{legend(run)}")


def print_table(rows: Sequence[Row]) -> None:
    """Print a Markdown table."""
    print("| members | operation | clients | Roost | etcd | ratio | CPU us Roost | CPU us etcd |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        cpu = [row.roost_cpu_us, row.etcd_cpu_us]
        micros = " | ".join("" if it is None else f"{it:.0f}" for it in cpu)
        print(
            f"| {row.members} | {row.what} | {row.load} | {figure(row, row.roost)} "
            f"| {figure(row, row.etcd)} | {row.ratio:.2f} | {micros} |"
        )


def legend(run: Run) -> str:
    """What was measured, and how far its ratios can be believed."""
    lines = [
        f"Roost: {run.tree}; etcd {run.etcd}. A ratio above 1: Roost is ahead.",
        "Processor time is that of all members and their children, a request.",
    ]
    if run.is_trial:
        lines.append(
            f"A trial: fewer than {ROUNDS_MIN} rounds, a scale below 1, or others who wanted the"
            f" processors (load {run.load:g}); such ratios are off by a third and more."
        )
    return "\n".join(lines)


def figure(row: Row, figures: Sequence[float]) -> str:
    """The median, with its unit."""
    middle = median(figures)
    return f"{middle:,.0f}/s" if row.unit == RATE else f"{middle:.2f} {row.unit}"


def print_dictionary(
    rounds: int, scale: float, say: Callable[[str], None], *, as_json: bool
) -> None:
    """Measure PySyncObj's dictionary beside ours."""
    rows = measure_dictionary(rounds, scale, say)
    say("")
    print(file=sys.stderr)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print("| clients | Roost/s | PySyncObj batched/s | PySyncObj single/s | ratio to the better |")
    print("|---|---|---|---|---|")
    for row in rows:
        rates = " | ".join(f"{median(it):,.0f}" for it in (row.roost, row.batched, row.single))
        print(f"| {row.load} | {rates} | {row.ratio:.2f} |")


if __name__ == "__main__":
    start(main)
